//! The keys of Initial packets, which anybody can derive from what such a packet shows (RFC 9001, section 5.2; RFC 9369, section 3.3).

use std::ops::Range;

use ring::aead::{self, quic};
use ring::hkdf;

/// What a version of QUIC does differently before the handshake is done.
#[derive(Debug)]
pub(super) struct Profile {
    /// Salt of the initial secret.
    salt: &'static [u8; 20],
    /// Labels of key, vector and header protection.
    labels: [&'static [u8]; 3],
    /// The two type bits of an Initial.
    pub(super) initial_type: u8,
    /// Whether frames are Google's own: CRYPTO is 8, PING is 7.
    pub(super) google_frames: bool,
}

/// Salts: RFC 9001 (5.2), RFC 9369 (3.3.1), the drafts of the same sections, and Google's as zapret and nDPI carry them (docs/detection.md, D11).
const SALT_V1: [u8; 20] =
    *b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a";
const SALT_V2: [u8; 20] =
    *b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9";
const SALT_29: [u8; 20] =
    *b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99";
const SALT_23: [u8; 20] =
    *b"\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02";
const SALT_22: [u8; 20] =
    *b"\x7f\xbc\xdb\x0e\x7c\x66\xbb\xe9\x19\x3a\x96\xcd\x21\x51\x9e\xbd\x7a\x02\x64\x4a";
const SALT_Q050: [u8; 20] =
    *b"\x50\x45\x74\xef\xd0\x66\xfe\x2f\x9d\x94\x5c\xfc\xdb\xd3\xa7\xf0\xd3\xb5\x6b\x45";
const SALT_T050: [u8; 20] =
    *b"\x7f\xf5\x79\xe5\xac\xd0\x72\x91\x55\x80\x30\x4c\x43\xa2\x36\x7c\x60\x48\x83\x10";
const SALT_T051: [u8; 20] =
    *b"\x7a\x4e\xde\xf4\xe7\xcc\xee\x5f\xa4\x50\x6c\x19\x12\x4f\xc8\xcc\xda\x6e\x03\x3d";

const LABELS_V1: [&[u8]; 3] = [b"tls13 quic key", b"tls13 quic iv", b"tls13 quic hp"];
const LABELS_V2: [&[u8]; 3] = [b"tls13 quicv2 key", b"tls13 quicv2 iv", b"tls13 quicv2 hp"];

const fn ietf(salt: &'static [u8; 20]) -> Profile {
    Profile {
        salt,
        labels: LABELS_V1,
        initial_type: 0,
        google_frames: false,
    }
}

const fn google(salt: &'static [u8; 20]) -> Profile {
    Profile {
        google_frames: true,
        ..ietf(salt)
    }
}

static V1: Profile = ietf(&SALT_V1);
static V2: Profile = Profile {
    salt: &SALT_V2,
    labels: LABELS_V2,
    initial_type: 1,
    google_frames: false,
};
static DRAFT_29: Profile = ietf(&SALT_29);
static DRAFT_23: Profile = ietf(&SALT_23);
static DRAFT_22: Profile = ietf(&SALT_22);
static Q050: Profile = google(&SALT_Q050);
static T050: Profile = google(&SALT_T050);
static T051: Profile = google(&SALT_T051);

/// The profile of a version, as far as it is known.
pub(super) fn profile(version: u32) -> Option<&'static Profile> {
    Some(match version {
        // draft 33 took version 1's salt
        1 | 0xff00_0021 | 0xff00_0022 => &V1,
        0x6b33_43cf | 0x709a_50c4 => &V2,
        0xff00_001d..=0xff00_0020 => &DRAFT_29,
        // Facebook's mvfst: 2 and 14 follow draft 27, 1 follows draft 22
        0xff00_0017..=0xff00_001c | 0xface_b002 | 0xface_b00e => &DRAFT_23,
        0xff00_0016 | 0xface_b001 => &DRAFT_22,
        0x5130_3530 => &Q050,
        0x5430_3530 => &T050,
        0x5430_3531 => &T051,
        _ => return None,
    })
}

/// The keys with which a client's Initials can be opened.
pub(super) struct Keys {
    header: quic::HeaderProtectionKey,
    payload: aead::LessSafeKey,
    vector: [u8; aead::NONCE_LEN],
}

impl Keys {
    /// Derives them from the first destination connection id that the client chose, or that a Retry told it to use.
    pub(super) fn client(profile: &Profile, destination: &[u8]) -> Option<Self> {
        Self::of(profile, destination, b"tls13 client in")
    }

    fn of(profile: &Profile, destination: &[u8], side: &[u8]) -> Option<Self> {
        let initial = hkdf::Salt::new(hkdf::HKDF_SHA256, profile.salt).extract(destination);
        let mut secret = [0; 32];
        expand(&initial, side, &mut secret)?;
        let secret = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, &secret);
        let [key_label, vector_label, header_label] = profile.labels;
        let (mut key, mut vector, mut header) = ([0; 16], [0; aead::NONCE_LEN], [0; 16]);
        expand(&secret, key_label, &mut key)?;
        expand(&secret, vector_label, &mut vector)?;
        expand(&secret, header_label, &mut header)?;
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, &key).ok()?;
        Some(Self {
            header: quic::HeaderProtectionKey::new(&quic::AES_128, &header).ok()?,
            payload: aead::LessSafeKey::new(key),
            vector,
        })
    }

    /// Opens a packet whose number begins at `number_at`, into `scratch`; says where in it the frames lie (RFC 9001, sections 5.3 and 5.4).
    pub(super) fn open(
        &self,
        packet: &[u8],
        number_at: usize,
        scratch: &mut Vec<u8>,
    ) -> Option<Range<usize>> {
        let sample_at = number_at.checked_add(4)?;
        let sample = packet.get(sample_at..sample_at.checked_add(16)?)?;
        let [first_mask, number_mask @ ..] = self.header.new_mask(sample).ok()?;
        scratch.clear();
        scratch.extend_from_slice(packet);
        let first = scratch.first_mut()?;
        *first ^= first_mask & 0x0f;
        let number_length = usize::from(*first & 3) + 1;
        let mut number = 0_u32;
        let field = scratch.get_mut(number_at..number_at + number_length)?;
        for (byte, mask) in field.iter_mut().zip(number_mask) {
            *byte ^= mask;
            number = number << 8 | u32::from(*byte);
        }
        // Initials are few, so that the packet number's missing upper half is zero.
        let mut nonce = self.vector;
        for (byte, number) in nonce
            .iter_mut()
            .rev()
            .zip(number.to_be_bytes().iter().rev())
        {
            *byte ^= number;
        }
        let frames_at = number_at + number_length;
        let (header, sealed) = scratch.split_at_mut_checked(frames_at)?;
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let frames = self
            .payload
            .open_in_place(nonce, aead::Aad::from(&*header), sealed)
            .ok()?;
        Some(frames_at..frames_at + frames.len())
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446, section 7.1); `label` carries its prefix.
fn expand(secret: &hkdf::Prk, label: &[u8], out: &mut [u8]) -> Option<()> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let length = (out.len() as u16).to_be_bytes();
    let info = [&length[..], &[label.len() as u8], label, &[0]];
    secret.expand(&info, Length(out.len())).ok()?.fill(out).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::application::quic::tests::hex;

    /// The destination connection id of both appendices.
    const DESTINATION: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];

    /// Seals `frames` behind `header`, which ends in a two-byte packet number, as a client would.
    pub(in crate::application::quic) fn seal(
        version: u32,
        destination: &[u8],
        header: &[u8],
        frames: &[u8],
    ) -> Vec<u8> {
        seal_with(version, destination, header, 2, frames)
    }

    /// The same for a packet number of `length` bytes.
    pub(in crate::application::quic) fn seal_with(
        version: u32,
        destination: &[u8],
        header: &[u8],
        length: usize,
        frames: &[u8],
    ) -> Vec<u8> {
        let keys = Keys::client(profile(version).unwrap(), destination).unwrap();
        let number_at = header.len() - length;
        let mut nonce = keys.vector;
        for (byte, number) in nonce.iter_mut().rev().zip(header[number_at..].iter().rev()) {
            *byte ^= number;
        }
        let mut sealed = frames.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        keys.payload
            .seal_in_place_append_tag(nonce, aead::Aad::from(header), &mut sealed)
            .unwrap();
        let mut packet = [header, &sealed].concat();
        let sample = &packet[number_at + 4..number_at + 20];
        let [first, rest @ ..] = keys.header.new_mask(sample).unwrap();
        packet[0] ^= first & 0x0f;
        for (byte, mask) in packet[number_at..].iter_mut().zip(&rest[..length]) {
            *byte ^= mask;
        }
        packet
    }

    #[test]
    fn the_servers_example_packets_open() {
        // RFC 9001, appendix A.3
        let mut v1 = hex(
            "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb3
             8cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84
             022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee",
        );
        // RFC 9369, appendix A.3
        let v2 = hex(
            "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89237bbf872630
             17915358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2
             c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca84bed8521e2e140",
        );
        for (profile, packet) in [(&V1, &v1), (&V2, &v2)] {
            let keys = Keys::of(profile, &DESTINATION, b"tls13 server in").unwrap();
            let mut scratch = Vec::new();
            let frames = keys.open(packet, 18, &mut scratch).unwrap();
            assert_eq!(
                scratch[frames.clone()][..11],
                hex("0200000000 0600405a0200")
            );
            assert_eq!(frames.len(), 99);
        }
        let keys = Keys::of(&V1, &DESTINATION, b"tls13 server in").unwrap();
        v1[60] ^= 1;
        assert!(keys.open(&v1, 18, &mut Vec::new()).is_none());
    }
}
