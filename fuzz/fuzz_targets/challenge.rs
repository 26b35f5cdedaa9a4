//! No header makes the parser panic, and no realm gets a password that is not the registry's own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use registry_agent::domain::registry_protocol::challenge::Challenge;
use registry_agent::domain::registry_protocol::realm::{RealmRule, judge};
use registry_agent::domain::servers::server::Server;

fuzz_target!(|lines: Vec<&str>| {
    let Ok(challenges) = Challenge::parse_all(lines) else { return };
    let (server, _) = Server::parse("registry.test").expect("a name");
    for challenge in challenges {
        assert!(!challenge.scheme.is_empty());
        let Some(realm) = challenge.parameter("realm") else { continue };
        if let RealmRule::Send(url) = judge(&server, realm, &[]) {
            assert_eq!(url.origin().ascii_serialization(), "https://registry.test");
            assert!(url.username().is_empty() && url.password().is_none());
        }
    }
});
