//! `/v1/credential?url=…`: the requests of package clients' helpers.

use std::time::Duration;

use super::ApiState;
use super::credentials::await_login;
use super::error::ApiError;
use crate::domain::credentials::authorization::AuthScheme;
use crate::domain::servers::package_server::PackageUrl;
use crate::wire::package_credential::PackageCredential;

/// The login for `url`, once it can be served. `usual` is the scheme of the client, where neither the
/// declaration nor the registry determines one.
///
/// A URL that is not understood is one that no login answers for: clients also ask for registries that
/// are not ours.
pub(super) async fn find(
    state: ApiState,
    url: &str,
    usual: Option<AuthScheme>,
    wait: Duration,
) -> Result<PackageCredential, ApiError> {
    let asked = PackageUrl::parse(url).map_err(|_| ApiError::unknown_registry())?;
    let login = await_login(
        state,
        wait,
        |view| view.by_url(&asked),
        |view| view.unusable_package_set(&asked),
    );
    let (entry, credential) = login.await?;
    let declaration = &entry.login.declaration;
    let server = declaration.server.package().ok_or_else(ApiError::unknown_registry)?;
    let has_user = !credential.user.is_empty();
    let offered = entry.login.offered_scheme.as_slice();
    let scheme = declaration
        .auth_scheme
        .unwrap_or_else(|| server.scheme_for(&asked, has_user, offered, usual));
    Ok(PackageCredential::new(server.name(), scheme, &credential))
}
