//! No header makes the parser panic, and only a realm on the registry's own origin may receive the
//! password.
#![no_main]

use libfuzzer_sys::fuzz_target;
use registry_agent::domain::registry_protocol::challenge::Challenge;
use registry_agent::domain::registry_protocol::realm::{RealmRule, rule_for};
use registry_agent::domain::servers::server::Server;

fuzz_target!(|lines: Vec<&str>| {
    let Ok(challenges) = Challenge::parse_all(lines) else { return };
    let (server, _) = Server::parse("registry.test").expect("a name");
    for challenge in challenges {
        assert!(!challenge.scheme.is_empty());
        let Some(realm) = challenge.parameter("realm") else { continue };
        if let RealmRule::Send(url) = rule_for(&server, realm, &[]) {
            assert_eq!(url.origin().ascii_serialization(), "https://registry.test");
            assert!(url.username().is_empty() && url.password().is_none());
        }
    }
});
