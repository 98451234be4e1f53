//! Who somebody is: a key pair with a self-signed certificate. Nobody vouches
//! for a certificate but the pinned digest of it, so its names and dates mean
//! nothing; what counts is that its holder has the key, which the TLS handshake
//! proves anew on every connection.

use std::fmt;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Digest, hex_bytes, hex_text};

/// A certificate and its secret key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Identity {
    certificate: CertificateDer<'static>,
    /// PKCS #8.
    key: Arc<[u8]>,
}

/// As it lies in a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    certificate: String,
    key: String,
}

impl Identity {
    /// A new key (ECDSA over P-256) with its certificate.
    pub fn generate() -> Self {
        let key = KeyPair::generate().expect("the system gives random numbers");
        let certificate = CertificateParams::new(vec!["bespoke".into()])
            .and_then(|params| params.self_signed(&key))
            .expect("a fixed name makes a certificate");
        Identity {
            certificate: certificate.der().clone(),
            key: key.serialize_der().into(),
        }
    }

    /// The digest of the certificate, by which others know this identity.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.certificate)
    }

    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }
}

/// Never shows the key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint().short())
    }
}

impl From<Identity> for Stored {
    fn from(identity: Identity) -> Stored {
        Stored {
            certificate: hex_text(&identity.certificate),
            key: hex_text(&identity.key),
        }
    }
}

impl TryFrom<Stored> for Identity {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let bytes = |text: &str| hex_bytes(text).ok_or("keys are hexadecimal digits");
        Ok(Identity {
            certificate: bytes(&stored.certificate)?.into(),
            key: bytes(&stored.key)?.into(),
        })
    }
}
