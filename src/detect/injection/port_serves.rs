//! `rst.port_serves`: is the port that refuses open for others in the same moment?

use crate::detect::rule::{About, Reading};
use crate::facts::{CaptureFacts, End, FlowFacts};
use crate::types::Timestamp;

use super::case::{Case, NO_CASE, count, fellows};

pub(in crate::detect) const ABOUT: About = About {
    measures: "flows to the address and port of a refused SYN that were opened before, and in which the server goes on afterwards",
    why: "a port with living connections is not closed, and a server that starts anew kills them",
    innocent: &[
        "a firewall of the server that limits its connections",
        "a load balancer with a dead host among living ones",
    ],
    blind_to: "servers with one connection at a time",
};

/// The server must speak again within this.
const SOON_NS: i64 = 60_000_000_000;

/// What comes so soon may have been under way already.
const UNDER_WAY_NS: i64 = 500_000_000;

pub(in crate::detect) fn measure(flow: &FlowFacts, around: &CaptureFacts) -> Reading {
    let Some(case) = Case::of(flow, around) else {
        return Reading::Blind(NO_CASE);
    };
    if case.ordinary().next().is_some() {
        return Reading::Blind("the named side said something besides: this is no refusal");
    }
    let when: Timestamp = case.first.time;
    let (mut others, mut living) = (0_u32, 0_u32);
    for fellow in
        fellows(flow, around).filter(|fellow| fellow.key.protocol == flow.summary.key.protocol)
    {
        others += 1;
        living += u32::from(
            fellow.first < when
                && fellow.down.data_packets > 0
                && !matches!(fellow.end, End::RstByServer | End::RstByClient)
                && fellow.heard_between(when.plus(UNDER_WAY_NS), when.plus(SOON_NS)),
        );
    }
    if others == 0 {
        return Reading::Blind("the only flow to this address and port");
    }
    Reading::measured(
        living,
        case.frames(),
        format!(
            "{} to the same address and port lived on through it",
            count(living as usize, "flow")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::injection::testing::{Story, among, value};
    use crate::facts::Activity;

    /// A SYN that is refused 10 s into another flow to the same port, in which the server is heard at these seconds.
    fn beside(heard: &[i64]) -> Option<f64> {
        let flow = Story::new().syn().wait(10).forge_with(|_| {}).build();
        let mut around = among(&flow, &[(0, End::Open)]);
        around.by_server = around.by_client.clone();
        around.flows[1].first = flow.summary.first.plus(-10_000_000_000);
        around.by_server.swap(0, 1);
        let mut activity = Activity::default();
        for second in heard {
            activity.note(second * 1_000_000_000);
        }
        around.flows[1].activity = activity;
        value(&measure(&flow, &around))
    }

    #[test]
    fn a_port_with_a_living_connection_is_not_closed() {
        assert_eq!(beside(&[1, 9, 12, 15]), Some(1.0));
    }

    #[test]
    fn a_server_that_fell_silent_with_it_may_have_been_restarted() {
        assert_eq!(beside(&[1, 9]), Some(0.0));
    }

    #[test]
    fn alone_it_is_blind() {
        let flow = Story::new().syn().wait(10).forge_with(|_| {}).build();
        assert_eq!(value(&measure(&flow, &among(&flow, &[]))), None);
    }
}
