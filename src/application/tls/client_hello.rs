//! What a `ClientHello` asks for: name, protocols, versions, and its fingerprint.

use tls_parser::{
    TlsExtension, parse_tls_client_hello_extension, parse_tls_handshake_client_hello,
};

use super::ja4;

/// What carries the hello; JA4's first letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::application) enum Over {
    /// TLS over TCP.
    Tcp,
    /// QUIC.
    Quic,
    /// DTLS.
    Datagrams,
}

/// A hello, as far as anybody after this stage needs it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::application) struct ClientHello {
    /// Server name, lower case, without a trailing dot.
    pub(in crate::application) name: Option<String>,
    /// Protocols offered, at most 16, in their order.
    pub(in crate::application) alpn: Vec<String>,
    /// The highest version offered, as on the wire.
    pub(in crate::application) version: u16,
    /// JA4 fingerprint.
    pub(in crate::application) ja4: String,
    /// Whether the name only stands in for an encrypted one; see [`is_outer`].
    pub(in crate::application) ech: bool,
}

/// Extension numbers (IANA, TLS ExtensionType Values).
const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// Longest name that DNS knows (RFC 1035, section 2.3.4), and so the longest kept.
const MAX_NAME: usize = 255;
/// Offered protocols kept: browsers send two, the longest list in the corpus has eight.
const MAX_ALPN: usize = 16;

impl ClientHello {
    /// Reads the body of a `ClientHello` message, without its 4-byte header (RFC 8446, section 4.1.2).
    pub(in crate::application) fn read(body: &[u8], over: Over) -> Option<Self> {
        let (_, hello) = parse_tls_handshake_client_hello(body).ok()?;
        let ciphers: Vec<u16> = hello.ciphers.iter().map(|cipher| cipher.0).collect();
        // A list whose length runs past the message is read as far as it goes: middleboxes that act on such hellos exist.
        let extensions = hello.ext.or_else(|| after_fixed_part(body)).unwrap_or(&[]);
        Some(Self::from_parts(
            hello.version.0,
            &ciphers,
            extensions,
            over,
        ))
    }

    /// Puts a hello together from its parsed parts; DTLS, whose hello has one field more, comes in here.
    pub(in crate::application) fn from_parts(
        legacy_version: u16,
        ciphers: &[u16],
        extensions: &[u8],
        over: Over,
    ) -> Self {
        let mut kinds = Vec::new();
        let mut has_name = false;
        let mut name = None;
        let mut protocols: Vec<&[u8]> = Vec::new();
        let mut signatures = Vec::new();
        let mut versions = Vec::new();
        let mut encrypted = false;
        for (kind, whole) in Extensions(extensions) {
            kinds.push(kind);
            match kind {
                SERVER_NAME => {
                    has_name = true;
                    if let Ok((_, TlsExtension::SNI(names))) =
                        parse_tls_client_hello_extension(whole)
                    {
                        let first = names.iter().find(|(kind, _)| kind.0 == 0);
                        name = name.or_else(|| first.and_then(|(_, bytes)| host_name(bytes)));
                    }
                }
                ALPN => {
                    if let Ok((_, TlsExtension::ALPN(offered))) =
                        parse_tls_client_hello_extension(whole)
                    {
                        protocols = offered;
                    }
                }
                SIGNATURE_ALGORITHMS => {
                    if let Ok((_, TlsExtension::SignatureAlgorithms(offered))) =
                        parse_tls_client_hello_extension(whole)
                    {
                        signatures = offered;
                    }
                }
                SUPPORTED_VERSIONS => {
                    if let Ok((_, TlsExtension::SupportedVersions(offered))) =
                        parse_tls_client_hello_extension(whole)
                    {
                        versions = offered.iter().map(|version| version.0).collect();
                    }
                }
                // The first byte says outer (0) or inner (1); only an outer one stands in for something (RFC 9849, section 5).
                ENCRYPTED_CLIENT_HELLO => encrypted = matches!(whole, [_, _, _, _, 0, ..]),
                _ => {}
            }
        }
        versions.retain(|version| !is_grease(*version));
        // DTLS counts down: 1.0 is 0xfeff, 1.2 is 0xfefd (RFC 9147, section 5.3).
        let best = if over == Over::Datagrams {
            versions.iter().copied().min()
        } else {
            versions.iter().copied().max()
        };
        let version = best.unwrap_or(legacy_version);
        let ja4 = ja4::fingerprint(&ja4::Input {
            over,
            version,
            has_name,
            ciphers,
            extensions: &kinds,
            first_protocol: protocols.first().copied(),
            signatures: &signatures,
        });
        Self {
            ech: encrypted && name.as_deref().is_some_and(is_outer),
            name,
            alpn: protocols
                .iter()
                .take(MAX_ALPN)
                .map(|protocol| printable(protocol))
                .collect(),
            version,
            ja4,
        }
    }
}

/// Whether `name` is one that ECH configurations publish, so that a hello with `encrypted_client_hello` hides another name behind it.
///
/// On the wire a real encrypted hello and the GREASE one that Chrome and Firefox send to everybody look alike, by design (RFC 9849,
/// section 6.2). What can be told is the public name: these stand in configurations and are no service of their own. A real encrypted
/// hello behind another public name is therefore taken at that name, which is also what a censor sees.
fn is_outer(name: &str) -> bool {
    // Cloudflare's, for all its customers (their announcement of 2023-09-29; docs/detection.md on Russia since 2024-11-05), and the two
    // public test sites': https://tls-ech.dev and https://defo.ie.
    const PUBLIC_NAMES: [&str; 3] = ["cloudflare-ech.com", "public.tls-ech.dev", "cover.defo.ie"];
    PUBLIC_NAMES.contains(&name)
}

/// The name as it is compared and shown: lower case, no trailing dot, nothing that could confuse a terminal.
pub(in crate::application) fn host_name(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.strip_suffix(b".").unwrap_or(bytes);
    let name: String = bytes
        .iter()
        .take(MAX_NAME)
        .map(|byte| visible(*byte))
        .collect();
    (!name.is_empty()).then(|| name.to_ascii_lowercase())
}

/// At most 255 bytes of text in which everything but printable ASCII is replaced.
pub(in crate::application) fn printable(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(MAX_NAME)
        .map(|byte| visible(*byte))
        .collect()
}

/// The byte as a character, or the replacement character where a terminal could take it for a command.
fn visible(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' {
        char::from(byte)
    } else {
        char::REPLACEMENT_CHARACTER
    }
}

/// Whether a cipher, extension, group or version is one of the sixteen that mean nothing (RFC 8701, section 2).
///
/// tls-parser masks with 0x0f0f and so takes 0x1a2a for one, too.
pub(in crate::application) const fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && high & 0x0f == 0x0a
}

/// A version's number as reports write it; drafts count as what they became.
pub(in crate::application) fn version_name(version: u16) -> Option<&'static str> {
    Some(match version {
        0x0300 => "ssl3.0",
        0x0301 | 0xfeff => "1.0",
        0x0302 => "1.1",
        0x0303 | 0xfefd => "1.2",
        // drafts 14-28 (0x7f00 + draft) and Facebook's 23 and 26 (0xfb17, 0xfb1a)
        0x0304 | 0xfefc | 0x7f0e..=0x7f1c | 0xfb17 | 0xfb1a => "1.3",
        _ => return None,
    })
}

/// Extensions one at a time: number, and the whole extension with its header.
///
/// tls-parser's list parser stops at the first extension whose content it dislikes, and whatever comes after is lost: a name behind it, too.
/// The last one may be cut short: it ends the walk.
pub(in crate::application) struct Extensions<'a>(pub(in crate::application) &'a [u8]);

impl<'a> Iterator for Extensions<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let &[kind_high, kind_low, high, low, ..] = self.0 else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (whole, rest) = self.0.split_at_checked(4 + length)?;
        self.0 = rest;
        Some((u16::from_be_bytes([kind_high, kind_low]), whole))
    }
}

/// The extensions of a hello whose list claims more bytes than the message has.
fn after_fixed_part(body: &[u8]) -> Option<&[u8]> {
    let (&session, rest) = body.get(34..)?.split_first()?;
    let rest = rest.get(usize::from(session)..)?;
    let (&[high, low], rest) = rest.split_first_chunk()?;
    let rest = rest.get(usize::from(u16::from_be_bytes([high, low]))..)?;
    let (&methods, rest) = rest.split_first()?;
    rest.get(usize::from(methods)..)?.get(2..)
}

#[cfg(test)]
pub(in crate::application) mod tests {
    use super::*;

    /// One extension with its header.
    pub(in crate::application) fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend_from_slice(&(content.len() as u16).to_be_bytes());
        bytes.extend_from_slice(content);
        bytes
    }

    /// A `server_name` extension.
    pub(in crate::application) fn server_name(name: &str) -> Vec<u8> {
        let length = name.len() as u16;
        let mut content = (length + 3).to_be_bytes().to_vec();
        content.push(0);
        content.extend_from_slice(&length.to_be_bytes());
        content.extend_from_slice(name.as_bytes());
        extension(SERVER_NAME, &content)
    }

    /// The body of a hello with these ciphers and extensions.
    pub(in crate::application) fn body(ciphers: &[u16], extensions: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![3, 3];
        bytes.extend_from_slice(&[7; 32]);
        bytes.push(0);
        bytes.extend_from_slice(&(ciphers.len() as u16 * 2).to_be_bytes());
        for cipher in ciphers {
            bytes.extend_from_slice(&cipher.to_be_bytes());
        }
        bytes.extend_from_slice(&[1, 0]);
        let list = extensions.concat();
        bytes.extend_from_slice(&(list.len() as u16).to_be_bytes());
        bytes.extend_from_slice(&list);
        bytes
    }

    /// A hello for `name` that offers h2 and http/1.1 in TLS 1.3 and 1.2.
    pub(in crate::application) fn ordinary(name: &str) -> Vec<u8> {
        body(
            &[0x1301, 0xc02f],
            &[
                server_name(name),
                extension(ALPN, b"\0\x0c\x02h2\x08http/1.1"),
                extension(SUPPORTED_VERSIONS, &[6, 0x3a, 0x3a, 3, 4, 3, 3]),
                extension(SIGNATURE_ALGORITHMS, &[0, 2, 4, 3]),
            ],
        )
    }

    #[test]
    fn a_hello_gives_its_name_protocols_and_version() {
        let hello = ClientHello::read(&ordinary("WEB.WhatsApp.com."), Over::Tcp).unwrap();
        assert_eq!(hello.name.as_deref(), Some("web.whatsapp.com"));
        assert_eq!(hello.alpn, ["h2", "http/1.1"]);
        assert_eq!(version_name(hello.version), Some("1.3"));
        assert!(!hello.ech);
    }

    #[test]
    fn a_name_behind_an_extension_that_tls_parser_dislikes_is_still_found() {
        let odd = extension(22, &[1]); // encrypt_then_mac must be empty
        let list = [odd.clone(), server_name("signal.org")];
        let hello = ClientHello::read(&body(&[0x1301], &list), Over::Tcp).unwrap();
        assert_eq!(hello.name.as_deref(), Some("signal.org"));
        // when this gap closes, the walk can go
        let list = list.concat();
        let (_, parsed) = tls_parser::parse_tls_client_hello_extensions(&list).unwrap();
        assert!(parsed.is_empty());
    }

    #[test]
    fn grease_is_what_the_rfc_says_and_not_what_the_mask_says() {
        assert!(is_grease(0x0a0a) && is_grease(0xfafa));
        assert!(!is_grease(0x1a2a) && !is_grease(0x1301));
        let (_, parsed) = parse_tls_client_hello_extension(&[0x1a, 0x2a, 0, 0]).unwrap();
        assert!(matches!(parsed, TlsExtension::Grease(..)));
    }

    #[test]
    fn grease_ech_keeps_its_own_name_and_a_public_name_is_outer() {
        let ech = extension(ENCRYPTED_CLIENT_HELLO, &[0, 0, 1, 0, 1, 7, 0, 0, 0, 0]);
        let read = |name| {
            let list = [server_name(name), ech.clone()];
            ClientHello::read(&body(&[0x1301], &list), Over::Tcp).unwrap()
        };
        assert!(!read("discord.com").ech);
        assert!(read("cloudflare-ech.com").ech);
        let bare = body(&[0x1301], &[server_name("cloudflare-ech.com")]);
        assert!(!ClientHello::read(&bare, Over::Tcp).unwrap().ech);
    }

    #[test]
    fn a_list_longer_than_its_message_is_read_as_far_as_it_goes() {
        let mut bytes = ordinary("t.me");
        let length_at = 2 + 32 + 1 + 2 + 4 + 2;
        bytes[length_at] = 0xff;
        let hello = ClientHello::read(&bytes, Over::Tcp).unwrap();
        assert_eq!(hello.name.as_deref(), Some("t.me"));
    }

    #[test]
    fn a_name_cannot_command_a_terminal() {
        assert_eq!(host_name(b"a\x1b[2Jb").as_deref(), Some("a\u{fffd}[2jb"));
        assert_eq!(host_name(b""), None);
        assert_eq!(host_name(b"."), None);
    }
}
