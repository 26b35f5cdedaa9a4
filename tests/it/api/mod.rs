//! The agent's API, used over its socket without our own client.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::support::test_home::TestHome;

mod document;
mod errors;
mod examples;
mod limits;
mod metrics;
mod others;

/// A response.
struct Reply {
    status: u16,
    /// Status line and header fields, in lower case.
    head: String,
    body: String,
}

impl Reply {
    fn read(mut stream: UnixStream) -> Self {
        let mut text = String::new();
        // The agent may close the connection while it still receives the request.
        let _ = stream.read_to_string(&mut text);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }
}

fn connect(test_home: &TestHome) -> UnixStream {
    UnixStream::connect(test_home.path("agent.sock")).unwrap()
}

/// Sends these bytes and reads the response.
fn send(test_home: &TestHome, request: &[u8]) -> Reply {
    let mut stream = connect(test_home);
    // The agent may respond before it has received everything.
    let _ = stream.write_all(request);
    Reply::read(stream)
}

/// Sends a request such as `GET /v1/status` without a body.
fn ask(test_home: &TestHome, request: &str) -> Reply {
    let head = "HTTP/1.1\r\nHost: agent\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    send(test_home, format!("{request} {head}").as_bytes())
}
