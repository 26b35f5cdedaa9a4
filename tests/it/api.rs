//! The agent's API, used over its socket without our own client.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::support::test_home::TestHome;

/// The head and the body of a response.
fn ask(test_home: &TestHome, request: &str) -> (String, String) {
    let mut stream = UnixStream::connect(test_home.path("agent.sock")).unwrap();
    write!(stream, "{request} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn every_error_is_a_problem_document_with_a_title_and_a_detail() {
    let test_home = TestHome::new();
    test_home.start();
    for (request, status) in [
        ("GET /v1/nothing", 404),
        ("GET /v1/registries/unknown.test", 404),
        ("GET /v1/credential?server=unknown.test", 404),
        ("GET /v1/credential", 400),
        ("GET /v1/events?follow=perhaps", 400),
        ("PUT /v1/environment", 400),
        ("POST /v1/logins", 400),
        ("DELETE /v1/logins", 400),
        ("POST /v1/refresh?registry=unknown.test", 404),
        ("PATCH /v1/status", 405),
    ] {
        let (head, body) = ask(&test_home, request);
        assert!(head.starts_with(&format!("http/1.0 {status} ")), "{request}: {head}");
        assert!(head.contains("content-type: application/problem+json"), "{request}: {head}");
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"], status, "{request}");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{request}: {body}");
    }
}
