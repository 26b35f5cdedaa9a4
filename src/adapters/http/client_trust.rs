//! Notices certificates that the agent accepts and docker does not: clients read neither `_CA_FILE`
//! nor the agent's `SSL_CERT_FILE`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::extra_roots::ExtraRoots;

/// Verifies certificates for the agent, and then again as clients would.
#[derive(Debug)]
pub(super) struct ClientTrust {
    pub(super) agent: Arc<ExtraRoots>,
    pub(super) clients: Arc<ExtraRoots>,
    /// Whether clients would reject a certificate that the agent has accepted.
    pub(super) rejected: Arc<AtomicBool>,
}

impl ServerCertVerifier for ClientTrust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = |verifier: &ExtraRoots| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        let verified = verify(&self.agent)?;
        if verify(&self.clients).is_err() {
            self.rejected.store(true, Ordering::Relaxed);
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.agent.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.agent.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.agent.supported_verify_schemes()
    }
}
