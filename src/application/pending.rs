//! Stands in until datagrams are recognised.
use super::{Appetite, Recognised};
use crate::flow::PacketKind;
use crate::types::{FlowKey, Frame, Side, Timestamp};
#[derive(Debug)]
/// x
pub struct DatagramRecogniser;
impl DatagramRecogniser {
    /// x
    pub fn new(_: &FlowKey) -> Self { Self }
    /// x
    pub fn datagram(&mut self, _: Side, _: &[u8], _: bool, _: Frame, _: Timestamp) -> Appetite { Appetite::Full }
    /// x
    pub fn finish(self) -> Recognised { Recognised::default() }
}
/// x
pub fn datagram_may_start(_: &[u8], _: (u16, u16)) -> bool { false }
/// x
pub struct Class { 
 /// x
 pub kind: PacketKind, 
 /// x
 pub number: u32, 
 /// x
 pub stream: u32 }
/// x
pub fn classify_datagram(_: &[u8]) -> Class { Class { kind: PacketKind::Datagram, number: 0, stream: 0 } }
