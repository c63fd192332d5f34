//! What a `ServerHello` settles.

use tls_parser::{TlsExtension, parse_tls_server_hello_extension};

use super::client_hello::Extensions;

/// The answer to a hello.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::application) struct ServerHello {
    /// The version chosen, as on the wire.
    pub(in crate::application) version: u16,
    /// Whether it asks for another hello instead (RFC 8446, section 4.1.4).
    pub(in crate::application) retry: bool,
}

/// The random value that makes a `ServerHello` a `HelloRetryRequest`: SHA-256 of that word (RFC 8446, section 4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// `supported_versions` (RFC 8446, section 4.2.1).
const SUPPORTED_VERSIONS: u16 = 43;

impl ServerHello {
    /// Reads the body of the message, without its 4-byte header.
    ///
    /// Only three fields are wanted, and tls-parser refuses the drafts' versions (0x7f..) in the first: so the walk is here, the extension theirs.
    pub(in crate::application) fn read(body: &[u8]) -> Option<Self> {
        let (&[high, low], rest) = body.split_first_chunk()?;
        let (random, rest) = rest.split_first_chunk::<32>()?;
        let mut version = u16::from_be_bytes([high, low]);
        if let Some(extensions) = after_method(rest) {
            for (kind, whole) in Extensions(extensions) {
                if kind != SUPPORTED_VERSIONS {
                    continue;
                }
                if let Ok((_, TlsExtension::SupportedVersions(chosen))) =
                    parse_tls_server_hello_extension(whole)
                {
                    version = chosen.first().map_or(version, |chosen| chosen.0);
                }
            }
        }
        Some(Self {
            version,
            retry: *random == RETRY_RANDOM,
        })
    }
}

/// What follows session id, cipher suite (2), method (1) and the list's length (2).
fn after_method(rest: &[u8]) -> Option<&[u8]> {
    let (&session, rest) = rest.split_first()?;
    rest.get(usize::from(session)..)?.get(5..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(random: [u8; 32], extensions: &[u8]) -> Vec<u8> {
        let mut bytes = vec![3, 3];
        bytes.extend_from_slice(&random);
        bytes.extend_from_slice(&[0, 0x13, 1, 0, 0, extensions.len() as u8]);
        bytes.extend_from_slice(extensions);
        bytes
    }

    #[test]
    fn the_extension_outranks_the_legacy_field() {
        let new = hello([1; 32], &[0, 43, 0, 2, 3, 4]);
        assert_eq!(
            ServerHello::read(&new),
            Some(ServerHello {
                version: 0x0304,
                retry: false
            })
        );
        let old = hello([1; 32], &[0xff, 1, 0, 1, 0]);
        assert_eq!(
            ServerHello::read(&old),
            Some(ServerHello {
                version: 0x0303,
                retry: false
            })
        );
    }

    #[test]
    fn a_retry_request_is_told_by_its_random() {
        let retry = hello(RETRY_RANDOM, &[0, 43, 0, 2, 3, 4]);
        assert!(ServerHello::read(&retry).is_some_and(|hello| hello.retry));
    }

    #[test]
    fn a_short_one_is_none() {
        assert_eq!(ServerHello::read(&[3, 3, 0]), None);
    }
}
