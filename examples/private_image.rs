//! Reads the manifest of a private image with `oci-client`. The login comes from the credential helper,
//! through `docker_credential`.
//!
//!     cargo run --example private_image 127.0.0.1:5000/private/app:1

use anyhow::{Context, bail};
use docker_credential::{DockerCredential, get_credential};
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let image: Reference =
        std::env::args().nth(1).context("usage: private_image IMAGE")?.parse()?;
    let DockerCredential::UsernamePassword(user, password) = get_credential(image.registry())?
    else {
        bail!("the login of {} is an identity token", image.registry());
    };
    let client = Client::new(ClientConfig {
        protocol: ClientProtocol::HttpsExcept(vec![image.registry().to_owned()]),
        ..ClientConfig::default()
    });
    let auth = RegistryAuth::Basic(user, password);
    let (_manifest, digest) = client.pull_image_manifest(&image, &auth).await?;
    #[expect(clippy::print_stdout, reason = "this is what the example is for")]
    {
        println!("{image} is {digest}");
    }
    Ok(())
}
