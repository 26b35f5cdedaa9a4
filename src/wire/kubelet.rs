//! The kubelet's credential provider protocol (`kubernetes/kubernetes`,
//! `staging/src/k8s.io/kubelet/pkg/apis/credentialprovider/v1`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::exposed_secret::ExposedSecret;

/// The version of the protocol, which the kubelet supports since Kubernetes 1.26.
pub const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";

/// What the kubelet asks. It may also hold a token of the pod's service account, which is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialProviderRequest {
    /// The version of the protocol.
    pub api_version: String,
    /// `CredentialProviderRequest`.
    pub kind: String,
    /// The image without its tag, such as `docker.io/library/alpine`.
    pub image: String,
}

/// What the kubelet is told. Its decoder rejects unknown fields.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialProviderResponse {
    api_version: &'static str,
    kind: &'static str,
    /// Which images the kubelet uses a kept response for: all of the same registry.
    cache_key_type: &'static str,
    /// How long the kubelet may keep the response, as Go writes durations.
    cache_duration: String,
    /// The credentials by registry; null if there is none.
    auth: Option<BTreeMap<String, AuthConfig>>,
}

/// A user name and a password.
#[derive(Serialize)]
pub struct AuthConfig {
    /// The user name.
    pub username: String,
    /// The password or token.
    pub password: ExposedSecret,
}

impl CredentialProviderResponse {
    /// A credential for all images of `registry`, which the kubelet may keep for some seconds.
    pub fn found(registry: &str, auth: AuthConfig, keep_seconds: u64) -> Self {
        let auth = BTreeMap::from([(registry.to_owned(), auth)]);
        Self::new(Some(auth), keep_seconds)
    }

    /// No credential. The kubelet does not keep it, so that a login counts as soon as there is one.
    pub fn none() -> Self {
        Self::new(None, 0)
    }

    fn new(auth: Option<BTreeMap<String, AuthConfig>>, keep_seconds: u64) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "CredentialProviderResponse",
            cache_key_type: "Registry",
            cache_duration: format!("{keep_seconds}s"),
            auth,
        }
    }
}
