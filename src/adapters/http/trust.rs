//! The trusted certificates: the system's authorities, or built-in ones if an image has none, and
//! those that the user configured for one registry.

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::load_certs_from_paths;

use super::client_trust::ClientTrust;
use super::extra_roots::ExtraRoots;
use crate::adapters::regular_file::{self, OpenError};
use crate::domain::credentials::secret::Secret;
use crate::domain::declarations::source::Variables;
use crate::domain::reasons::connection::ConnectionFault;

/// A certificate in DER.
pub(super) type Certificate = CertificateDer<'static>;

/// The largest file of certificates, in bytes. The authorities of a system take 0.2 MiB.
const FILE_LIMIT: u64 = 16 << 20;

/// Where docker and podman look for a registry's own authorities (docker's "Verify repository
/// client with certificates", `containers-certs.d(5)`).
const CERTS_D: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// TLS configurations, by the certificates they trust in addition to the system's. Created on first
/// use.
#[derive(Default)]
pub(super) struct Trust {
    system: SystemRoots,
    made: Mutex<Made>,
}

/// The configurations that were made from one state of the system's files.
#[derive(Default)]
struct Made {
    files: Vec<FileState>,
    setups: HashMap<Vec<Certificate>, TlsSetup>,
}

/// What tells whether a file or a directory has changed: device, inode, size, and when it was last
/// modified, in seconds and nanoseconds; `None` if there is none.
type FileState = Option<(u64, u64, u64, i64, i64)>;

/// A TLS configuration and its verifier.
#[derive(Clone)]
struct TlsSetup {
    config: ClientConfig,
    verifier: Arc<ExtraRoots>,
}

/// The files and directories to read authorities from, instead of the system's default locations.
#[derive(Default, PartialEq, Eq)]
struct SystemRoots {
    file: Option<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Trust {
    /// Trusts the authorities in `SSL_CERT_FILE` and `SSL_CERT_DIR`, or else those of the system.
    pub(super) fn of_environment(environment: &Variables) -> Self {
        let value = |name| environment.get(name).map(Secret::reveal);
        let directories = std::env::split_paths(value("SSL_CERT_DIR").unwrap_or_default());
        let system = SystemRoots {
            file: value("SSL_CERT_FILE").map(PathBuf::from),
            directories: directories.filter(|path| !path.as_os_str().is_empty()).collect(),
        };
        Self { system, made: Mutex::default() }
    }

    /// The configuration that trusts `extra` in addition to the system's authorities.
    pub(super) fn config(&self, extra: &[Certificate]) -> Result<ClientConfig, ConnectionFault> {
        Ok(self.setup(extra)?.config)
    }

    /// As [`Trust::config`]. Sets `rejected` if `clients`, which trust `theirs` in addition to the
    /// system's authorities, would reject a certificate.
    pub(super) fn config_beside(
        &self,
        extra: &[Certificate],
        clients: &Self,
        theirs: &[Certificate],
        rejected: &Arc<AtomicBool>,
    ) -> Result<ClientConfig, ConnectionFault> {
        let TlsSetup { mut config, verifier } = self.setup(extra)?;
        let clients = clients.setup(theirs)?.verifier;
        let rejected = Arc::clone(rejected);
        let verifier = ClientTrust { agent: verifier, clients, rejected };
        config.dangerous().set_certificate_verifier(Arc::new(verifier));
        // A resumed session presents no certificate.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Whether the authorities come from the same files as those of `other`.
    pub(super) fn reads_the_same(&self, other: &Self) -> bool {
        self.system == other.system
    }

    /// The file in `SSL_CERT_FILE`.
    pub(super) fn file(&self) -> Option<&Path> {
        self.system.file.as_deref()
    }

    fn setup(&self, extra: &[Certificate]) -> Result<TlsSetup, ConnectionFault> {
        let files = self.system.file_states();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.files != files {
            *made = Made { files, ..Made::default() };
        }
        if let Some(setup) = made.setups.get(extra) {
            return Ok(setup.clone());
        }
        let setup = build(&self.system, extra).map_err(|error| ConnectionFault::Tls { error })?;
        made.setups.insert(extra.to_vec(), setup.clone());
        Ok(setup)
    }

    /// Makes the next call read the system's authorities again, although no file seems to have changed: one
    /// that a directory links to may have.
    pub(super) fn forget(&self) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).setups.clear();
    }
}

/// What the TLS configuration of one client is made of.
pub(super) struct ClientTrustRequest {
    /// What the agent trusts.
    pub(super) agent: Arc<Trust>,
    /// What the registry's clients trust.
    pub(super) clients: Arc<Trust>,
    /// The names of the registry's `certs.d` directories.
    pub(super) names: Vec<String>,
    /// The declared CA file.
    pub(super) ca_file: Option<PathBuf>,
    /// Set if the registry's clients would reject a certificate.
    pub(super) rejected: Arc<AtomicBool>,
}

impl ClientTrustRequest {
    /// The file that the user set for the agent: the registry's own, or `SSL_CERT_FILE`.
    pub(super) fn own_file(&self) -> Option<&Path> {
        self.ca_file.as_deref().or(self.agent.file())
    }

    /// Reads the files, which takes long where a file system does not respond.
    pub(super) fn read(self) -> Result<ClientConfig, ConnectionFault> {
        let theirs = in_certs_d(&self.names);
        let mut extra = theirs.clone();
        if let Some(file) = &self.ca_file {
            extra.extend(in_file(file)?);
        }
        if self.own_file().is_none() {
            return self.agent.config(&extra);
        }
        self.agent.config_beside(&extra, &self.clients, &theirs, &self.rejected)
    }
}

/// The fault of certificates that cannot be read in time: those in `file`, or else those of the system.
pub(super) fn no_response(file: Option<&Path>) -> ConnectionFault {
    ConnectionFault::CaFile {
        // To look for the system's files here could take as long again.
        path: file.unwrap_or(Path::new("/etc")).display().to_string(),
        error: "its file system does not respond".to_owned(),
        was_read: false,
    }
}

/// The certificates that clients trust only for one registry: from the `certs.d` directories of these
/// names.
fn in_certs_d(names: &[String]) -> Vec<Certificate> {
    let mut found = Vec::new();
    for file in certs_d(names) {
        match read(&file) {
            Ok(certificates) => found.extend(certificates),
            // A bad file among several is only logged: the others may be sufficient.
            Err(FileFault { error, .. }) => {
                tracing::warn!("the certificates in {} cannot be read: {error}", file.display());
            }
        }
    }
    found
}

/// The certificates in a declared CA file.
fn in_file(file: &Path) -> Result<Vec<Certificate>, ConnectionFault> {
    read(file).map_err(|FileFault { error, was_read }| ConnectionFault::CaFile {
        path: file.display().to_string(),
        error,
        was_read,
    })
}

/// The `*.crt` files in every directory with one of these names, in a stable order.
fn certs_d(names: &[String]) -> BTreeSet<PathBuf> {
    let directories = names
        .iter()
        .filter(|name| !name.contains('/'))
        .flat_map(|name| CERTS_D.map(|parent| Path::new(parent).join(name)));
    directories
        .filter_map(|directory| std::fs::read_dir(directory).ok())
        .flat_map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "crt"))
        .collect()
}

/// Why a file provides no certificates.
#[derive(Debug)]
struct FileFault {
    error: String,
    was_read: bool,
}

/// The certificates in a file that the user names; all must be valid.
fn read(file: &Path) -> Result<Vec<Certificate>, FileFault> {
    let unusable = |error: &str| FileFault { error: error.to_owned(), was_read: true };
    let certificates = Certificate::pem_slice_iter(&pem_in(file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unusable("it is not PEM"))?;
    if certificates.is_empty() {
        return Err(unusable("it contains no certificate"));
    }
    Ok(certificates)
}

fn pem_in(file: &Path) -> Result<Vec<u8>, FileFault> {
    let fault = |error: String, was_read| Err(FileFault { error, was_read });
    match regular_file::read(file, FILE_LIMIT) {
        Ok(Some(pem)) => Ok(pem),
        Ok(None) => fault(format!("it is larger than {} MiB", FILE_LIMIT >> 20), true),
        Err(OpenError::Io(error)) if error.kind() == ErrorKind::NotFound => {
            fault("it does not exist".to_owned(), false)
        }
        Err(OpenError::Io(error)) => fault(error.kind().to_string(), false),
        Err(error) => fault(error.to_string(), true),
    }
}

impl SystemRoots {
    fn load(&self) -> Vec<Certificate> {
        let (file, directories) = self.places();
        let mut found = Vec::new();
        if let Some(file) = file {
            match pem_in(&file) {
                // One that is malformed, as in the middle of a bundle, does not take the others with it.
                Ok(pem) => found.extend(Certificate::pem_slice_iter(&pem).filter_map(Result::ok)),
                Err(FileFault { error, .. }) => {
                    let file = file.display();
                    tracing::warn!(
                        "the certificates of the system in {file} cannot be read: {error}"
                    );
                }
            }
        }
        for directory in directories {
            let read = load_certs_from_paths(None, Some(&directory));
            for error in &read.errors {
                tracing::debug!("some certificates of the system cannot be read: {error}");
            }
            found.extend(read.certs);
        }
        found
    }

    fn file_states(&self) -> Vec<FileState> {
        let (file, directories) = self.places();
        let state = |path: PathBuf| {
            let it = std::fs::metadata(path).ok()?;
            Some((it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec()))
        };
        file.into_iter().chain(directories).map(state).collect()
    }

    /// The file and the directories with the authorities.
    fn places(&self) -> (Option<PathBuf>, Vec<PathBuf>) {
        if self.file.is_none() && self.directories.is_empty() {
            let found = openssl_probe::probe();
            return (found.cert_file, found.cert_dir);
        }
        (self.file.clone(), self.directories.clone())
    }
}

fn build(system: &SystemRoots, extra: &[Certificate]) -> Result<TlsSetup, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system.load());
    if roots.is_empty() {
        tracing::info!("this system has no certificate authorities; the built-in ones are used");
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    roots.add_parsable_certificates(extra.iter().cloned());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| error.to_string())?;
    let verifier = Arc::new(ExtraRoots::new(usual, extra.to_vec()));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsSetup { config, verifier })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("ca.pem");
        let fault = |path: &Path| {
            let FileFault { error, was_read } = read(path).unwrap_err();
            (error, was_read)
        };
        assert_eq!(fault(&file), ("it does not exist".to_owned(), false));
        std::fs::write(&file, "").unwrap();
        assert_eq!(fault(&file), ("it contains no certificate".to_owned(), true));
        assert_eq!(fault(directory.path()), ("it is not a regular file".to_owned(), true));
        let other = "-----BEGIN CERTIFICATE-----\nnot base64\n-----END CERTIFICATE-----\n";
        let valid = rcgen::generate_simple_self_signed(["r.test".to_owned()]).unwrap().cert.pem();
        std::fs::write(&file, format!("{other}{valid}")).unwrap();
        assert_eq!(fault(&file), ("it is not PEM".to_owned(), true));
        let system = SystemRoots { file: Some(file), directories: Vec::new() };
        assert_eq!(system.load().len(), 1, "a malformed authority takes no other with it");
    }
}
