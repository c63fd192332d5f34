use super::{CaptureError, LinkType, Packet};

/// A capture filter: one compiled program a link type.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    text: String,
    programs: Vec<(LinkType, Option<Program>)>,
    /// What it could not be applied to.
    pub(super) warnings: Vec<String>,
}

impl Filter {
    /// A filter that compiles for some link type: Ethernet, or none at all.
    pub(super) fn new(text: &str) -> Result<Self, CaptureError> {
        compile(text, LinkType::ETHERNET).or_else(|reason| {
            compile(text, LinkType::RAW).map_err(|_| CaptureError::Filter {
                filter: text.to_owned(),
                reason,
            })
        })?;
        Ok(Self {
            text: text.to_owned(),
            programs: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// The expression.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Compiles it for packets of `link`, the only ones of a file.
    pub(super) fn prepare(&mut self, link: LinkType) -> Result<(), CaptureError> {
        let program = compile(&self.text, link).map_err(|reason| CaptureError::Filter {
            filter: self.text.clone(),
            reason: format!("{reason} (packets are {})", link.name()),
        })?;
        self.programs.push((link, Some(program)));
        Ok(())
    }

    /// Whether the packet passes. One of a link type that the filter means nothing for does not.
    pub(super) fn accepts(&mut self, packet: &Packet, bytes: &[u8]) -> bool {
        let known = self
            .programs
            .iter()
            .position(|(link, _)| *link == packet.link);
        let place = known.unwrap_or_else(|| {
            let program = compile(&self.text, packet.link)
                .map_err(|reason| {
                    self.warnings.push(format!(
                        "the filter '{}' does not compile for {} packets ({reason}); they were left out",
                        self.text,
                        packet.link.name()
                    ));
                })
                .ok();
            self.programs.push((packet.link, program));
            self.programs.len() - 1
        });
        match self.programs.get(place) {
            Some((_, Some(program))) => program.run(bytes, packet.wire) != 0,
            _ => false,
        }
    }
}

#[cfg(not(feature = "live"))]
fn compile(_text: &str, _link: LinkType) -> Result<Program, String> {
    Err("this build has no libpcap to compile it (feature `live`)".to_owned())
}

#[cfg(feature = "live")]
fn compile(text: &str, link: LinkType) -> Result<Program, String> {
    let refused = |error: pcap::Error| match error {
        pcap::Error::PcapError(reason) => reason,
        other => other.to_string(),
    };
    // libpcap asks for its own number (DLT) of a link type, which differs for the oldest ones (pcap/dlt.h of Linux and macOS).
    let dlt = match link.0 {
        14 | 101 => 12,
        100 => 11,
        102 => 15,
        103 => 16,
        106 => 19,
        same => i32::from(same),
    };
    let dead = pcap::Capture::dead(pcap::Linktype(dlt)).map_err(refused)?;
    let program = dead.compile(text, true).map_err(refused)?;
    // The pcap crate 2.5 runs a program with the captured length for both lengths, so `greater 1000` would miss a packet that was cut
    // to 96 bytes. It does give the instructions, printed.
    program
        .get_instructions()
        .iter()
        .map(|instruction| Instruction::parse(&instruction.to_string()))
        .collect::<Option<Vec<_>>>()
        .map(Program)
        .ok_or_else(|| "libpcap gave a program that cannot be read".to_owned())
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    k: u32,
}

#[cfg(feature = "live")]
impl Instruction {
    /// Code, two jump distances and the constant, in decimal.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(' ');
        let instruction = Self {
            code: fields.next()?.parse().ok()?,
            if_true: fields.next()?.parse().ok()?,
            if_false: fields.next()?.parse().ok()?,
            k: fields.next()?.parse().ok()?,
        };
        fields.next().is_none().then_some(instruction)
    }
}

/// A classic BPF program (bpf(4); "The BSD Packet Filter", USENIX Winter 1993).
#[derive(Clone, Debug)]
struct Program(Vec<Instruction>);

impl Program {
    /// What the program returns for a packet: 0 rejects. Jumps go forward only, so it ends; a load past the end rejects.
    fn run(&self, bytes: &[u8], wire: u32) -> u32 {
        let (mut a, mut x) = (0_u32, 0_u32);
        let mut memory = [0_u32; 16];
        let mut at = 0_usize;
        while let Some(&Instruction {
            code,
            if_true,
            if_false,
            k,
        }) = self.0.get(at)
        {
            at += 1;
            // class, then size and mode of loads, or operation and operand
            match code & 0x07 {
                // ld
                0x00 => {
                    let place = match code & 0xe0 {
                        0x00 => {
                            a = k;
                            continue;
                        }
                        0x20 => k as usize,
                        0x40 => x as usize + k as usize,
                        0x60 => {
                            a = memory[k as usize % 16];
                            continue;
                        }
                        0x80 => {
                            a = wire;
                            continue;
                        }
                        _ => return 0,
                    };
                    let Some(value) = load(bytes, place, code & 0x18) else {
                        return 0;
                    };
                    a = value;
                }
                // ldx
                0x01 => match code & 0xe0 {
                    0x00 => x = k,
                    0x60 => x = memory[k as usize % 16],
                    0x80 => x = wire,
                    // 4 * ([k] & 0xf): an IPv4 header's length
                    0xa0 => match bytes.get(k as usize) {
                        Some(byte) => x = u32::from(byte & 0x0f) * 4,
                        None => return 0,
                    },
                    _ => return 0,
                },
                0x02 => memory[k as usize % 16] = a,
                0x03 => memory[k as usize % 16] = x,
                // alu
                0x04 => {
                    let operand = if code & 0x08 == 0 { k } else { x };
                    let result = match code & 0xf0 {
                        0x00 => Some(a.wrapping_add(operand)),
                        0x10 => Some(a.wrapping_sub(operand)),
                        0x20 => Some(a.wrapping_mul(operand)),
                        0x30 => a.checked_div(operand),
                        0x40 => Some(a | operand),
                        0x50 => Some(a & operand),
                        0x60 => Some(a.checked_shl(operand).unwrap_or(0)),
                        0x70 => Some(a.checked_shr(operand).unwrap_or(0)),
                        0x80 => Some(a.wrapping_neg()),
                        0x90 => a.checked_rem(operand),
                        0xa0 => Some(a ^ operand),
                        _ => None,
                    };
                    let Some(result) = result else { return 0 };
                    a = result;
                }
                // jmp
                0x05 => {
                    let operand = if code & 0x08 == 0 { k } else { x };
                    let holds = match code & 0xf0 {
                        0x00 => {
                            at += k as usize;
                            continue;
                        }
                        0x10 => a == operand,
                        0x20 => a > operand,
                        0x30 => a >= operand,
                        0x40 => a & operand != 0,
                        _ => return 0,
                    };
                    at += usize::from(if holds { if_true } else { if_false });
                }
                // ret
                0x06 => return if code & 0x18 == 0x10 { a } else { k },
                // misc: tax, txa
                _ => {
                    if code & 0xf8 == 0 {
                        x = a;
                    } else {
                        a = x;
                    }
                }
            }
        }
        0
    }
}

/// A word, half-word or byte of the packet, in network order.
fn load(bytes: &[u8], at: usize, size: u16) -> Option<u32> {
    let rest = bytes.get(at..)?;
    match size {
        0x00 => rest.first_chunk().map(|four| u32::from_be_bytes(*four)),
        0x08 => rest
            .first_chunk()
            .map(|two| u32::from(u16::from_be_bytes(*two))),
        0x10 => rest.first().map(|one| u32::from(*one)),
        _ => None,
    }
}

#[cfg(all(test, feature = "live"))]
mod tests {
    use super::*;

    /// Ethernet, IPv4, TCP from 10.0.0.1:50000 to 10.0.0.2:443, a SYN without payload.
    fn syn() -> Vec<u8> {
        let mut bytes = vec![2; 12];
        bytes.extend([8, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0]);
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0xc3, 0x50, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2]);
        bytes.extend([0; 6]);
        bytes
    }

    fn accepts(filter: &str, link: LinkType, bytes: &[u8], wire: u32) -> bool {
        let packet = Packet {
            link,
            wire,
            captured: bytes.len() as u32,
            ..Packet::default()
        };
        Filter::new(filter).unwrap().accepts(&packet, bytes)
    }

    #[test]
    fn the_interpreter_agrees_with_libpcaps() {
        let bytes = syn();
        let filters = [
            "tcp",
            "udp",
            "tcp port 443",
            "port 80",
            "host 10.0.0.2",
            "net 10.1.0.0/16",
            "not tcp",
            "tcp[tcpflags] & tcp-syn != 0",
            "tcp[tcpflags] & tcp-ack != 0",
            "ip[8] >= 64",
            "ip[2:2] = 40",
            "ether[0] = 2",
            "ip6",
            "vlan",
            "len > 50",
            "less 60",
            "ip[8] * 2 + 1 = 129",
            "ip[8] / 3 = 21",
            "tcp[0:2] % 7 = 6",
            "ip[8] << 2 = 256",
            "(tcp[12] & 0xf0) >> 2 = 20",
            "portrange 440-450",
            "src host 10.0.0.1 and dst port 443",
            "icmp or (tcp and not port 22)",
            "ether multicast",
            "ip broadcast",
            "greater 54",
        ];
        for cut in 0..=bytes.len() {
            for filter in filters {
                let dead = pcap::Capture::dead(pcap::Linktype(1)).unwrap();
                let Ok(theirs) = dead.compile(filter, true) else {
                    continue;
                };
                assert_eq!(
                    accepts(filter, LinkType::ETHERNET, &bytes[..cut], cut as u32),
                    theirs.filter(&bytes[..cut]),
                    "{filter} on {cut} bytes"
                );
            }
        }
    }

    #[test]
    fn lengths_are_those_on_the_wire() {
        assert!(accepts("greater 1000", LinkType::ETHERNET, &syn(), 1514));
        assert!(!accepts("greater 1000", LinkType::ETHERNET, &syn(), 999));
    }

    #[test]
    fn a_filter_is_compiled_for_each_link_type() {
        let bytes = syn();
        let mut filter = Filter::new("tcp port 443").unwrap();
        for (link, skip) in [
            (LinkType::ETHERNET, 0),
            (LinkType::RAW, 14),
            (LinkType(12), 14),
            (LinkType(228), 14),
        ] {
            let bytes = &bytes[skip..];
            let packet = Packet {
                link,
                wire: 54,
                ..Packet::default()
            };
            assert!(filter.accepts(&packet, bytes), "{}", link.name());
        }
        assert!(filter.warnings.is_empty());
    }

    #[test]
    fn a_link_type_without_the_words_of_the_filter_is_left_out_with_a_warning() {
        let mut filter = Filter::new("ether host 02:02:02:02:02:02").unwrap();
        let packet = Packet {
            link: LinkType::RAW,
            ..Packet::default()
        };
        assert!(!filter.accepts(&packet, &[]));
        assert!(!filter.accepts(&packet, &[]));
        assert_eq!(filter.warnings.len(), 1);
    }

    #[test]
    fn nonsense_is_refused_with_libpcaps_reason() {
        let error = Filter::new("tcp prot 443").unwrap_err().to_string();
        assert!(
            error.contains("tcp prot 443") && error.contains("syntax"),
            "{error}"
        );
    }
}
