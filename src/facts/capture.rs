use serde::Serialize;

use crate::types::{Address, Endpoint, Frame, Timestamp};

use super::flows::Flows;

/// What is known of the run as a whole once all flows are measured: the surroundings in which each flow is judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CaptureFacts {
    /// Every flow's summary, ordered by first packet time, then frame. A flow's place here is its index everywhere; its id is one more.
    pub flows: Flows,
    /// Indexes into `flows` ordered by client address, then first time: a host's flows lie together.
    pub by_client: Vec<u32>,
    /// Indexes into `flows` ordered by server address, port, then first time.
    pub by_server: Vec<u32>,
    /// First packet time of the run.
    pub first: Timestamp,
    /// Last packet time of the run.
    pub last: Timestamp,
    /// Where the capture was taken.
    pub vantage: VantageFacts,
    /// Packets that the captures themselves say were lost.
    pub dropped: u64,
    /// When packets were lost by the capture, as far as that is known: live runs note it, files do not tell. By time.
    pub losses: Vec<Loss>,
    /// DNS lookups, by time.
    pub lookups: Vec<DnsLookup>,
    /// For each service index, whether it is a messenger.
    pub messenger: Vec<bool>,
}

/// Packets that the capture lost between two moments.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Loss {
    /// Not before.
    pub from: Timestamp,
    /// Not after.
    pub to: Timestamp,
    /// How many.
    pub packets: u64,
}

impl CaptureFacts {
    /// Whether the capture lost packets between the two moments: what was not seen then may have been there.
    #[must_use]
    pub fn lost_between(&self, from: Timestamp, to: Timestamp) -> bool {
        self.losses
            .iter()
            .any(|loss| loss.from <= to && from <= loss.to)
    }
}

/// Where a capture was taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Vantage {
    /// At or next to the clients.
    Client,
    /// At or next to the servers.
    Server,
    /// Between them.
    #[default]
    Path,
}

/// The vantage and how it is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VantageFacts {
    /// Where.
    pub value: Vantage,
    /// Whether it was inferred rather than given.
    pub inferred: bool,
    /// Why, for people.
    pub why: String,
}

/// What a resolver said.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsAnswer {
    /// Nothing came back.
    #[default]
    Unanswered,
    /// The addresses.
    Addresses(Vec<Address>),
    /// The name does not exist.
    NxDomain,
    /// Another response code, or no address in the answer.
    Other(u8),
}

/// One DNS question and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DnsLookup {
    /// When it was asked.
    pub time: Timestamp,
    /// When it was answered.
    pub answered: Option<Timestamp>,
    /// The frame of the question, else of the answer.
    pub frame: Frame,
    /// The frame of the answer.
    pub answer_frame: Option<Frame>,
    /// Who asked.
    pub client: Address,
    /// Who was asked.
    pub resolver: Endpoint,
    /// The name, lower case, without a trailing dot.
    pub name: String,
    /// The question's type (1 A, 28 AAAA, 65 HTTPS).
    pub kind: u16,
    /// The answer.
    pub answer: DnsAnswer,
}
