//! Parsing of server names: a table, and properties that hold for any text.

use proptest::prelude::*;
use registry_agent::domain::servers::server::{Kind, Scheme, Server};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    declared: String,
    error: Option<String>,
    #[serde(default)]
    server: String,
    #[serde(default)]
    kind: String,
    keys: Option<Vec<String>>,
    #[serde(default)]
    asked: Vec<String>,
    #[serde(default)]
    not_asked: Vec<String>,
    account: Option<String>,
    region: Option<String>,
    fips: Option<bool>,
    dual_stack: Option<bool>,
    loopback: Option<bool>,
    authority: Option<String>,
    /// The dropped path; empty if there is none.
    dropped: Option<String>,
}

#[test]
fn every_server_is_parsed_as_the_table_says() {
    let table: Table = serde_json::from_str(include_str!("fixtures/servers.json")).unwrap();
    let mut wrong = Vec::new();
    for case in &table.cases {
        if let Err(what) = check(case) {
            wrong.push(format!("{:?}: {what}", case.declared));
        }
    }
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn check(case: &Case) -> Result<(), String> {
    let (server, dropped) = match (Server::parse(&case.declared), &case.error) {
        (Err(fault), Some(error)) => return same("fault", fault.to_string().contains(error), true),
        (Err(fault), None) => return Err(format!("not understood: {fault}")),
        (Ok((server, _)), Some(error)) => {
            return Err(format!("understood as {server}, not {error}"));
        }
        (Ok(parsed), None) => parsed,
    };
    same("server", server.name(), case.server.as_str())?;
    same("display", server.to_string().as_str(), case.server.as_str())?;
    same("kind", server.kind().as_str(), case.kind.as_str())?;
    if let Some(keys) = &case.keys {
        same("keys", &server.keys(), keys)?;
    }
    if let Some(loopback) = case.loopback {
        same("loopback", server.is_loopback(), loopback)?;
    }
    if let Some(authority) = &case.authority {
        same("authority", server.authority(), authority.as_str())?;
    }
    if let Some(expected) = &case.dropped {
        same("dropped", &dropped.unwrap_or_default(), expected)?;
    }
    check_ecr(case, &server)?;
    let own = [case.declared.clone(), server.name().to_owned()];
    let token = case.declared.ends_with("-token");
    for asked in case.asked.iter().chain(own.iter().filter(|_| !token)).chain(&server.keys()) {
        same(&format!("answers to {asked:?}"), server.answers_to(asked), true)?;
    }
    for asked in &case.not_asked {
        same(&format!("answers to {asked:?}"), server.answers_to(asked), false)?;
    }
    Ok(())
}

fn check_ecr(case: &Case, server: &Server) -> Result<(), String> {
    let Kind::Ecr(host) = server.kind() else {
        return same("account", case.account.as_deref(), None);
    };
    same("account", Some(host.account.as_str()), case.account.as_deref())?;
    same("region", Some(host.region.as_str()), case.region.as_deref())?;
    if let (Some(fips), Some(dual_stack)) = (case.fips, case.dual_stack) {
        same("fips", host.fips, fips)?;
        same("dual stack", host.dual_stack, dual_stack)?;
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "reads as an assertion at its callers")]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what} is {is:?}, should be {should:?}")) }
}

#[test]
fn an_error_never_repeats_the_input() {
    for typed in
        ["https://canary:canary@host", "ftp://canary", "canary canary", "a:canary", "canary\n"]
    {
        let fault = Server::parse(typed).unwrap_err();
        assert!(!format!("{fault} {fault:?}").contains("canary"), "{typed:?}: {fault}");
    }
}

/// Random text that often resembles a server.
fn any_typed() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "(https?|HTTP|ftp)?(://)?",
        "[a-zA-Z0-9.:@/_%-]{0,12}",
        "\\[[0-9a-f:.]{0,12}\\]",
        "(:[0-9]{0,6})?",
        Just("docker.io".to_owned()),
        Just("111122223333.dkr.ecr.eu-west-1.amazonaws.com".to_owned()),
        any::<String>(),
        "[äßſΩ。．\u{ad}\u{200d}]{0,3}",
    ];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn parsing_a_canonical_name_gives_the_same_name(typed in any_typed()) {
        let Ok((server, _)) = Server::parse(&typed) else { return Ok(()) };
        // The name has no scheme, which a plain-HTTP registry on port 443 needs.
        let again = match server.scheme() {
            Scheme::Http => format!("http://{}", server.name()),
            _ => server.name().to_owned(),
        };
        let (again, dropped) = Server::parse(&again).unwrap();
        prop_assert_eq!(again.name(), server.name());
        prop_assert_eq!(again.kind(), server.kind());
        prop_assert_eq!(again.authority(), server.authority());
        prop_assert_eq!(dropped, None);
        prop_assert!(again.keys().iter().all(|key| server.keys().contains(key)));
        for key in server.keys() {
            prop_assert!(server.answers_to(&key), "{}", key);
        }
    }

    #[test]
    fn the_authority_is_the_same_as_in_a_parsed_url(typed in any_typed()) {
        let Ok((server, _)) = Server::parse(&typed) else { return Ok(()) };
        let scheme = if server.scheme() == Scheme::Http { "http" } else { "https" };
        let url = url::Url::parse(&format!("{scheme}://{}/v2/", server.authority())).unwrap();
        prop_assert_eq!(url.host_str(), Some(server.host()));
        prop_assert_eq!(url.port_or_known_default(), Some(server.port()));
    }

    #[test]
    fn no_query_panics_or_gets_a_tls_credential_over_http(typed in any_typed(), asked in any_typed()) {
        let Ok((server, _)) = Server::parse(&typed) else { return Ok(()) };
        let plain = format!("http://{}", asked.trim());
        let may = server.scheme() == Scheme::Http
            || (server.scheme() == Scheme::Unstated && server.is_loopback());
        server.answers_to(&asked);
        prop_assert!(may || !server.answers_to(&plain));
    }
}
