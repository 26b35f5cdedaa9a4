//! Exports logins in plain text, for clients that cannot run a credential helper.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{PublishedEntries, Wanted, edit};
use crate::domain::credentials::credential::Credential;
use crate::domain::credentials::secret::Secret;

/// A docker configuration with these logins, by key, as plain `auths`.
pub fn docker_config(logins: &BTreeMap<String, Credential>) -> Secret {
    let wanted = Wanted { auths: logins.clone(), ..Wanted::default() };
    let edited = edit("", "", &wanted, &PublishedEntries::default());
    let text = edited.ok().and_then(|edit| edit.text);
    Secret::new(text.unwrap_or_else(|| "{\n\t\"auths\": {}\n}\n".to_owned()))
}

/// A manifest of the Kubernetes secret `name` with these logins, for `imagePullSecrets` (type
/// `kubernetes.io/dockerconfigjson`).
pub fn kubernetes_secret(logins: &BTreeMap<String, Credential>, name: &str) -> Secret {
    let name = serde_json::Value::from(name);
    let data = Secret::new(STANDARD.encode(docker_config(logins).reveal()));
    Secret::new(format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n\
         type: kubernetes.io/dockerconfigjson\ndata:\n  .dockerconfigjson: {}\n",
        data.reveal()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins() -> BTreeMap<String, Credential> {
        BTreeMap::from([
            ("ghcr.io".to_owned(), Credential::plain("octo", "p:w\"d".into())),
            ("x.azurecr.io".to_owned(), Credential::plain("<token>", "a\"b".into())),
        ])
    }

    #[test]
    fn a_docker_configuration_holds_each_login_by_its_key() {
        let json: serde_json::Value =
            serde_json::from_str(docker_config(&logins()).reveal()).unwrap();
        let expected = serde_json::json!({"auths": {
            "ghcr.io": {"auth": STANDARD.encode("octo:p:w\"d")},
            "x.azurecr.io": {"identitytoken": "a\"b"},
        }});
        assert_eq!(json, expected);
    }

    #[test]
    fn a_kubernetes_secret_holds_the_docker_configuration() {
        let manifest = kubernetes_secret(&logins(), "registry-agent");
        let data = manifest.reveal().lines().find_map(|l| l.strip_prefix("  .dockerconfigjson: "));
        let config = STANDARD.decode(data.unwrap()).unwrap();
        assert_eq!(config, docker_config(&logins()).reveal().as_bytes());
        assert!(manifest.reveal().contains("name: \"registry-agent\"\n"));
    }
}
