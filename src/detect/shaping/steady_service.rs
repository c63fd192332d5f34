//! `shaping.steady_service`: was the queue served at one rate?

use super::case::Case;
use super::words::bits;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "half the distance of the quartiles of the service rate, over its median, in stretches of 0.4 s while packets waited",
    why: "a shaper serves at its rate and no other; a shared bottleneck serves a flow with what the others leave",
    innocent: &["a dedicated link of that rate"],
    blind_to: "fewer than 4 stretches with a standing queue",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(queue) = &case.queue else {
        return Reading::Blind("no packet waited");
    };
    let Some(unsteadiness) = queue.unsteadiness else {
        return Reading::Blind("fewer than 4 stretches with a standing queue");
    };
    Reading::measured(
        unsteadiness,
        [],
        format!(
            "served at {} (quartiles {} and {})",
            bits(queue.rate),
            bits(queue.rate_low),
            bits(queue.rate_high)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, alone, download, paced, value};
    use super::*;

    #[test]
    fn a_shaper_serves_at_its_rate() {
        let flow = download(At::Server, Middlebox::Shape(37_500.0, 30_000.0), 250);
        let case = alone(&flow);
        assert!(value(&read(&case)).expect("stretches") < 0.1);
        let rate = case.rate().expect("a rate");
        assert!((rate / 37_500.0 - 1.0).abs() < 0.07, "{rate}");
    }
    #[test]
    fn a_queue_that_swings_is_unsteady() {
        let flow = download(At::Server, Middlebox::Shape(37_500.0, 30_000.0), 250);
        let mut case = alone(&flow);
        if let Some(queue) = &mut case.queue {
            queue.unsteadiness = Some(0.4);
        }
        assert!(value(&read(&case)).expect("stretches") > 0.1);
    }
    #[test]
    fn without_a_queue_there_is_no_service() {
        let flow = paced(At::Server, 100, 40);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
