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
