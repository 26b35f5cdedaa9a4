//! Clients of the socket that are many, idle, slow, or stop in the middle.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use registry_agent::adapters::clock;

use crate::soak::schedule::{Fault, Step};
use crate::soak::world::World;

const STATUS: &str = "GET /v1/status HTTP/1.1\r\nHost: agent\r\n\r\n";
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(world: &World, step: &Step) {
    let count = 20 + step.choice % 100;
    let socket = world.home.path("agent.sock");
    let connections = (0..count).filter_map(|_| UnixStream::connect(&socket).ok());
    let mut connections: Vec<UnixStream> = connections.collect();
    for connection in &connections {
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        connection.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    // The agent may have died since.
    let mut send = |text: &str| {
        for connection in &mut connections {
            let _ = connection.write_all(text.as_bytes());
        }
    };
    match step.fault {
        Fault::IdleClients => {}
        Fault::HalfRequests => send(&STATUS[..30]),
        Fault::Followers => send("GET /v1/events?follow=true HTTP/1.1\r\nHost: agent\r\n\r\n"),
        Fault::SlowReaders => send(&STATUS.repeat(50)),
        Fault::StatusClients => {
            send(&STATUS.replace("HTTP/1.1", "HTTP/1.0"));
            for connection in &mut connections {
                let _ = connection.read_to_end(&mut Vec::new());
            }
        }
        fault => panic!("{fault:?} is no client"),
    }
    clock::pause(step.lasts);
}
