//! `policing.bucket_agreement`: does one token bucket say which packets had to go?

use super::case::Case;
use super::words::{bits, bytes};
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "how much better than chance the best token bucket tells lost packets from passed ones: share of fresh losses that met an empty bucket less share of passes that did",
    why: "a policer drops exactly when its bucket is empty and never else; random loss meets an empty bucket no more often than any packet does",
    innocent: &["a full queue obeys the same law: see policing.queue_at_loss"],
    blind_to: "limits shared with flows that the capture does not have; fewer than 4 separate losses",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(fit) = &case.fit else {
        return Reading::Blind("fewer than 4 separate losses to fit a bucket to");
    };
    Reading::measured(
        fit.agreement(),
        case.lost_frames(),
        format!(
            "a bucket of {} refilled at {} explains {:.0} % of {} losses and contradicts {:.1} % of the passes",
            bytes(fit.burst),
            bits(fit.rate),
            fit.explained * 100.0,
            fit.episodes,
            fit.contradicted * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn a_policer_is_met_from_either_end() {
        for at in [At::Server, At::Client] {
            let flow = download(at, Middlebox::Police(200_000.0, 24_000.0), 600);
            assert!(value(&read(&alone(&flow))).expect("a fit") > 0.6);
        }
    }
    #[test]
    fn random_loss_is_no_bucket() {
        let flow = download(At::Server, Middlebox::Lose(0.1), 300);
        assert!(value(&read(&alone(&flow))).expect("a fit") < 0.5);
    }
    #[test]
    fn without_losses_there_is_nothing_to_fit() {
        let flow = download(At::Server, Middlebox::Open, 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
