use crate::facts::{CaptureFacts, FlowFacts};
use crate::types::Frame;

use super::finding::Evidence;

/// What a rule is, for `explain`, the report and the documentation.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What it measures.
    pub measures: &'static str,
    /// Why that tells.
    pub why: &'static str,
    /// What else can look like it.
    pub innocent: &'static [&'static str],
    /// What it cannot see.
    pub blind_to: &'static str,
}

/// Why nothing is said of what was not seen while the capture itself lost packets.
pub(in crate::detect) const LOST: &str = "the capture lost packets meanwhile";

/// What a rule measured on one flow.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// A value, the packets behind it, and the fact in words.
    Measured {
        /// The value, in the rule's unit.
        value: f64,
        /// The packets that show it.
        frames: Vec<Frame>,
        /// The fact in words.
        text: String,
    },
    /// It could not be measured, and why. Says nothing for or against.
    Blind(&'static str),
}

impl Reading {
    /// A measured value.
    pub fn measured(
        value: impl Into<f64>,
        frames: impl IntoIterator<Item = Frame>,
        text: impl Into<String>,
    ) -> Self {
        Self::Measured {
            value: value.into(),
            frames: frames.into_iter().collect(),
            text: text.into(),
        }
    }
}

/// When a value counts for a finding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Counts {
    /// At or above the limit.
    AtLeast(f64),
    /// At or below the limit.
    AtMost(f64),
}

impl Counts {
    /// The limit.
    #[must_use]
    pub const fn limit(self) -> f64 {
        match self {
            Self::AtLeast(limit) | Self::AtMost(limit) => limit,
        }
    }

    /// Whether `value` counts.
    #[must_use]
    pub fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
        }
    }
}

/// One row of the table of rules.
pub struct Rule {
    /// Its name: `rst.ttl_delta`.
    pub name: &'static str,
    /// Its measurement.
    pub measure: fn(&FlowFacts, &CaptureFacts) -> Reading,
    /// Its description.
    pub about: &'static About,
    /// When it counts.
    pub counts: Counts,
    /// Unit of value and limit.
    pub unit: &'static str,
    /// What it adds to the logarithm of the odds when it counts.
    pub weight_for: f64,
    /// What it adds when it was measured and does not count.
    pub weight_against: f64,
    /// Where limit and weights come from.
    pub source: &'static str,
}

/// A rule's outcome on one flow.
#[derive(Clone, Debug, PartialEq)]
pub enum Weighed {
    /// Measured: the evidence, with its weight.
    Evidence(Evidence),
    /// Not measurable here, and why.
    Blind(&'static str),
}

impl Rule {
    /// Measures and weighs.
    #[must_use]
    pub fn weigh(&self, flow: &FlowFacts, around: &CaptureFacts) -> Weighed {
        self.decide((self.measure)(flow, around))
    }

    /// Weighs what was measured.
    #[must_use]
    pub fn decide(&self, reading: Reading) -> Weighed {
        match reading {
            Reading::Blind(why) => Weighed::Blind(why),
            Reading::Measured {
                value,
                frames,
                text,
            } => {
                let supports = self.counts.met(value);
                Weighed::Evidence(Evidence {
                    rule: self.name,
                    supports,
                    value,
                    limit: self.counts.limit(),
                    unit: self.unit,
                    frames,
                    text,
                    weight: if supports {
                        self.weight_for
                    } else {
                        self.weight_against
                    },
                })
            }
        }
    }
}
