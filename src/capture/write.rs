use std::io::{self, Write};

use super::{CaptureInterface, LinkType};
use crate::types::Timestamp;

/// Block types (draft-ietf-opsawg-pcapng, section 10.1).
mod block {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const NAMES: u32 = 4;
    pub(super) const STATISTICS: u32 = 5;
    pub(super) const ENHANCED: u32 = 6;
}

/// Options of several blocks, and those of one that are written here (sections 3.5, 4.1, 4.2, 4.6).
mod option {
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SECTION_APPLICATION: u16 = 4;
    pub(super) const TIME_RESOLUTION: u16 = 9;
    pub(super) const SYSTEM_DROPPED: u16 = 7;
}

/// Writes a pcapng file of one section (draft-ietf-opsawg-pcapng): little-endian, times in nanoseconds.
pub struct PcapngWriter<W> {
    out: W,
    interfaces: u32,
    block: Vec<u8>,
}

impl<W: Write> PcapngWriter<W> {
    /// Begins the file: `application` is what writes it, `comment` says of what it holds.
    pub fn new(out: W, application: &str, comment: &str) -> io::Result<Self> {
        let mut writer = Self {
            out,
            interfaces: 0,
            block: Vec::new(),
        };
        writer.begin(block::SECTION);
        writer.word(0x1a2b_3c4d);
        // version 1.0, section length not stated
        writer.block.extend([1, 0, 0, 0]);
        writer.block.extend((-1_i64).to_le_bytes());
        writer.option(option::COMMENT, comment.as_bytes());
        writer.option(option::SECTION_APPLICATION, application.as_bytes());
        writer.end_of_options();
        writer.end()?;
        Ok(writer)
    }

    /// Describes one more interface, and gives its number.
    pub fn interface(&mut self, interface: &CaptureInterface, comment: &str) -> io::Result<u32> {
        let LinkType(link) = interface.link;
        self.begin(block::INTERFACE);
        self.block.extend(link.to_le_bytes());
        self.block.extend([0; 2]);
        self.word(interface.snap_length);
        self.option(option::COMMENT, comment.as_bytes());
        for (code, value) in &interface.options {
            self.option(*code, value);
        }
        self.option(option::TIME_RESOLUTION, &[9]);
        self.end_of_options();
        self.end()?;
        self.interfaces += 1;
        Ok(self.interfaces - 1)
    }

    /// Writes a packet of `interface`, which had `wire` bytes on the wire, with its comments. A time before 1970 cannot be stated and becomes 1970.
    pub fn packet<Comment: AsRef<str>>(
        &mut self,
        interface: u32,
        time: Timestamp,
        wire: u32,
        bytes: &[u8],
        comments: impl IntoIterator<Item = Comment>,
    ) -> io::Result<()> {
        let ticks = u64::try_from(time.0).unwrap_or_default();
        self.begin(block::ENHANCED);
        self.word(interface);
        self.word((ticks >> 32) as u32);
        self.word(ticks as u32);
        self.word(bytes.len() as u32);
        self.word(wire);
        self.padded(bytes);
        let plain = self.block.len();
        for comment in comments {
            self.option(option::COMMENT, comment.as_ref().as_bytes());
        }
        if self.block.len() > plain {
            self.end_of_options();
        }
        self.end()
    }

    /// Writes names of addresses.
    pub fn names<'n>(
        &mut self,
        names: impl IntoIterator<Item = (std::net::IpAddr, &'n str)>,
    ) -> io::Result<()> {
        self.begin(block::NAMES);
        let empty = self.block.len();
        for (address, name) in names {
            let (kind, mut record) = match address {
                std::net::IpAddr::V4(v4) => (1, v4.octets().to_vec()),
                std::net::IpAddr::V6(v6) => (2, v6.octets().to_vec()),
            };
            record.extend(name.bytes());
            record.push(0);
            self.option(kind, &record);
        }
        if self.block.len() == empty {
            return Ok(());
        }
        self.end_of_options();
        self.end()
    }

    /// Writes how many packets of `interface` were lost until `time`, with a comment if there is something to say.
    pub fn statistics(
        &mut self,
        interface: u32,
        time: Timestamp,
        dropped: u64,
        comment: Option<&str>,
    ) -> io::Result<()> {
        let ticks = u64::try_from(time.0).unwrap_or_default();
        self.begin(block::STATISTICS);
        self.word(interface);
        self.word((ticks >> 32) as u32);
        self.word(ticks as u32);
        if let Some(comment) = comment {
            self.option(option::COMMENT, comment.as_bytes());
        }
        self.option(option::SYSTEM_DROPPED, &dropped.to_le_bytes());
        self.end_of_options();
        self.end()
    }

    /// Hands everything to the system, and gives back what was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.word(kind);
        // the length, once it is known
        self.word(0);
    }

    fn end(&mut self) -> io::Result<()> {
        let length = self.block.len() as u32 + 4;
        if let Some(place) = self.block.get_mut(4..8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self.word(length);
        self.out.write_all(&self.block)
    }

    fn word(&mut self, value: u32) {
        self.block.extend(value.to_le_bytes());
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
        // what stands before is a multiple of four long
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    /// An option; its length field ends at 65,535 bytes, and so does what is written of a longer value.
    fn option(&mut self, code: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.block.extend(code.to_le_bytes());
        self.block.extend(length.to_le_bytes());
        self.padded(value.get(..usize::from(length)).unwrap_or(value));
    }

    fn end_of_options(&mut self) {
        self.block.extend([0; 4]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz;
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let ether = CaptureInterface {
            link: LinkType::ETHERNET,
            snap_length: 96,
            options: vec![(2, b"eth0".to_vec()), (3, b"the uplink".to_vec())],
        };
        let cooked = CaptureInterface {
            link: LinkType(113),
            ..CaptureInterface::default()
        };
        let mut writer = PcapngWriter::new(Vec::new(), "a test", "of writing").unwrap();
        let first = writer.interface(&ether, "from a.pcap").unwrap();
        let second = writer.interface(&cooked, "from b.pcap").unwrap();
        let time = Timestamp(1_774_782_480_000_000_123);
        writer
            .packet(second, time, 1_500, &[1, 2, 3], ["one", "two, and more"])
            .unwrap();
        writer
            .packet(first, time.plus(1), 4, &[4, 5, 6, 7], [""; 0])
            .unwrap();
        let address = std::net::Ipv4Addr::new(192, 0, 2, 1).into();
        writer.names([(address, "chat.example")]).unwrap();
        writer.statistics(first, time, 7, Some("a few")).unwrap();
        let (packets, file) = fuzz::read(&writer.finish().unwrap()).unwrap();
        let seen: Vec<_> = packets
            .iter()
            .map(|(packet, bytes)| (packet.time, packet.wire, packet.interface, bytes.as_slice()))
            .collect();
        assert_eq!(
            seen,
            [
                (time, 1_500, 1, &[1, 2, 3][..]),
                (time.plus(1), 4, 0, &[4, 5, 6, 7])
            ]
        );
        assert_eq!((file.dropped, file.truncated), (Some(7), false));
        assert_eq!(file.interfaces, [ether, cooked]);
        assert_eq!(file.host_names.len(), 1);
    }
}
