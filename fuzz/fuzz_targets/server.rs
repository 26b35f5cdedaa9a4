//! No text makes the parser of server names panic, a canonical name parses to itself, and a credential
//! that may only be sent over TLS does not match a request with `http://`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use registry_agent::domain::servers::server::{Scheme, Server};

fuzz_target!(|texts: (&str, &str)| {
    let (declared, asked) = texts;
    let Ok((server, _)) = Server::parse(declared) else { return };
    let name = server.name();
    let again = match server.scheme() {
        Scheme::Http => format!("http://{name}"),
        Scheme::Https | Scheme::Unstated => name.to_owned(),
    };
    let (again, dropped) = Server::parse(&again).expect("a canonical name is valid");
    assert_eq!(again.name(), name);
    assert_eq!(again.kind(), server.kind());
    assert_eq!(dropped, None);
    assert!(server.keys().iter().all(|key| server.answers_to(key)));
    if server.answers_to(asked) && asked.trim().to_ascii_lowercase().starts_with("http://") {
        let plain = server.scheme() == Scheme::Http;
        assert!(plain || (server.scheme() == Scheme::Unstated && server.is_loopback()));
    }
});
