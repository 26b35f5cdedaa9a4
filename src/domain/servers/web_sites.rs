//! Web sites that people take for the registry whose images they show.

/// The registry whose images the web site at `host` shows.
pub fn registry_of(host: &str) -> Option<&'static str> {
    Some(match host {
        "github.com" | "www.github.com" => "ghcr.io",
        "gitlab.com" | "www.gitlab.com" => "registry.gitlab.com",
        "hub.docker.com" | "app.docker.com" | "docker.com" | "www.docker.com" => "docker.io",
        "gallery.ecr.aws" => "public.ecr.aws",
        "www.quay.io" => "quay.io",
        "portal.azure.com" => "NAME.azurecr.io",
        "console.cloud.google.com" => "LOCATION-docker.pkg.dev",
        _ if host == "console.aws.amazon.com" || host.ends_with(".console.aws.amazon.com") => {
            "ACCOUNT.dkr.ecr.REGION.amazonaws.com"
        }
        _ => return None,
    })
}
