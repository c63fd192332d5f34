//! `innocent.path_mtu`: were only the largest packets lost?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "share of the lost packets that were no larger than the largest that passed",
    why: "a link that carries only smaller packets loses all large ones until the sender learns it (RFC 8899); random loss takes small ones too",
    innocent: &[],
    blind_to: "flows whose losses were not seen",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let sizes = |lost: bool| {
        (case.ledger.sent.iter())
            .filter(move |sent| sent.lost == lost && !sent.unseen)
            .map(|sent| sent.bytes)
    };
    let Some(passed) = sizes(false).max() else {
        return Reading::Blind("nothing passed");
    };
    let (all, small) = sizes(true).fold((0_u32, 0_u32), |(all, small), bytes| {
        (all + 1, small + u32::from(bytes <= passed))
    });
    if all == 0 {
        return Reading::Blind("no lost packet was seen itself");
    }
    Reading::measured(
        f64::from(small) / f64::from(all),
        [],
        format!(
            "{small} of {all} lost packets were no larger than one that passed ({passed} bytes)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn loss_that_takes_what_also_passes_is_not_the_mtu() {
        let flow = download(At::Server, Middlebox::Lose(0.1), 300);
        assert!(value(&read(&alone(&flow))).expect("losses") > 0.3);
    }
    #[test]
    fn loss_of_the_largest_alone_is() {
        let flow = download(At::Server, Middlebox::Lose(0.1), 300);
        let mut case = alone(&flow);
        for sent in &mut case.ledger.sent {
            if !sent.lost {
                sent.bytes = 1200;
            }
        }
        assert!(value(&read(&case)).expect("losses") < 0.3);
    }
    #[test]
    fn without_losses_nothing_is_said() {
        let flow = download(At::Server, Middlebox::Open, 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
