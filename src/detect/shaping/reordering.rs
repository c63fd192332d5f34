//! `innocent.reordering`: were packets late rather than lost?

use super::case::Case;
use crate::detect::rule::{About, Reading};

pub(in crate::detect) const ABOUT: About = About {
    measures: "packets that came out of order, and repeats of packets that were only late, over packets taken for lost, over all flows of the service",
    why: "where packets overtake each other, senders repeat what was only late, and holes fill by themselves (RFC 4653); a box that drops does not reorder. A repeat was needless where what it repeats is acknowledged before the repeat can have arrived (Eifel, RFC 3522), and counts as no loss, nor does one that the receiver calls a duplicate (DSACK, RFC 2883); what fills a hole was overtaken where its time stamp is older than that of the packet behind the hole (RFC 7323)",
    innocent: &[],
    blind_to: "reordering behind the capture point of packets that nobody repeats",
};

pub(in crate::detect) fn read(case: &Case<'_>) -> Reading {
    let pool = &case.pool;
    if pool.lost == 0 {
        return Reading::Blind("nothing was lost");
    }
    Reading::measured(
        pool.reordered as f64 / pool.lost as f64,
        [],
        format!(
            "{} packets came out of order or were repeated although they were only late, {} were lost",
            pool.reordered, pool.lost
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{At, Middlebox, around, download};
    use super::super::loss::Pool;
    use super::*;

    fn value(reordered: u64, lost: u64) -> Option<f64> {
        let flow = download(At::Client, Middlebox::Open, 100);
        let flows = [flow];
        let mut case = Case::alone(&flows[0], &around(&flows));
        case.pool = Pool {
            sent: 144,
            lost,
            reordered,
            ..Pool::default()
        };
        match read(&case) {
            Reading::Measured { value, .. } => Some(value),
            Reading::Blind(_) => None,
        }
    }

    #[test]
    fn many_overtaken_packets_explain_a_few_repeats() {
        assert_eq!(value(48, 12), Some(4.0));
    }

    #[test]
    fn loss_in_order_is_loss() {
        assert_eq!(value(0, 12), Some(0.0));
    }
}
