//! `random_drop.quiet_loss`: were packets lost without a queue?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "how much later than the quickest tenth the packets just before a loss were, in milliseconds",
    why: "congestion delays before it drops",
    innocent: &["a queue elsewhere on the path"],
    blind_to: "receiver-side captures of senders without TCP time stamps; UDP",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(fit) = &case.fit else {
        return Reading::Blind("fewer than 4 separate losses in one flow");
    };
    let Some(worst) = [fit.inflation_behind, fit.inflation_before]
        .into_iter()
        .flatten()
        .max_by(f64::total_cmp)
    else {
        return Reading::Blind("no delays measured: neither acknowledgements nor time stamps");
    };
    Reading::measured(
        worst.max(0.0) * 1e3,
        [],
        format!("{:.1} ms above the quickest tenth", worst.max(0.0) * 1e3),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, value};
    use super::*;

    #[test]
    fn random_loss_is_quiet() {
        let flow = download(At::Server, Middlebox::Lose(0.1), 300);
        assert!(value(&read(&alone(&flow))).expect("delays") < 25.0);
    }
    #[test]
    fn a_full_queue_is_not() {
        let flow = download(At::Server, Middlebox::Shape(200_000.0, 20_000.0), 1500);
        assert!(value(&read(&alone(&flow))).expect("delays") > 25.0);
    }
    #[test]
    fn without_losses_nothing_is_said() {
        let flow = download(At::Server, Middlebox::Open, 150);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
