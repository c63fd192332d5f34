//! `innocent.bufferbloat`: did the controls wait in the same queue?

use crate::detect::rule::{About, Reading};

use super::case::Case;

pub(in crate::detect) const ABOUT: About = About {
    measures: "the longest wait of a control over this flow's, both at the upper quartile; three tenths of it where the control was served much faster; or how much longer than before and after the round trips of controls were that lived while the queue stood",
    why: "a queue on the access line delays everything behind it",
    innocent: &[],
    blind_to: "controls that were too short or ran at another time",
};

/// Service rate over this flow's from which on a control's queue is its own, and the part of its wait that is held against this flow nevertheless.
const OWN: f64 = 1.8;
const SHARE_OF_OWN: f64 = 0.3;

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let Some(queue) = &case.queue else {
        return Reading::Blind("no packet waited");
    };
    if let Some(wait) = case.controls.waited {
        return Reading::measured(
            wait / queue.wait.max(1e-3),
            [],
            format!(
                "other flows that lived meanwhile had round trips {:.0} ms longer than those before and after; a quarter of this flow's packets waited {:.0} ms",
                wait * 1e3,
                queue.wait * 1e3
            ),
        );
    }
    let Some((weighed, wait)) = (case.controls.flows.iter())
        .filter_map(|control| {
            let wait = control.wait?;
            // A control that waits while it is served much faster stands in a queue of its own.
            let own = control.served > OWN * queue.rate;
            Some((if own { SHARE_OF_OWN * wait } else { wait }, wait))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
    else {
        return Reading::Blind("no control whose delay was measured");
    };
    Reading::measured(
        weighed / queue.wait.max(1e-3),
        [],
        format!(
            "a quarter of this flow's packets waited {:.0} ms, of a control's {:.0} ms",
            queue.wait * 1e3,
            wait * 1e3
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{
        At, Middlebox, alone, as_control, beside, control, download, value,
    };
    use super::*;

    #[test]
    fn a_control_that_did_not_wait_rules_it_out() {
        let flows = [
            download(At::Server, Middlebox::Shape(37_500.0, 30_000.0), 250),
            control(At::Server, 250),
        ];
        assert!(value(&read(&beside(&flows))).expect("a control") < 0.15);
    }
    #[test]
    fn a_control_that_waited_as_long_does_not() {
        let flows = [
            download(At::Server, Middlebox::Shape(37_500.0, 30_000.0), 250),
            as_control(download(
                At::Server,
                Middlebox::Shape(37_500.0, 30_000.0),
                250,
            )),
        ];
        assert!(value(&read(&beside(&flows))).expect("a control") > 0.15);
    }
    #[test]
    fn small_controls_that_all_lived_behind_the_queue_share_it() {
        let shaped = download(At::Server, Middlebox::Shape(37_500.0, 30_000.0), 250);
        let small = |rtt_ms: f32, from_s: f64| {
            let mut small = control(At::Server, 8);
            small.summary.first = shaped.summary.first.plus((from_s * 1e9) as i64);
            small.summary.last = small.summary.first.plus(1_000_000_000);
            (small.summary.rtt_server_ms, small.summary.rtt_client_ms) = (Some(rtt_ms), None);
            small
        };
        let beside_small = |inside_ms: f32| {
            let mut flows = vec![
                shaped.clone(),
                control(At::Server, 250),
                small(50.0, -10.0),
                small(inside_ms, 3.0),
                small(inside_ms + 40.0, 4.0),
            ];
            // the fast one was over before the line got slow
            flows[1].summary.first = shaped.summary.first.plus(-9_000_000_000);
            flows[1].summary.last = shaped.summary.first.plus(-8_000_000_000);
            for (index, flow) in (0..).zip(&mut flows) {
                flow.index = index;
            }
            let case = beside(&flows);
            (value(&read(&case)), case.controls.fastest(0).is_some())
        };
        let (shared, fast) = beside_small(600.0);
        assert!(shared.expect("round trips") > 0.15);
        assert!(
            !fast,
            "what ended before the line was slow says nothing of it"
        );
        let (alone, fast) = beside_small(60.0);
        assert!(alone.expect("round trips") < 0.15);
        assert!(fast);
    }
    #[test]
    fn without_a_control_nothing_is_said() {
        let flow = download(At::Server, Middlebox::Shape(37_500.0, 30_000.0), 250);
        assert_eq!(value(&read(&alone(&flow))), None);
    }
}
