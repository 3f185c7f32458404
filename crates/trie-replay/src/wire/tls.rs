//! TLS by rustls with ring: whom to trust, who we are, and what went wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError,
    RootCertStore, SignatureScheme,
};
use rustls_native_certs::load_native_certs;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connect::ConnectError;
use super::endpoint::Endpoint;
use super::failure::{FailureKind, chain};

/// Whom an https endpoint is checked against.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// PEM file of further authorities to trust, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate chain and its private key.
    pub client_cert: Option<PathBuf>,
    /// Trust any certificate.
    pub insecure: bool,
    /// Agree on HTTP/2 in the handshake, and on nothing else.
    pub http2: bool,
}

/// TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsSetupError {
    /// A PEM file cannot be used.
    #[error("cannot read {what} from {} ({source})", path.display())]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: PemError,
    },
    /// Certificate and key do not go together, or rustls refuses them.
    #[error("cannot use the certificates ({0})")]
    Refused(#[from] TlsError),
    /// The file holds none.
    #[error("{} holds no certificate; hint: it must be a PEM file", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Nobody to trust.
    #[error("no trusted certificates on this machine ({why}); hint: name some with ca_file=")]
    NoRoots {
        /// What the system's store says.
        why: String,
    },
    /// No name to check a certificate against.
    #[error("`{host}` cannot stand in a certificate ({source})")]
    Name {
        /// The endpoint's host.
        host: String,
        /// Why not.
        source: InvalidDnsNameError,
    },
}

/// Ready-made TLS for one endpoint.
#[derive(Clone)]
pub(crate) struct TlsConfig {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TlsConfig {
    pub(crate) fn new(settings: &TlsSettings, endpoint: &Endpoint) -> Result<Self, TlsSetupError> {
        let host = endpoint.host.clone();
        let name = ServerName::try_from(host.clone())
            .map_err(|source| TlsSetupError::Name { host, source })?;
        let config = client_config(settings)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Shakes hands over `stream`; `to` names the peer in errors.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        to: String,
    ) -> Result<TlsStream<S>, ConnectError> {
        let shaken = self.connector.connect(self.name.clone(), stream).await;
        let shaken = shaken.map_err(|error| handshake_error(&error, to))?;
        let session = shaken.get_ref().1;
        if self.connector.config().alpn_protocols.is_empty()
            || session.alpn_protocol() == Some(HTTP2)
        {
            return Ok(shaken);
        }
        Err(ConnectError::NoHttp2 {
            why: "it agreed on no protocol in the TLS handshake".to_owned(),
        })
    }
}

/// HTTP/2's name in a handshake.
const HTTP2: &[u8] = b"h2";

fn client_config(settings: &TlsSettings) -> Result<ClientConfig, TlsSetupError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = if settings.insecure {
        let verifier = Arc::new(TrustAnyone { provider });
        builder.dangerous().with_custom_certificate_verifier(verifier)
    } else {
        builder.with_root_certificates(roots(settings.ca_file.as_deref())?)
    };
    let mut config = match &settings.client_cert {
        None => builder.with_no_client_auth(),
        Some(path) => builder.with_client_auth_cert(certificates(path)?, private_key(path)?)?,
    };
    if settings.http2 {
        config.alpn_protocols = vec![HTTP2.to_vec()];
    }
    Ok(config)
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsSetupError> {
    let mut store = RootCertStore::empty();
    let native = load_native_certs();
    store.add_parsable_certificates(native.certs);
    if let Some(path) = ca_file {
        for certificate in certificates(path)? {
            store.add(certificate)?;
        }
    }
    if store.is_empty() {
        let errors: Vec<String> = native.errors.iter().map(ToString::to_string).collect();
        return Err(TlsSetupError::NoRoots { why: errors.join("; ") });
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let failed =
        |source| TlsSetupError::Pem { what: "certificates", path: path.to_owned(), source };
    let found: Result<Vec<_>, PemError> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect();
    let found = found.map_err(failed)?;
    if found.is_empty() {
        return Err(TlsSetupError::Empty { path: path.to_owned() });
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    let failed =
        |source| TlsSetupError::Pem { what: "a private key", path: path.to_owned(), source };
    PrivateKeyDer::from_pem_file(path).map_err(failed)
}

fn handshake_error(error: &io::Error, to: String) -> ConnectError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    if tls == Some(&TlsError::AlertReceived(AlertDescription::NoApplicationProtocol)) {
        return ConnectError::NoHttp2 { why: "it refused it in the TLS handshake".to_owned() };
    }
    let (kind, hint) = match tls {
        Some(TlsError::InvalidMessage(_)) => {
            (FailureKind::TlsNotTls, "the port speaks no TLS: is the endpoint http://?")
        }
        Some(TlsError::InvalidCertificate(error)) => certificate_kind(error),
        Some(_) | None => (FailureKind::Tls, "does the server want a client certificate?"),
    };
    ConnectError::Tls { to, kind, message: chain(error), hint }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is rustls's own and grows")]
fn certificate_kind(error: &CertificateError) -> (FailureKind, &'static str) {
    match error {
        CertificateError::UnknownIssuer => (
            FailureKind::TlsUnknownIssuer,
            "name the authority with ca_file=, or trust anyone with insecure=True",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (FailureKind::TlsName, "use the host name that the certificate is for")
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            (FailureKind::TlsExpired, "renew the server's certificate, or check this clock")
        }
        _ => (FailureKind::Tls, "insecure=True trusts any certificate"),
    }
}

/// `insecure`: encrypts without knowing to whom. Signatures are still checked.
#[derive(Debug)]
struct TrustAnyone {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
