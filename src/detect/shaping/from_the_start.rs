//! `random_drop.from_the_start`: did losses begin with the flow?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "losses that the packets before the first loss would have had at the later loss ratio, in the flow that lost most",
    why: "random loss hits the first packets as often as the last; a queue or a bucket must fill or empty before it drops",
    innocent: &[],
    blind_to: "flows whose beginning is not in the capture; fewer than 5 losses in any one flow",
};

/// Fewest losses that give a ratio.
const FEWEST: usize = 5;

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let losses = case.ledger.losses();
    let Some(first) = case.ledger.sent.iter().position(|sent| sent.lost) else {
        return Reading::Blind("fewer than 5 losses in one flow");
    };
    if losses < FEWEST {
        return Reading::Blind("fewer than 5 losses in one flow");
    }
    if !case.flow.detail.from_start {
        return Reading::Blind("the beginning of the flow is not in the capture");
    }
    let later = losses as f64 / (case.ledger.sent.len() - first) as f64;
    Reading::measured(
        later * first as f64,
        [],
        format!(
            "{first} packets passed before the first loss, then {:.1} % were lost",
            later * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn a_limit_spares_the_beginning() {
        let flow = download(At::Server, Middlebox::Police(37_500.0, 60_000.0), 200);
        assert!(value(&read(&alone(&flow))).expect("losses") > 5.0);
    }

    #[test]
    fn without_losses_nothing_is_said() {
        let flow = download(At::Server, Middlebox::Open, 200);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
