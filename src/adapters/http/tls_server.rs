//! Finds out whether a server that is declared with `http://` speaks TLS.

use std::iter;

use reqwest::Url;

use super::{HttpReply, RegistryClient};
use crate::domain::reasons::connection::ConnectionFault;

impl RegistryClient<'_> {
    /// The server with TLS if it speaks TLS although `http://` is declared: its `reply` to the
    /// request in plain text was an error, and TLS gets further, on the same port or, where none is
    /// declared, on that of https. Nothing secret is sent. `authority` is the server as declared.
    pub(crate) async fn tls_server(
        &self,
        host: &str,
        port: u16,
        authority: &str,
        reply: &Result<HttpReply, ConnectionFault>,
    ) -> Option<String> {
        let may_be_tls = match reply {
            Ok(reply) => reply.status == 400,
            Err(fault) => matches!(fault, ConnectionFault::NotHttp | ConnectionFault::BrokenOff),
        };
        if !may_be_tls {
            return None;
        }
        let own_port = format!("{host}:{port}");
        let has_port = authority == own_port;
        for server in iter::once(own_port.as_str()).chain((!has_port).then_some(host)) {
            let secure = Url::parse(&format!("https://{server}/")).ok()?;
            let speaks = match self.send(self.request().get(secure)).await {
                Ok(_) => true,
                Err(ConnectionFault::NotTls | ConnectionFault::HandshakeEnded) => false,
                Err(fault) => fault.is_of_tls(),
            };
            if speaks {
                return Some(server.to_owned());
            }
        }
        None
    }
}
