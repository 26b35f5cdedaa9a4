//! A name server and a proxy for isolated networks.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// A name server that resolves `dns.test` to 127.0.0.1 and no other name.
pub(crate) async fn name_server(address: &str) -> tokio::task::JoinHandle<()> {
    let socket = UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut question).await.unwrap();
            let question = &question[..length];
            // RFC 1035, section 4: header, name, type and class.
            let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let known = question[12..].starts_with(b"\x03dns\x04test\0");
            let is_a = question[end - 3] == 1;
            let mut answer = question[..2].to_vec();
            answer.extend(if known { [0x81, 0x80] } else { [0x81, 0x83] });
            answer.extend([0, 1, 0, u8::from(known && is_a), 0, 0, 0, 0]);
            answer.extend(&question[12..end]);
            if known && is_a {
                answer.extend(b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01");
            }
            socket.send_to(&answer, from).await.unwrap();
        }
    })
}

/// A proxy that requires `user:p@ss` and connects to 127.0.0.1 for any host.
pub(crate) async fn proxy() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await?);
                }
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                let answer = if !head.contains("proxy-authorization: basic dxnlcjpwqhnz\r\n") {
                    "407 Who?"
                } else if !head.starts_with("connect r.test:443 ") {
                    "403 Not there"
                } else {
                    "200 OK"
                };
                client.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await?;
                if answer == "200 OK" {
                    let mut server = TcpStream::connect("127.0.0.1:443").await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    address
}
