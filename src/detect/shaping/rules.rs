//! All rules of this family, with limits and weights, to be compared at a glance.
//!
//! Limits marked "policing set" were chosen on 59 server-side captures with known truth (docs/detection.md, C2): token-bucket agreement there is 0.80 or more behind
//! 40 policers and 0.09 or less under random loss; a queue's share is 0.10 or less behind policers and 0.33 or more behind 12 shapers that dropped.

use crate::detect::finding::Mechanism::{self, Policing, RandomDrop, Shaping};
use crate::detect::rule::{
    Counts::{self, AtLeast, AtMost},
    Reading, Rule,
};

use super::bucket;
use super::case::{Case, WELL};
use super::plateau;
use super::{
    application_limited, beyond_chance, bucket_agreement, bucket_drained, bufferbloat,
    capture_loss, control_fast, even_arrivals, excess_loss, faster_start, first_burst_spared,
    from_the_start, full_line, growing_acknowledgements, heavy_loss, improbable_loss,
    indifferent_loss, lossy_radio, path_mtu, queue_at_loss, queue_share, quiet_loss, reordering,
    scattered_loss, server_pacing, shared_congestion, slow_reader, slow_start_too_short,
    standing_queue, steady_service, straight_line, tariff_limit, tight_bucket,
};

/// What a row has beside its [`Rule`]: the mechanisms that it speaks about, and its reading of a case that was computed already.
pub(super) struct Use {
    /// Mechanisms.
    pub(super) of: &'static [Mechanism],
    /// Its reading.
    pub(super) read: fn(&Case<'_>) -> Reading,
}

macro_rules! table {
    ($($name:literal $module:ident $of:expr, $counts:expr, $unit:literal, $for:literal, $against:literal, $source:literal;)*) => {
        /// The rules.
        pub(crate) const RULES: &[Rule] = &[$(Rule {
            name: $name,
            measure: |flow, around| $module::read(&Case::alone(flow, around)),
            about: &$module::ABOUT,
            counts: $counts,
            unit: $unit,
            weight_for: $for,
            weight_against: $against,
            source: $source,
        }),*];

        /// Their uses, in the same order.
        pub(super) const USES: &[Use] = &[$(Use { of: $of, read: $module::read }),*];
    };
}

const fn at_least(limit: f64) -> Counts {
    AtLeast(limit)
}

const fn at_most(limit: f64) -> Counts {
    AtMost(limit)
}

table! {
//  rule                             measure               speaks about             counts when            unit            for   against  source
    "policing.bucket_agreement"      bucket_agreement      &[Policing],             at_least(WELL),        "share",        3.0,  -6.0, "docs/detection.md, C6; policing set";
    "policing.beyond_chance"         beyond_chance         &[Policing],             at_least(bucket::LUCK), "nats",        1.0,  -4.0, "docs/detection.md, C6; policing set";
    "policing.bucket_drained"        bucket_drained        &[Policing],             at_least(bucket::GRIP), "share",       0.5,  -3.0, "docs/detection.md, C6 (long-run rate)";
    "policing.queue_at_loss"         queue_at_loss         &[Policing],             at_most(bucket::QUEUED), "of a full queue's delay", 1.0, -7.0, "docs/detection.md, C2 (code 7); policing set";
    "policing.first_burst_spared"    first_burst_spared    &[Policing],             at_least(1.5),         "losses",       0.5,  -0.3, "docs/detection.md, C3 (T5)";
    "policing.straight_line"         straight_line         &[Policing],             at_least(40.0),        "packets",      3.0,  -6.0, "docs/detection.md, C4 (plateau)";
    "policing.tight_bucket"          tight_bucket          &[Policing],             at_least(plateau::EMPTIES as f64), "times", 3.0, -6.0, "docs/detection.md, C6";
    "policing.faster_start"          faster_start          &[Policing],             at_least(2.5),         "times",        1.0,  -2.0, "docs/detection.md, C6";
    "policing.growing_acknowledgements" growing_acknowledgements &[Policing],       at_least(plateau::GROWTH), "bytes",    1.5,  -2.5, "RFC 9000, section 19.3.1";
    "shaping.even_arrivals"          even_arrivals         &[Shaping],              at_least(bucket::EVEN), "share",       1.5,  -1.0, "docs/detection.md, C4";
    "shaping.standing_queue"         standing_queue        &[Shaping],              at_least(20.0),        "ms",           1.5,  -5.0, "docs/detection.md, C4";
    "shaping.queue_share"            queue_share           &[Shaping],              at_least(0.25),        "share",        0.8,  -2.0, "docs/detection.md, C4";
    "shaping.steady_service"         steady_service        &[Shaping],              at_most(0.1),          "share",        2.0,  -3.0, "docs/detection.md, C4 (plateau)";
    "shaping.control_fast"           control_fast          &[Policing, Shaping],    at_least(1.8),         "times",        2.5,  -2.0, "docs/detection.md, C7 (slower_than_control)";
    "random_drop.excess_loss"        excess_loss           &[RandomDrop],           at_least(0.01),        "share",        2.0,  -4.0, "docs/detection.md, C3 (T1)";
    "random_drop.improbable_loss"    improbable_loss       &[RandomDrop],           at_least(3.0),         "decades",      2.0,  -4.0, "docs/detection.md, C3 (T1)";
    "random_drop.heavy_loss"         heavy_loss            &[RandomDrop],           at_least(0.025),       "share",        1.0,  -1.5, "docs/detection.md, C3";
    "random_drop.indifferent_loss"   indifferent_loss      &[RandomDrop],           at_most(WELL),         "share",        0.5,  -4.0, "docs/detection.md, C3 (T4)";
    "random_drop.from_the_start"     from_the_start        &[RandomDrop],           at_most(5.0),          "losses",      0.1,  -3.0, "docs/detection.md, C3 (T5): e^-5 by chance";
    "random_drop.scattered_loss"     scattered_loss        &[RandomDrop],           at_least(0.5),         "times",       0.1,  -2.0, "docs/detection.md, C3 (T2)";
    "random_drop.quiet_loss"         quiet_loss            &[RandomDrop],           at_most(25.0),         "ms",           0.3,  -3.0, "docs/detection.md, C3 (T6)";
    "innocent.slow_start_too_short"  slow_start_too_short  &[Policing, Shaping],    at_least(20.0),        "packets",      0.0,  -3.0, "docs/detection.md, C5";
    "innocent.application_limited"   application_limited   &[Shaping],              at_most(0.5),          "share",        0.1,  -2.0, "docs/detection.md, C5";
    "innocent.slow_reader"           slow_reader           &[Policing],             at_most(0.5),          "share",        0.1,  -1.0, "docs/detection.md, C5";
    "innocent.bufferbloat"           bufferbloat           &[Shaping],              at_most(0.15),         "times",        0.3,  -3.0, "docs/detection.md, C4, C7";
    "innocent.shared_congestion"     shared_congestion     &[Policing],             at_most(0.2),          "times",        0.3,  -4.0, "docs/detection.md, C1, C7 (WeheY)";
    "innocent.lossy_radio"           lossy_radio           &[RandomDrop],           at_most(0.25),         "times",        0.5,  -5.0, "docs/detection.md, C3 (T1)";
    "innocent.full_line"             full_line             &[RandomDrop],           at_most(0.03),         "share",        0.1,  -4.0, "docs/detection.md, C1 (cross traffic)";
    "innocent.path_mtu"              path_mtu              &[RandomDrop],           at_least(0.3),         "share",        0.1,  -6.0, "RFC 8899";
    "innocent.reordering"            reordering            &[RandomDrop],           at_most(0.5),          "times",        0.1,  -5.0, "docs/detection.md, C2.4; RFC 4653";
    "innocent.capture_loss"          capture_loss          &[Policing, RandomDrop], at_most(0.3),          "times",        0.1,  -5.0, "docs/detection.md, C3 (hard negatives)";
    "innocent.server_pacing"         server_pacing         &[Shaping],              at_least(0.2),         "share",        0.1,  -3.0, "docs/detection.md, C5";
    "innocent.tariff_limit"          tariff_limit          &[Policing, Shaping],    at_least(1.5),         "times",        0.2,  -2.0, "docs/detection.md, C7";
}
