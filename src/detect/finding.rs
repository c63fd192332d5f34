use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::facts::Summary;
use crate::types::{Direction, Frame, Protocol, Timestamp};

/// The three kinds of interference.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A reset or close that the named peer did not send.
    RstInjection,
    /// Silence that someone made.
    Blackholing,
    /// A rate or loss that someone imposed.
    BandwidthShaping,
}

/// What happened, more closely (the contract's table).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// A RST the named peer did not send.
    ForgedRst,
    /// The peer's own packet turned into a payload-less RST/ACK.
    RewrittenReply,
    /// The same with FIN.
    ForgedFin,
    /// SYN retries, nothing back.
    SynUnanswered,
    /// After the hello nothing comes back, or nothing goes out.
    HelloUnanswered,
    /// A few packets pass after the trigger, then silence.
    DelayedDrop,
    /// The transfer freezes after a nearly constant number of bytes or packets.
    StalledAfterBytes,
    /// Several living flows to one address and port fall silent in the same moment.
    EndpointKilled,
    /// Parallel connections beyond the first stall in the handshake.
    ConnectionLimit,
    /// QUIC Initials, retried, no answer.
    QuicInitialUnanswered,
    /// Media of a call goes one way, or stops both ways while signalling lives.
    MediaUnanswered,
    /// A token bucket that drops.
    Policing,
    /// A token bucket that queues.
    Shaping,
    /// A fixed share is dropped whatever the rate.
    RandomDrop,
}

impl Mechanism {
    /// The kind it belongs to.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::ForgedRst | Self::RewrittenReply | Self::ForgedFin => Kind::RstInjection,
            Self::SynUnanswered
            | Self::HelloUnanswered
            | Self::DelayedDrop
            | Self::StalledAfterBytes
            | Self::EndpointKilled
            | Self::ConnectionLimit
            | Self::QuicInitialUnanswered
            | Self::MediaUnanswered => Kind::Blackholing,
            Self::Policing | Self::Shaping | Self::RandomDrop => Kind::BandwidthShaping,
        }
    }

    /// The contract's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ForgedRst => "forged_rst",
            Self::RewrittenReply => "rewritten_reply",
            Self::ForgedFin => "forged_fin",
            Self::SynUnanswered => "syn_unanswered",
            Self::HelloUnanswered => "hello_unanswered",
            Self::DelayedDrop => "delayed_drop",
            Self::StalledAfterBytes => "stalled_after_bytes",
            Self::EndpointKilled => "endpoint_killed",
            Self::ConnectionLimit => "connection_limit",
            Self::QuicInitialUnanswered => "quic_initial_unanswered",
            Self::MediaUnanswered => "media_unanswered",
            Self::Policing => "policing",
            Self::Shaping => "shaping",
            Self::RandomDrop => "random_drop",
        }
    }
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Score of at least 0.5.
    Suspected,
    /// At least 0.8.
    Likely,
    /// At least 0.95.
    Confirmed,
}

impl Level {
    /// The level of a score; none below 0.5.
    #[must_use]
    pub fn of(score: f64) -> Option<Self> {
        match score {
            s if s >= 0.95 => Some(Self::Confirmed),
            s if s >= 0.8 => Some(Self::Likely),
            s if s >= 0.5 => Some(Self::Suspected),
            _ => None,
        }
    }
}

/// One measured fact for or against a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The rule's name, as `explain` knows it.
    pub rule: &'static str,
    /// For the finding, or against it.
    pub supports: bool,
    /// What was measured.
    pub value: f64,
    /// The limit it was held against.
    pub limit: f64,
    /// Unit of both.
    pub unit: &'static str,
    /// The packets that show it.
    pub frames: Vec<Frame>,
    /// The fact in words.
    pub text: String,
    /// What it added to the sum (natural logarithm of odds).
    pub weight: f64,
}

/// A parameter of a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Parameter {
    /// A count or a rate in whole units.
    Integer(u64),
    /// A share or a time.
    Number(f64),
    /// A word.
    Text(String),
}

/// One judged interference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What happened.
    pub mechanism: Mechanism,
    /// Between 0 and 1; see [`Level::of`].
    pub score: f64,
    /// Which direction was hit; none means both.
    pub direction: Option<Direction>,
    /// Indexes into `CaptureFacts::flows` of the flows that it covers; the first shows it first.
    pub flows: Vec<u32>,
    /// When it happened.
    pub time: Timestamp,
    /// The packet that shows it first, for ordering.
    pub frame: Frame,
    /// Figures, in the contract's names, in the order in which they are to be shown.
    pub parameters: Vec<(&'static str, Parameter)>,
    /// For and against, heaviest first.
    pub evidence: Vec<Evidence>,
    /// Innocent causes that were tested against facts and failed.
    pub ruled_out: Vec<&'static str>,
    /// One line for people.
    pub summary: String,
}

/// Whether a flow could be judged, and how it came out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// A finding at `likely` or above covers it.
    Interfered,
    /// It could be judged, and nothing was found.
    Clear,
    /// Too few packets, tries or seconds.
    #[default]
    TooLittleData,
    /// The capture cannot show it: one way only, begun in the middle, packets lost.
    NotAssessable,
}

/// The verdict on one flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FlowVerdict {
    /// The judgement.
    pub judgement: Judgement,
    /// What was missing, in words; empty where nothing was.
    pub why: Cow<'static, str>,
    /// What a reset, FIN or silence was judged to be; none after an ordinary end.
    pub end_cause: Option<&'static str>,
    /// Stage and signature of the global passive study (SIGCOMM 2023), where the server's inbound packets were seen.
    pub tampering_signature: Option<&'static str>,
}

/// A fact about the whole capture, never a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Note {
    /// Its name.
    pub note: &'static str,
    /// The fact in words.
    pub text: String,
    /// The packets that show it.
    pub frames: Vec<Frame>,
}

/// What the detectors say of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Assessment {
    /// All findings of at least `suspected`, by time, then frame.
    pub findings: Vec<Finding>,
    /// The verdicts on flows whose detail was kept, by index; on others see [`Assessment::verdict`].
    pub verdicts: Vec<(u32, FlowVerdict)>,
    /// Facts about the whole capture.
    pub notes: Vec<Note>,
}

impl Assessment {
    /// The verdict on the flow with this index and summary.
    #[must_use]
    pub fn verdict(&self, index: u32, summary: &Summary) -> Cow<'_, FlowVerdict> {
        let place = self
            .verdicts
            .binary_search_by_key(&index, |(index, _)| *index);
        let listed = place.ok().and_then(|place| self.verdicts.get(place));
        listed.map_or_else(
            || Cow::Owned(FlowVerdict::without_detail(summary)),
            |(_, verdict)| Cow::Borrowed(verdict),
        )
    }
}

impl FlowVerdict {
    /// The verdict on a flow of which only the summary was kept, because nothing about it stood out.
    pub(super) fn without_detail(flow: &Summary) -> Self {
        let (judgement, why) = match (flow.up.packets, flow.down.packets) {
            (0, _) | (_, 0) => (
                Judgement::TooLittleData,
                "nothing of the other side was seen",
            ),
            _ if flow.key.protocol == Protocol::Tcp
                && flow.up.data_packets == 0
                && flow.down.data_packets == 0 =>
            {
                (Judgement::TooLittleData, "neither side sent anything")
            }
            _ => (Judgement::Clear, ""),
        };
        Self {
            judgement,
            why: why.into(),
            ..Self::default()
        }
    }
}
