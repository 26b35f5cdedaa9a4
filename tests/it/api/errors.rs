//! Every error is a problem document.

use std::io::Write;

use serde_json::Value;

use super::{Reply, ask, connect, send};
use crate::support::test_home::TestHome;

/// Checks that the reply is a complete problem document.
fn assert_problem(request: &str, reply: &Reply, status: u16) {
    let Reply { head, body, .. } = reply;
    assert_eq!(reply.status, status, "{request}: {head}\n{body}");
    assert!(head.contains("content-type: application/problem+json"), "{request}: {head}");
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{request}: {body}"));
    assert_eq!(problem["status"], status, "{request}");
    for field in ["title", "detail", "hint"] {
        assert!(problem[field].is_string(), "{request}: {field} is missing in {body}");
    }
}

#[test]
fn every_error_is_a_problem_document_with_a_title_and_a_detail() {
    let test_home = TestHome::new();
    test_home.start();
    for (request, status) in [
        ("GET /v1/nothing", 404),
        ("GET /", 404),
        ("GET /v1/registries/unknown.test", 404),
        ("GET /v1/registries/100%25", 404),
        ("GET /v1/registries/%zz", 404),
        ("GET /v1/registries/%FF", 400),
        ("GET /v1/credential?server=unknown.test", 404),
        ("GET /v1/credential", 400),
        ("GET /v1/credential?server=%FF", 400),
        ("GET /v1/credential?server=a&server=b", 400),
        ("GET /v1/credential?registry=a", 400),
        ("GET /v1/events?follow=perhaps", 400),
        ("PUT /v1/environment", 400),
        ("POST /v1/logins", 400),
        ("DELETE /v1/logins", 400),
        ("POST /v1/refresh?registry=unknown.test", 404),
        // Ignored, this would refresh all logins.
        ("POST /v1/refresh?server=unknown.test", 400),
        ("PATCH /v1/status", 405),
        ("BREW /v1/environment", 405),
    ] {
        assert_problem(request, &ask(&test_home, request), status);
    }
    for (body, status) in [("[]", 400), ("{\"A\":1}", 400), ("{\"A\":\"\u{0}\"}", 400)] {
        let request =
            format!("PUT /v1/environment HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_problem(&request, &send(&test_home, request.as_bytes()), status);
    }
}

#[test]
fn a_request_that_is_not_http_gets_a_problem_document() {
    let test_home = TestHome::new();
    test_home.start();
    let long = "x".repeat(20_000);
    let fields = "A: b\r\n".repeat(100);
    for (request, status) in [
        ("hello\r\n\r\n".to_owned(), 400),
        ("\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), 400),
        ("GET /healthz HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400),
        ("GET /healthz HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400),
        ("PUT /v1/environment HTTP/1.1\r\nContent-Length: few\r\n\r\n".to_owned(), 400),
        (format!("GET /healthz HTTP/1.1\r\nA: {long}\r\n\r\n"), 431),
        (format!("GET /healthz HTTP/1.1\r\n{fields}\r\n"), 431),
    ] {
        let shown = &request[..request.len().min(60)];
        assert_problem(shown, &send(&test_home, request.as_bytes()), status);
    }
    assert_eq!(send(&test_home, b"GET /healthz HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn a_method_that_is_not_allowed_is_told_which_are() {
    let test_home = TestHome::new();
    test_home.start();
    for (request, allowed) in [
        ("PUT /v1/status", "get,head"),
        ("GET /v1/logins", "post,delete"),
        ("GET /v1/environment", "put"),
    ] {
        let reply = ask(&test_home, request);
        assert_problem(request, &reply, 405);
        let allow = reply.head.lines().find_map(|line| line.strip_prefix("allow: "));
        assert_eq!(allow, Some(allowed), "{request}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let mut test_home = TestHome::new();
    test_home.declare("ACME", "127.0.0.1:1", ("user", "secret"));
    test_home.start();
    for target in [
        "/v1/status",
        "/v1/registries/ACME",
        "/v1/registries/NOPE",
        "/v1/events",
        "/v1/events?follow=true",
        "/v1/credential?server=127.0.0.1:1",
        "/v1/openapi.json",
        "/healthz",
        "/readyz",
        "/metrics",
        "/nothing",
    ] {
        let head = ask(&test_home, &format!("HEAD {target}"));
        assert_eq!(head.body, "", "{target}");
        let status =
            if target == "/v1/registries/NOPE" || target == "/nothing" { 404 } else { 200 };
        assert_eq!(head.status, status, "{target}");
    }
}

#[test]
fn a_body_that_is_too_large_is_a_problem_document_and_is_not_read() {
    let test_home = TestHome::new();
    test_home.start();
    let value = "canary".repeat(400_000);
    let environment = format!("{{\"A_CONTAINER_REGISTRY_PASSWORD\":\"{value}\"}}");
    let whole = format!("PUT /v1/environment HTTP/1.0\r\nContent-Length: {}", environment.len());
    for (request, body) in [
        // The body never comes.
        ("PUT /v1/environment HTTP/1.1\r\nContent-Length: 16777217", String::new()),
        ("POST /v1/logins HTTP/1.1\r\nContent-Length: 2097153", String::new()),
        (
            "POST /v1/logins HTTP/1.1\r\nTransfer-Encoding: chunked",
            format!("{:x}\r\n{value}\r\n0\r\n\r\n", value.len()),
        ),
        (&whole, environment),
    ] {
        let reply = send(&test_home, format!("{request}\r\n\r\n{body}").as_bytes());
        assert_problem(request, &reply, 413);
        assert!(!reply.body.contains("canary"), "{request}");
    }
}

#[test]
fn a_request_that_stops_halfway_gets_a_problem_document_and_an_idle_connection_ends() {
    let test_home = TestHome::new();
    test_home.start();
    let half_head = "GET /healthz HTTP/1.1\r\nHost:";
    let half_body = "PUT /v1/environment HTTP/1.1\r\nContent-Length: 20\r\n\r\n{\"A\":";
    let streams = [half_head, half_body].map(|request| {
        let mut stream = connect(&test_home);
        stream.write_all(request.as_bytes()).unwrap();
        (request, stream)
    });
    let mut idle = connect(&test_home);
    let mut used = connect(&test_home);
    used.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
    for (request, stream) in streams {
        assert_problem(request, &Reply::read(stream), 408);
    }
    let mut rest = Vec::new();
    assert_eq!(std::io::Read::read_to_end(&mut idle, &mut rest).unwrap(), 0, "an idle connection");
    assert_eq!(Reply::read(used).status, 200);
}
