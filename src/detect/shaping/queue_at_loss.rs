//! `policing.queue_at_loss`: were the lost packets standing in a queue?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "delay at the losses, as a share of the delay that a full queue of the bucket's size and rate makes",
    why: "a policer drops without delaying; a full queue has delayed everything before it drops",
    innocent: &["a queue elsewhere on the path grows at the same time"],
    blind_to: "queues shorter than the time stamp clocks and the jitter of the path",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(fit) = &case.fit else {
        return Reading::Blind("fewer than 4 separate losses to fit a bucket to");
    };
    let Some(share) = fit.queued() else {
        return Reading::Blind("no delays measured: neither acknowledgements nor time stamps");
    };
    if let (None, Some(evenness)) = (fit.inflation_before, fit.evenness) {
        return Reading::measured(
            share,
            [],
            format!(
                "no time stamps; {:.0} % of the arrivals are spaced as a queue of this rate spaces them",
                evenness * 100.0
            ),
        );
    }
    let worst = fit
        .inflation_behind
        .unwrap_or(0.0)
        .max(fit.inflation_before.unwrap_or(0.0));
    Reading::measured(
        share,
        [],
        format!(
            "packets just before a loss were {:.1} ms later than the quickest tenth; a full queue would make it {:.0} ms",
            worst.max(0.0) * 1e3,
            fit.queue_s * 1e3
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn a_policer_drops_without_delay() {
        for at in [At::Server, At::Client] {
            let flow = download(at, Middlebox::Police(200_000.0, 24_000.0), 600);
            assert!(value(&read(&alone(&flow))).expect("delays") < 0.25);
        }
    }
    #[test]
    fn a_full_queue_delays_before_it_drops() {
        for at in [At::Server, At::Client] {
            let flow = download(at, Middlebox::Shape(200_000.0, 20_000.0), 1500);
            assert!(value(&read(&alone(&flow))).expect("delays") > 0.25);
        }
    }
    #[test]
    fn without_losses_there_is_no_delay_at_them() {
        let flow = download(At::Server, Middlebox::Open, 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
