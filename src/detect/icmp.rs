//! What an ICMP error about a flow says, and who may say it.

use crate::facts::{FlowFacts, PacketFact};
use crate::types::Direction;

/// The errors that can explain a silence, or pretend to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::detect) enum Error {
    /// Somebody forbids it: ICMPv4 3/9, 3/10, 3/13 (RFC 1812, section 5.2.7.1), ICMPv6 1/1, 1/5, 1/6 (RFC 4443, section 3.1).
    Prohibited,
    /// Nobody listens there: 3/3, 1/4. Only the host itself can know (RFC 1122, section 3.2.2.1).
    Port,
    /// No way to the host or network: the rest of type 3, or of type 1.
    Unreachable,
    /// The packet does not fit: 3/4, type 2.
    TooBig,
    /// The packet was on its way for too many hops: 11/0, 3/0.
    Expired,
}

/// What an ICMP error says.
pub(in crate::detect) fn error(flow: &FlowFacts, packet: &PacketFact) -> Option<Error> {
    let v4 = flow.summary.key.a.address.is_v4();
    Some(match (v4, packet.number >> 8, packet.number & 0xff) {
        (true, 3, 9 | 10 | 13) | (false, 1, 1 | 5 | 6) => Error::Prohibited,
        (true, 3, 3) | (false, 1, 4) => Error::Port,
        (true, 3, 4) | (false, 2, _) => Error::TooBig,
        (true, 3, _) | (false, 1, _) => Error::Unreachable,
        (true, 11, 0) | (false, 3, 0) => Error::Expired,
        _ => return None,
    })
}

/// The errors about what went against `direction`, which travel that way themselves.
pub(in crate::detect) fn errors(
    flow: &FlowFacts,
    direction: Direction,
) -> impl Iterator<Item = (Error, &PacketFact)> {
    flow.detail
        .icmp
        .iter()
        .filter(move |packet| packet.direction == Some(direction))
        .filter_map(|packet| Some((error(flow, packet)?, packet)))
}

/// Whether only a filter on the way can have said so: it forbids, or speaks of a port that is not its own.
pub(in crate::detect) fn is_filters(error: Error, packet: &PacketFact) -> bool {
    matches!(error, Error::Prohibited | Error::Port) && !packet.is_from_peer()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::PacketKind;
    use crate::types::Address;

    fn packet(kind: u32, code: u32, from_peer: bool) -> PacketFact {
        PacketFact {
            kind: PacketKind::Icmp,
            direction: Some(Direction::Down),
            number: kind << 8 | code,
            raw_ack: u32::from(from_peer),
            ..PacketFact::default()
        }
    }

    fn said(v4: bool, kind: u32, code: u32) -> Option<Error> {
        let mut flow = FlowFacts::default();
        flow.summary.key.a.address = if v4 {
            Address::v4([192, 0, 2, 10])
        } else {
            Address([0x20; 16])
        };
        error(&flow, &packet(kind, code, false))
    }

    #[test]
    fn each_version_has_its_own_numbers() {
        assert_eq!(said(true, 3, 13), Some(Error::Prohibited));
        assert_eq!(said(false, 1, 1), Some(Error::Prohibited));
        assert_eq!(said(true, 3, 3), Some(Error::Port));
        assert_eq!(said(false, 1, 4), Some(Error::Port));
        assert_eq!(said(true, 3, 4), Some(Error::TooBig));
        assert_eq!(said(false, 2, 0), Some(Error::TooBig));
        assert_eq!(said(true, 3, 1), Some(Error::Unreachable));
        assert_eq!(said(false, 3, 0), Some(Error::Expired));
        assert_eq!(said(true, 11, 0), Some(Error::Expired));
        assert_eq!(said(true, 11, 1), None);
    }

    #[test]
    fn a_closed_port_is_the_hosts_to_report_and_a_prohibition_the_filters() {
        assert!(!is_filters(Error::Port, &packet(3, 3, true)));
        assert!(is_filters(Error::Port, &packet(3, 3, false)));
        assert!(is_filters(Error::Prohibited, &packet(3, 13, false)));
        assert!(!is_filters(Error::Prohibited, &packet(3, 13, true)));
        assert!(!is_filters(Error::Unreachable, &packet(3, 1, false)));
    }
}
