use etherparse::err::LenError;
use etherparse::err::ip_auth::HeaderSliceError;
use etherparse::{IpAuthHeaderSlice, Ipv6FragmentHeaderSlice, Ipv6RawExtHeaderSlice};

use super::Undecoded;
use crate::types::Address;

// Protocol numbers (IANA, "Assigned Internet Protocol Numbers").
pub(super) const ICMP: u8 = 1;
pub(super) const IP_IN_IP: u8 = 4;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const IPV6_IN_IP: u8 = 41;
pub(super) const GRE: u8 = 47;
pub(super) const ICMP_V6: u8 = 58;
pub(super) const ETHER_IP: u8 = 97;
pub(super) const MPLS_IN_IP: u8 = 137;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// More extension headers than anybody sends: RFC 8200 (section 4.1) knows seven places for one.
const MAX_EXTENSIONS: usize = 16;

/// An IP packet: its header, and where its payload lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ip<'a> {
    pub(super) source: Address,
    pub(super) destination: Address,
    /// The version in the header; an address alone cannot tell (IPv4-mapped).
    pub(super) v6: bool,
    /// What the payload is, after all extension headers.
    pub(super) protocol: u8,
    pub(super) hop_limit: u8,
    pub(super) traffic_class: u8,
    pub(super) identification: Option<u16>,
    pub(super) dont_fragment: bool,
    pub(super) flow_label: u32,
    /// Bytes of the whole packet on the wire.
    pub(super) length: u32,
    /// Bytes before the payload, extension headers included.
    pub(super) header: u32,
    /// Bytes of payload on the wire.
    pub(super) payload_length: u32,
    /// The captured payload.
    pub(super) payload: &'a [u8],
    /// Set where the packet is a fragment; the payload is then a piece of one.
    pub(super) piece: Option<Piece>,
}

/// Which piece of which datagram a fragment is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Piece {
    /// Identification.
    pub(super) id: u32,
    /// Where its bytes belong in the datagram's fragmentable part.
    pub(super) offset: u32,
    /// Whether more pieces follow.
    pub(super) more: bool,
    /// IPv6: where the fragment header begins.
    pub(super) at: u32,
    /// IPv6: the place of the "next header" byte that announces the fragment header.
    pub(super) named_at: u32,
}

/// Reads the IP header at the start of `bytes`. `wire` bytes of the record follow from there on.
///
/// **The length** is the header's own, so link-layer padding is never payload. A stated length of 0 is what segmentation offload and IPv6
/// jumbograms leave (RFC 2675): the packet then reaches to the end of the record. A stated length beyond the record's is believed: programs
/// that cut packets and forget to say so are common, and receivers see no such packets. A length shorter than the header is [`Undecoded::BadIp`].
#[inline]
pub(super) fn parse(bytes: &[u8], wire: u32) -> Result<Ip<'_>, Undecoded> {
    let wire = at_least(bytes, wire);
    match bytes.first().map(|first| first >> 4) {
        Some(4) => match v4(bytes, wire)? {
            ip if ip.protocol == AUTHENTICATION && ip.piece.is_none() => extensions(bytes, ip, 9),
            ip => Ok(ip),
        },
        Some(6) => match v6(bytes, wire)? {
            ip if matches!(ip.protocol, TCP | UDP) => Ok(ip),
            ip => extensions(bytes, ip, 6),
        },
        Some(_) => Err(Undecoded::BadIp),
        None => Err(Undecoded::Truncated),
    }
}

/// A record is as long as its captured bytes at least, whatever its header says.
#[inline]
pub(super) fn at_least(bytes: &[u8], wire: u32) -> u32 {
    wire.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
}

/// IPv4's header (RFC 791, section 3.1), without an AH behind it.
#[expect(
    clippy::inline_always,
    reason = "measured: handing the header over in memory costs more than reading it"
)]
#[inline(always)]
pub(super) fn v4(bytes: &[u8], wire: u32) -> Result<Ip<'_>, Undecoded> {
    let Some(fixed) = bytes.first_chunk::<20>() else {
        return Err(Undecoded::Truncated);
    };
    let header = u32::from(fixed[0] & 15) * 4;
    let length = match u32::from(u16::from_be_bytes([fixed[2], fixed[3]])) {
        0 => wire,
        stated => stated,
    };
    if header < 20 || length < header {
        return Err(Undecoded::BadIp);
    }
    let id = u16::from_be_bytes([fixed[4], fixed[5]]);
    let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
    let piece = (fragment & 0x3fff != 0).then(|| Piece {
        id: u32::from(id),
        offset: u32::from(fragment & 0x1fff) * 8,
        more: fragment & 0x2000 != 0,
        at: 0,
        named_at: 0,
    });
    Ok(Ip {
        source: Address::v4([fixed[12], fixed[13], fixed[14], fixed[15]]),
        destination: Address::v4([fixed[16], fixed[17], fixed[18], fixed[19]]),
        v6: false,
        protocol: fixed[9],
        hop_limit: fixed[8],
        traffic_class: fixed[1],
        identification: Some(id),
        dont_fragment: fragment & 0x4000 != 0,
        flow_label: 0,
        length,
        header,
        payload_length: length - header,
        payload: up_to(
            bytes.get(header as usize..).ok_or(Undecoded::Truncated)?,
            length - header,
        ),
        piece,
    })
}

/// IPv6's fixed header (RFC 8200, section 3).
#[expect(
    clippy::inline_always,
    reason = "measured: handing the header over in memory costs more than reading it"
)]
#[inline(always)]
pub(super) fn v6(bytes: &[u8], wire: u32) -> Result<Ip<'_>, Undecoded> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(Undecoded::Truncated);
    };
    let Some((source, rest)) = rest.split_first_chunk::<16>() else {
        return Err(Undecoded::Truncated);
    };
    let Some((destination, payload)) = rest.split_first_chunk::<16>() else {
        return Err(Undecoded::Truncated);
    };
    let payload_length = match u32::from(u16::from_be_bytes([fixed[4], fixed[5]])) {
        0 => wire.saturating_sub(40),
        stated => stated,
    };
    let word = u32::from_be_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]);
    Ok(Ip {
        source: Address(*source),
        destination: Address(*destination),
        v6: true,
        protocol: fixed[6],
        hop_limit: fixed[7],
        traffic_class: (word >> 20) as u8,
        identification: None,
        dont_fragment: true,
        flow_label: word & 0xf_ffff,
        length: 40 + payload_length,
        header: 40,
        payload_length,
        payload: up_to(payload, payload_length),
        piece: None,
    })
}

/// Walks the extension headers behind the fixed header (RFC 8200, section 4; AH also in IPv4: RFC 4302). `named_at` is the place of the byte
/// that names the first of them. Ends at the first fragment header of a true fragment.
#[cold]
fn extensions<'a>(bytes: &'a [u8], mut ip: Ip<'a>, mut named_at: u32) -> Result<Ip<'a>, Undecoded> {
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(ip.protocol, ip.v6) {
            return Ok(ip);
        }
        let (next, taken, piece) = extension(&ip, named_at)?;
        if taken > ip.payload_length {
            return Err(Undecoded::BadIp);
        }
        ip.piece = piece;
        named_at = ip.header;
        ip.header += taken;
        ip.payload_length -= taken;
        ip.payload = up_to(
            bytes
                .get(ip.header as usize..)
                .ok_or(Undecoded::Truncated)?,
            ip.payload_length,
        );
        ip.protocol = next;
        if ip.piece.is_some() {
            return Ok(ip);
        }
    }
    Err(Undecoded::TooDeep)
}

/// Reads the extension header at the start of a packet's payload: what comes after it, its length, and the piece it announces.
fn extension(ip: &Ip<'_>, named_at: u32) -> Result<(u8, u32, Option<Piece>), Undecoded> {
    let short = |error: LenError| {
        // of a header that the packet has room for, the capture has cut the rest
        if error.required_len as u32 <= ip.payload_length {
            Undecoded::Truncated
        } else {
            Undecoded::BadIp
        }
    };
    match ip.protocol {
        FRAGMENT => {
            let header = Ipv6FragmentHeaderSlice::from_slice(ip.payload).map_err(short)?;
            // offset 0 and nothing to follow is an "atomic fragment", a whole packet (RFC 6946)
            let piece = header.is_fragmenting_payload().then(|| Piece {
                id: header.identification(),
                offset: u32::from(header.fragment_offset().value()) * 8,
                more: header.more_fragments(),
                at: ip.header,
                named_at,
            });
            Ok((header.next_header().0, header.slice().len() as u32, piece))
        }
        AUTHENTICATION => {
            let header =
                IpAuthHeaderSlice::from_slice(ip.payload).map_err(|error| match error {
                    HeaderSliceError::Len(error) => short(error),
                    HeaderSliceError::Content(_) => Undecoded::BadIp,
                })?;
            Ok((header.next_header().0, header.slice().len() as u32, None))
        }
        _ => {
            let header = Ipv6RawExtHeaderSlice::from_slice(ip.payload).map_err(short)?;
            Ok((header.next_header().0, header.slice().len() as u32, None))
        }
    }
}

/// Whether `protocol` is a header with more behind it.
const fn is_extension(protocol: u8, v6: bool) -> bool {
    match protocol {
        AUTHENTICATION => true,
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION | MOBILITY | HIP | SHIM6 => v6,
        _ => false,
    }
}

/// At most the first `length` bytes.
#[inline]
pub(super) fn up_to(bytes: &[u8], length: u32) -> &[u8] {
    bytes.get(..length as usize).unwrap_or(bytes)
}

/// The two ports at the start of a TCP or UDP header.
#[inline]
pub(super) fn ports(transport: &[u8]) -> Option<[u16; 2]> {
    let &[a, b, c, d] = transport.first_chunk::<4>()?;
    Some([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
}

#[cfg(test)]
mod tests {
    use super::super::support::{bytes, v6};
    use super::*;
    use etherparse::{IpNumber, Ipv6ExtensionsSlice};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn extension_headers_are_walked_as_etherparse_does(
            kinds in proptest::collection::vec(proptest::sample::select(&[DESTINATION, ROUTING, AUTHENTICATION, FRAGMENT][..]), 0..4),
            fill in bytes(20), payload in bytes(30),
        ) {
            let mut kinds = kinds;
            kinds.dedup();
            let mut packet = Vec::new();
            for (index, kind) in kinds.iter().enumerate() {
                let next = kinds.get(index + 1).copied().unwrap_or(TCP);
                let filler = fill.get(index).copied().unwrap_or(0);
                packet.extend([next]);
                match *kind {
                    // an atomic fragment
                    FRAGMENT => packet.extend([0, 0, 0, 0, 0, 0, filler]),
                    AUTHENTICATION => packet.extend([1, 0, 0, 0, 0, 0, 1, 0, 0, 0, filler]),
                    _ => {
                        packet.extend([1, filler]);
                        packet.extend([0; 13]);
                    }
                }
            }
            packet.extend(&payload);
            let first = kinds.first().copied().unwrap_or(TCP);
            let (_, theirs, rest) = Ipv6ExtensionsSlice::from_slice(IpNumber(first), &packet).unwrap();
            // a header kind that comes twice ends etherparse's walk; ours goes on
            prop_assume!(theirs == IpNumber(TCP));
            let packet = v6(first, &packet);
            let mine = parse(&packet, packet.len() as u32).unwrap();
            prop_assert_eq!((mine.protocol, mine.payload), (TCP, rest));
        }
    }

    #[test]
    fn a_chain_of_headers_without_end_is_given_up() {
        let chain = [DESTINATION, 0, 0, 0, 0, 0, 0, 0].repeat(40);
        let packet = v6(DESTINATION, &chain);
        assert_eq!(parse(&packet, 360), Err(Undecoded::TooDeep));
    }

    #[test]
    fn a_header_longer_than_its_packet_is_bad_and_one_cut_by_the_capture_is_truncated() {
        let packet = v6(DESTINATION, &[TCP, 9, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse(&packet, 48), Err(Undecoded::BadIp));
        let packet = v6(
            DESTINATION,
            &[TCP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        );
        assert_eq!(parse(&packet[..50], 56), Err(Undecoded::Truncated));
    }
}
