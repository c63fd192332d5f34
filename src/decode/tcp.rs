use super::ip::Ip;
use super::{Segment, TcpOptions, Undecoded};
use crate::types::Seq;

// Option kinds (IANA, "TCP Option Kind Numbers").
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// The layout of two no-operations and the time stamps.
const USUAL: u16 = layout(layout(layout(0, NO_OPERATION), NO_OPERATION), TIMESTAMPS);

/// Reads a TCP header (RFC 9293, section 3.1): ports, segment, header length.
///
/// Options stay as they are until somebody asks; without the first 20 bytes the segment is [`Undecoded::Truncated`].
#[expect(
    clippy::inline_always,
    reason = "measured: handing the segment over in memory costs more than reading it"
)]
#[inline(always)]
pub(super) fn segment<'a>(ip: &Ip<'a>) -> Result<([u16; 2], Segment<'a>, u32), Undecoded> {
    if ip.payload_length < 20 {
        return Err(Undecoded::BadTransport);
    }
    let Some((fixed, rest)) = ip.payload.split_first_chunk::<20>() else {
        return Err(Undecoded::Truncated);
    };
    let header = u32::from(fixed[12] >> 4) * 4;
    if header < 20 || header > ip.payload_length {
        return Err(Undecoded::BadTransport);
    }
    let ports = [
        u16::from_be_bytes([fixed[0], fixed[1]]),
        u16::from_be_bytes([fixed[2], fixed[3]]),
    ];
    let segment = Segment {
        seq: Seq(u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]])),
        ack: Seq(u32::from_be_bytes([
            fixed[8], fixed[9], fixed[10], fixed[11],
        ])),
        flags: fixed[13],
        window: u16::from_be_bytes([fixed[14], fixed[15]]),
        options: super::ip::up_to(rest, header - 20),
    };
    Ok((ports, segment, header))
}

impl Segment<'_> {
    /// The options, as far as they were captured. What nearly all segments carry, two no-operations and the time stamps (RFC 7323, appendix
    /// A), is read without a loop.
    #[must_use]
    pub fn options(&self) -> TcpOptions {
        match *self.options {
            [] => TcpOptions::default(),
            [
                NO_OPERATION,
                NO_OPERATION,
                TIMESTAMPS,
                10,
                a,
                b,
                c,
                d,
                e,
                f,
                g,
                h,
            ] => TcpOptions {
                layout: USUAL,
                timestamps: Some((
                    u32::from_be_bytes([a, b, c, d]),
                    u32::from_be_bytes([e, f, g, h]),
                )),
                ..TcpOptions::default()
            },
            _ => options(self.options),
        }
    }
}

/// Reads options one by one, until their end, or until one lies about its length or is cut.
///
/// etherparse's iterator stops at the first kind that it does not know (fast open, multipath), so this is our own.
fn options(mut bytes: &[u8]) -> TcpOptions {
    let mut options = TcpOptions::default();
    loop {
        let (kind, body, rest) = match *bytes {
            [] | [2..=255] => break,
            [END, ..] => {
                options.layout = layout(options.layout, END);
                break;
            }
            [NO_OPERATION, ref rest @ ..] => (NO_OPERATION, [].as_slice(), rest),
            [kind, length, ..] => {
                let length = usize::from(length);
                let (Some(body), Some(rest)) = (bytes.get(2..length), bytes.get(length..)) else {
                    break;
                };
                (kind, body, rest)
            }
        };
        options.layout = layout(options.layout, kind);
        match (kind, body) {
            (MSS, &[a, b]) => options.mss = Some(u16::from_be_bytes([a, b])),
            (WINDOW_SCALE, &[shift]) => options.window_scale = Some(shift),
            (SACK_PERMITTED, []) => options.sack_permitted = true,
            (TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                options.timestamps = Some((
                    u32::from_be_bytes([a, b, c, d]),
                    u32::from_be_bytes([e, f, g, h]),
                ));
            }
            (SACK, blocks) if blocks.len() % 8 == 0 => {
                options.sack_blocks = 0;
                for (place, block) in options.sack.iter_mut().zip(blocks.as_chunks::<8>().0) {
                    let &[a, b, c, d, e, f, g, h] = block;
                    *place = (
                        Seq(u32::from_be_bytes([a, b, c, d])),
                        Seq(u32::from_be_bytes([e, f, g, h])),
                    );
                    options.sack_blocks += 1;
                }
            }
            _ => {}
        }
        bytes = rest;
    }
    options
}

/// The layout `before` with one more kind; never 0.
const fn layout(before: u16, kind: u8) -> u16 {
    let next = before.wrapping_mul(251).wrapping_add(kind as u16 + 1);
    if next == 0 { 1 } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_options_of_a_linux_syn_are_all_there() {
        let read = options(&[
            2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 7,
        ]);
        assert_eq!(read.mss, Some(1460));
        assert_eq!(read.window_scale, Some(7));
        assert!(read.sack_permitted);
        assert_eq!(read.timestamps, Some((7, 0)));
    }

    #[test]
    fn sack_blocks_are_counted_and_a_fifth_has_no_room_to_lie() {
        let mut bytes = vec![5, 18];
        bytes.extend((1_u8..=16).collect::<Vec<_>>());
        let read = options(&bytes);
        assert_eq!(read.sack_blocks, 2);
        assert_eq!(read.sack[0], (Seq(0x0102_0304), Seq(0x0506_0708)));
        let mut bytes = vec![5, 42];
        bytes.extend([9; 40]);
        assert_eq!(options(&bytes).sack_blocks, 4);
    }

    #[test]
    fn a_length_below_two_or_beyond_the_header_ends_the_list() {
        let only_mss = options(&[2, 4, 5, 180]);
        assert_eq!(options(&[2, 4, 5, 180, 8, 1, 3, 3, 7]), only_mss);
        assert_eq!(options(&[2, 4, 5, 180, 8, 10, 0]), only_mss);
        assert_eq!(options(&[2, 4, 5, 180, 8]), only_mss);
    }

    #[test]
    fn layouts_differ_by_order_and_none_is_zero() {
        assert_ne!(options(&[1, 4, 2]).layout, options(&[4, 2, 1]).layout);
        assert_eq!(options(&[]).layout, 0);
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let read = options(&bytes);
            prop_assert!(read.sack_blocks <= 4);
            prop_assert_eq!(read.layout == 0, bytes.is_empty() || read == TcpOptions::default());
        }
    }
}
