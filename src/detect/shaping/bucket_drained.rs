//! `policing.bucket_drained`: did the sender use all that the bucket gave?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "agreement of the best token bucket, and half of the share of its rate that passed between the first loss and the last",
    why: "a sender that loses to a policer has more to send than the bucket refills, so in the long run the bucket's rate is the rate that passes; a bucket that fits random loss by chance is far faster than the sender",
    innocent: &[],
    blind_to: "fewer than 4 separate losses; senders that pause long",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(fit) = &case.fit else {
        return Reading::Blind("fewer than 4 separate losses to fit a bucket to");
    };
    Reading::measured(
        fit.grip(),
        [],
        format!(
            "{:.0} % of the bucket's rate was used",
            fit.used.min(1.0) * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::bucket::{Fit, GRIP};
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn a_policed_download_drains_the_bucket() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 24_000.0), 200);
        assert!(value(&read(&alone(&flow))).expect("a fit") >= GRIP);
    }

    #[test]
    fn a_bucket_far_faster_than_the_sender_is_none() {
        let flow = download(At::Server, Middlebox::Open, 200);
        let mut case = alone(&flow);
        case.fit = Some(Fit {
            explained: 0.86,
            contradicted: 0.02,
            used: 0.1,
            ..Fit::default()
        });
        assert!(value(&read(&case)).expect("a fit") < GRIP);
    }
}
