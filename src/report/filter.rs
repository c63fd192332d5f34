//! Wireshark display filters.

use std::fmt::Write as _;

use crate::types::Frame;

/// The display filter that shows the packets of `frames` which lie in `capture`: `frame.number in {1205, 1210 .. 1213}`, runs of three and more
/// folded.
#[must_use]
pub fn display_filter(frames: impl IntoIterator<Item = Frame>, capture: u16) -> String {
    let mut numbers: Vec<u64> = frames
        .into_iter()
        .filter(|frame| frame.capture() == capture)
        .map(Frame::number)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    format!("frame.number in {{{}}}", list(&runs(&numbers), " .. "))
}

/// Ascending numbers as runs of first and last.
pub(super) fn runs(numbers: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if number <= last.saturating_add(1) => *last = (*last).max(number),
            _ => runs.push((number, number)),
        }
    }
    runs
}

/// Runs in words, with `between` the ends of a run; a run of two is written as two.
pub(super) fn list(runs: &[(u64, u64)], between: &str) -> String {
    let mut text = String::new();
    for &(first, last) in runs {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let _ = match last - first {
            0 => write!(text, "{first}"),
            1 => write!(text, "{first}, {last}"),
            _ => write!(text, "{first}{between}{last}"),
        };
    }
    text
}

/// A filter of at most `width` characters that shows at least these packets: the smallest gaps are filled until it fits.
pub(super) fn short_filter(filter: &str, width: usize) -> String {
    let Some(inner) = filter
        .strip_prefix("frame.number in {")
        .and_then(|rest| rest.strip_suffix('}'))
    else {
        return filter.to_owned();
    };
    let mut runs: Vec<(u64, u64)> = inner
        .split(", ")
        .filter_map(|part| {
            let (first, last) = part.split_once(" .. ").unwrap_or((part, part));
            Some((first.parse().ok()?, last.parse().ok()?))
        })
        .collect();
    // Two neighbouring numbers, written apart, are one run here.
    let mut short = filter.to_owned();
    let mut gaps: Vec<u64> = runs
        .windows(2)
        .map(|pair| pair[1].0.saturating_sub(pair[0].1))
        .collect();
    gaps.sort_unstable();
    gaps.dedup();
    for gap in gaps {
        if short.len() <= width {
            break;
        }
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for &(first, last) in &runs {
            match merged.last_mut() {
                Some((_, end)) if first.saturating_sub(*end) <= gap => *end = last,
                _ => merged.push((first, last)),
            }
        }
        runs = merged;
        short = format!("frame.number in {{{}}}", list(&runs, " .. "));
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(numbers: &[u64]) -> Vec<Frame> {
        numbers
            .iter()
            .map(|&number| Frame::new(0, number))
            .collect()
    }

    #[test]
    fn the_filter_is_the_contracts() {
        assert_eq!(
            display_filter(frames(&[1213, 1205, 1210, 1212, 1211, 1210]), 0),
            "frame.number in {1205, 1210 .. 1213}"
        );
    }

    #[test]
    fn two_neighbours_are_written_as_two() {
        assert_eq!(display_filter(frames(&[7, 8]), 0), "frame.number in {7, 8}");
    }

    #[test]
    fn packets_of_another_file_do_not_enter() {
        let both = [Frame::new(0, 1), Frame::new(1, 2)];
        assert_eq!(display_filter(both, 1), "frame.number in {2}");
    }

    #[test]
    fn a_long_filter_is_shortened_by_its_smallest_gaps_and_still_shows_all() {
        let many: Vec<u64> = (0..40).map(|i| 1_000 + 3 * i).chain([9_000]).collect();
        let filter = display_filter(frames(&many), 0);
        assert!(filter.len() > 100);
        assert_eq!(
            short_filter(&filter, 100),
            "frame.number in {1000 .. 1117, 9000}"
        );
        assert_eq!(
            short_filter("frame.number in {1, 3}", 100),
            "frame.number in {1, 3}"
        );
    }
}
