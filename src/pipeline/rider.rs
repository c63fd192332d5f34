use crate::application::{Appetite, DatagramRecogniser, Recognised, StreamRecogniser};
use crate::flow::{Reach, Reassembler};
use crate::types::{BySide, FlowKey, Frame, Seq, Side, Timestamp};

/// What rides with a flow in the table: its recogniser while that is hungry, then what it recognised.
#[derive(Debug)]
pub(super) enum Rider {
    Stream(Box<Stream>),
    Datagrams(Box<DatagramRecogniser>),
    Recognised(Box<Recognised>),
    /// Looked at, and nothing of what is known.
    Unknown,
}

/// A TCP flow's recogniser, with the means to put its bytes in order.
#[derive(Debug)]
pub(super) struct Stream {
    recogniser: StreamRecogniser,
    order: BySide<Option<Reassembler>>,
}

impl Rider {
    pub(super) fn stream(key: &FlowKey) -> Self {
        Self::Stream(Box::new(Stream {
            recogniser: StreamRecogniser::new(key),
            order: BySide::default(),
        }))
    }

    pub(super) fn datagrams(key: &FlowKey) -> Self {
        Self::Datagrams(Box::new(DatagramRecogniser::new(key)))
    }

    /// What was recognised, at the latest now.
    pub(super) fn finish(self) -> Option<Box<Recognised>> {
        let (dns, recognised) = match self {
            Self::Stream(mut stream) => (stream.recogniser.take_dns(), stream.recogniser.finish()),
            Self::Datagrams(mut recogniser) => (recogniser.take_dns(), recogniser.finish()),
            Self::Recognised(recognised) => return Some(recognised),
            Self::Unknown => return None,
        };
        Some(Box::new(Recognised { dns, ..recognised }))
    }

    /// What was recognised so far; the recogniser goes on.
    pub(super) fn so_far(&self) -> Self {
        let recognised = match self {
            Self::Stream(stream) => stream.recogniser.so_far(),
            Self::Datagrams(recogniser) => recogniser.so_far(),
            Self::Recognised(recognised) => Recognised::clone(recognised),
            Self::Unknown => return Self::Unknown,
        };
        Self::Recognised(Box::new(recognised))
    }

    /// Ends the recogniser and keeps what it found.
    pub(super) fn digest(&mut self) {
        let found = std::mem::replace(self, Self::Unknown).finish();
        if let Some(recognised) = found.filter(|recognised| **recognised != Recognised::default()) {
            *self = Self::Recognised(recognised);
        }
    }
}

impl Stream {
    /// Takes a segment's payload. Full once nobody wants more of either side.
    #[expect(
        clippy::too_many_arguments,
        reason = "one segment's context, taken apart by the caller"
    )]
    pub(super) fn segment(
        &mut self,
        side: Side,
        start: Seq,
        seq: Seq,
        payload: &[u8],
        whole: bool,
        frame: Frame,
        time: Timestamp,
    ) -> Appetite {
        let order = self.order[side].get_or_insert_with(|| Reassembler::new(start));
        let recogniser = &mut self.recogniser;
        let mut appetite = Appetite::Hungry;
        let reach = order.push(seq, payload, whole, |fresh| {
            appetite = recogniser.bytes(side, fresh, frame, time);
        });
        if reach == Reach::Closed && appetite == Appetite::Hungry {
            appetite = self.recogniser.gap(side);
        }
        appetite
    }
}
