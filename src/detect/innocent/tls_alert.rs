//! `tls_alert`: the server said why before it went.

use crate::detect::injection::case::{Case, NO_CASE};
use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, FlowFacts};

pub(in crate::detect) const ABOUT: About = About {
    measures: "whether a TLS alert of the named side came before its reset",
    why: "a true end of TLS says so in the protocol; a box that resets does not",
    innocent: &[],
    blind_to: "encrypted alerts",
};

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around).or_else(|| Case::any(flow, around)) else {
        return Reading::Blind(NO_CASE);
    };
    if flow.detail.recognised.hello_frame.is_none() {
        return Reading::Blind("not TLS");
    }
    let alert = flow.detail.recognised.alerts.iter().find(|(_, _, frame)| {
        flow.detail.packets.iter().any(|packet| {
            packet.frame == *frame && packet.direction == Some(case.named) && case.is_before(packet)
        })
    });
    match alert {
        Some((_, code, frame)) => Reading::measured(
            1,
            [*frame, case.first.frame],
            format!("TLS alert {code} came first"),
        ),
        None => Reading::measured(0, case.frames(), "no TLS alert came first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, around, value};
    use crate::types::{Frame, Side};

    #[test]
    fn an_alert_before_the_reset_is_the_servers_word() {
        let mut flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(7)
            .abort_down()
            .build();
        flow.detail
            .recognised
            .alerts
            .push((Side::B, 112, Frame::new(0, 5)));
        assert_eq!(value(&measure(&flow, &around())), Some(1.0));
    }

    #[test]
    fn without_an_alert_it_does_not_fit() {
        let flow = Story::new()
            .handshake(40)
            .hello()
            .data_down(7)
            .abort_down()
            .build();
        assert_eq!(value(&measure(&flow, &around())), Some(0.0));
    }

    #[test]
    fn without_tls_it_is_blind() {
        let flow = Story::new().handshake(40).data_up(64).abort_down().build();
        assert_eq!(value(&measure(&flow, &around())), None);
    }
}
