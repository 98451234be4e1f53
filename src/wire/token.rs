//! Enrolment tokens: what a person carries from the coordinator to a device.
//! A token tells the device which server to trust and the server which device
//! to admit; it serves once and for a limited time.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;

use super::{Digest, hex_bytes, hex_text};

/// The server's certificate digest and a secret: `<64 digits>.<32 digits>`.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolToken {
    pub server: Digest,
    /// 128 random bits.
    pub secret: [u8; 16],
}

impl EnrolToken {
    /// A new token for this server.
    pub fn new(server: Digest) -> Self {
        EnrolToken {
            server,
            secret: rand::rng().random(),
        }
    }

    /// What the server keeps of a secret: enough to know it again.
    pub fn digest(secret: &[u8]) -> Digest {
        Digest::of(secret)
    }
}

impl fmt::Display for EnrolToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.server, hex_text(&self.secret))
    }
}

/// Never shows the secret.
impl fmt::Debug for EnrolToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolToken({})", self.server.short())
    }
}

impl FromStr for EnrolToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.trim().split_once('.').and_then(|(server, secret)| {
            Some(EnrolToken {
                server: server.parse().ok()?,
                secret: hex_bytes(secret)?.try_into().ok()?,
            })
        });
        parsed.ok_or_else(|| {
            "this is no enrolment token: it has 64 hexadecimal digits, a dot and 32 more, \
             as `bespoke devices enrol NAME` prints it"
                .into()
        })
    }
}
