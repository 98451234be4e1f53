//! TLS 1.3 with pinned certificates in both directions. The caller accepts the
//! one server whose certificate has the digest it was told; the server takes
//! any certificate whose key the caller holds, and whoever asked decides by the
//! digest what that caller may do. Dates are not looked at: a board without a
//! battery does not know what day it is.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::{Channel, Digest, Identity};

/// How long connecting and the handshake may take together.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Longer certificates are not looked at.
const MAX_CERTIFICATE: usize = 4 << 10;

/// A connection that proved to hold the key of this certificate.
pub struct Accepted {
    pub channel: Channel<server::TlsStream<TcpStream>>,
    pub caller: Digest,
}

/// What accepts connections as `identity`.
pub fn acceptor(identity: &Identity) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AnyKey {
        provider: provider.clone(),
    });
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("ring has TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain(), identity.key());
    let mut config = config.expect("the certificate belongs to the key");
    // Every connection proves its key anew; there is nothing to resume.
    config.send_tls13_tickets = 0;
    TlsAcceptor::from(Arc::new(config))
}

/// Greets one caller.
///
/// # Errors
/// When the handshake fails or takes too long.
pub async fn accept(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<Accepted> {
    stream.set_nodelay(true)?;
    let stream = timely(acceptor.accept(stream)).await?;
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|c| c.first());
    let caller = certificate.map(|c| Digest::of(c));
    Ok(Accepted {
        caller: caller.ok_or_else(|| io::Error::other("the caller showed no certificate"))?,
        channel: Channel::new(stream),
    })
}

/// Calls the server at `address` (`HOST:PORT`), which must be `server`.
///
/// # Errors
/// When it cannot be reached or is another one.
pub async fn connect(
    address: &str,
    server: Digest,
    identity: &Identity,
) -> io::Result<Channel<client::TlsStream<TcpStream>>> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Pinned {
        server,
        provider: provider.clone(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("ring has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(identity.chain(), identity.key())
        .map_err(io::Error::other)?;
    let name = ServerName::try_from("bespoke").expect("a valid name");
    let connector = TlsConnector::from(Arc::new(config));
    timely(async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        connector.connect(name, stream).await
    })
    .await
    .map(Channel::new)
    .map_err(|error| match rejected(&error) {
        true => io::Error::other(
            "whoever answers there is not the trusted coordinator: its certificate is another",
        ),
        false => error,
    })
}

/// Whether a handshake failed because of the other side's certificate.
fn rejected(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    matches!(inner, Some(Error::InvalidCertificate(_)))
}

async fn timely<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(HANDSHAKE, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the other side does not answer",
        )),
    }
}

/// The methods that verifying a server's and a caller's certificate have in
/// common: the handshake is signed by the certificate's key, in TLS 1.3.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(Error::General("TLS 1.2 is not spoken".into()))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let algorithms = &self.provider.signature_verification_algorithms;
            algorithms.supported_schemes()
        }
    };
}

/// Takes the one server that has this certificate.
#[derive(Debug)]
struct Pinned {
    server: Digest,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match Digest::of(certificate) == self.server {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    signatures!();
}

/// Takes any certificate whose key the caller holds.
#[derive(Debug)]
struct AnyKey {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match certificate.len() <= MAX_CERTIFICATE {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(CertificateError::BadEncoding.into()),
        }
    }

    signatures!();
}
