//! Values that show by themselves that they cannot work, before anything is sent.

use super::{Fault, PASSWORD, USER, assert_well, home_for, registry};
use crate::support::test_home::TestHome;

const SERVER: &str = "ACME_CONTAINER_REGISTRY_SERVER";

/// The problem of `ACME` with this server and this code. Nothing can be asked.
fn fault_of(server: &str, code: &str) -> Fault {
    let mut home = TestHome::new();
    home.set("HTTPS_PROXY", "http://127.0.0.1:9");
    home.declare("ACME", server, (USER, PASSWORD));
    home.start();
    let fault = Fault::error(&home, code);
    fault.says(&[&format!("{SERVER} from `start`")]).checked(&home, &["ACME"], 1);
    fault
}

#[test]
fn a_web_site_in_place_of_a_registry_is_named_with_the_registry() {
    for (site, registry) in [
        ("hub.docker.com", "docker.io"),
        ("https://hub.docker.com/r/me/app", "docker.io"),
        ("github.com", "ghcr.io"),
        ("https://www.github.com/org", "ghcr.io"),
        ("gitlab.com", "registry.gitlab.com"),
        ("gallery.ecr.aws", "public.ecr.aws"),
        ("eu-west-1.console.aws.amazon.com", "ACCOUNT.dkr.ecr.REGION.amazonaws.com"),
    ] {
        let fault = fault_of(site, "server-is-a-web-site");
        fault.says(&["which is a web site", registry]);
        assert!(fault.fix.contains(&format!("set {SERVER} to {registry}, ")), "{}", fault.fix);
    }
    let mut home = TestHome::new();
    home.start();
    home.set("UNUSED", "");
    let text = home.agent(&["check", "hub.docker.com"]).output().unwrap();
    let text = super::unwrapped(&crate::support::test_home::output_text(&text));
    assert!(text.contains("did you mean docker.io?"), "{text}");
}

#[test]
fn a_host_of_packages_leads_to_the_variables_of_packages() {
    let fault = fault_of("npm.pkg.github.com", "server-has-packages");
    fault.says(&["npm.pkg.github.com, which has packages and no container images"]);
    assert!(
        fault
            .fix
            .contains("`export ACME_PACKAGE_REGISTRY_SERVER=\"$ACME_CONTAINER_REGISTRY_SERVER\""),
        "{}",
        fault.fix
    );
}

#[test]
fn a_host_of_ecr_without_a_whole_account_is_named() {
    for host in [
        "11112222333.dkr.ecr.eu-west-1.amazonaws.com",
        "1111-2222-3333.dkr.ecr.eu-west-1.amazonaws.com",
        "dkr.ecr.eu-west-1.amazonaws.com",
    ] {
        fault_of(host, "server-not-understood").says(&["an AWS account of 12 digits"]);
    }
}

#[test]
fn what_is_mistyped_around_a_server_is_named() {
    for (server, what) in [
        ("\"ghcr.io\"", "it is enclosed in quotation marks"),
        ("'https://ghcr.io'", "it is enclosed in quotation marks"),
        ("http//ghcr.io", "its scheme is not followed by ://"),
        ("https:/ghcr.io", "its scheme is not followed by ://"),
    ] {
        fault_of(server, "server-not-understood").says(&[what]);
    }
    let registry = registry();
    let mut home = home_for(&registry);
    home.set(SERVER, &format!("\"{}\"", registry.server()));
    home.sync_in_vain();
    let fault = Fault::error(&home, "server-not-understood");
    home.set(SERVER, &registry.server());
    fault.paste(&home);
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}

#[test]
fn a_proxy_variable_that_is_no_url_is_named_and_its_value_is_not_shown() {
    let registry = registry();
    for value in ["not a proxy", "http://", "user:hidden proxy"] {
        let mut home = home_for(&registry);
        home.set("HTTPS_PROXY", value);
        home.sync_in_vain();
        let fault = Fault::error(&home, "proxy-not-a-url");
        fault.says(&["HTTPS_PROXY from `sync` is not the URL of a proxy"]);
        assert!(!fault.sentence.contains("hidden"), "{}", fault.sentence);
        home.set("HTTPS_PROXY", "");
        fault.paste(&home);
        assert_well(&home, &registry.server(), (USER, PASSWORD));
    }
    let mut home = home_for(&registry);
    for (variable, value) in
        [("HTTPS_PROXY", "proxy.example.com:3128"), ("ALL_PROXY", "socks5://127.0.0.1:1080")]
    {
        home.set(variable, value);
    }
    home.sync();
    assert_well(&home, &registry.server(), (USER, PASSWORD));
}
