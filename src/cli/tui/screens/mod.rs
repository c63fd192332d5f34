//! What is drawn: each screen is a function of the state.

mod findings;
mod flows;
mod services;
mod words;

use std::fmt::Write as _;

use dpiscope::report::{Paint, grouped};

use super::canvas::{Canvas, letters};
use super::state::{Focus, Screen, Snapshot, State};

/// The smallest terminal that the view can be used on, in columns and rows.
pub(super) const SMALLEST: (u16, u16) = (60, 12);

/// Draws all.
pub(super) fn draw(state: &State, canvas: &mut Canvas<'_>) {
    let (width, height) = (canvas.width(), canvas.height());
    if width < SMALLEST.0 || height < SMALLEST.1 {
        let (columns, rows) = SMALLEST;
        canvas.put(
            (0, 0),
            width,
            "dpiscope: this terminal is too small",
            Paint::Bold,
        );
        let words = format!("({width}x{height}; {columns}x{rows} at least; q quits)");
        canvas.put((0, 1), width, &words, Paint::Plain);
        return;
    }
    title(&state.shot, canvas);
    match state.over.last() {
        None => first(state, canvas),
        Some(Screen::Flows { service, list }) => flows::draw(state, service, list, canvas),
        Some(Screen::Text { page, from }) => words::draw(state, *page, *from, canvas),
    }
    keys(state, canvas);
}

/// What is looked at, and how it is doing.
fn title(shot: &Snapshot, canvas: &mut Canvas<'_>) {
    let figures = match &shot.live {
        Some(live) => {
            let mut words = format!("{} packets", grouped(live.packets));
            if live.packets == 0 {
                words = format!("{} flows", grouped(shot.report.totals.flows));
            }
            if live.dropped > 0 {
                let _ = write!(words, ", {} lost", grouped(live.dropped));
            }
            if let Some(bytes) = live.memory {
                let _ = write!(words, ", {:.0} MiB", bytes as f64 / 1_048_576.0);
            }
            if live.lag_s >= 2.0 {
                let _ = write!(words, ", {:.0} s behind", live.lag_s);
            }
            let now = live.now.to_string();
            let time = now.split(['T', '.', 'Z']).nth(1).unwrap_or_default();
            let _ = write!(words, " {} {time}", if live.over { "ended" } else { "at" });
            words
        }
        None => format!(
            "{} packets, {} flows",
            grouped(shot.report.totals.packets),
            grouped(shot.report.totals.flows)
        ),
    };
    let width = canvas.width();
    let right = (letters(&figures) as u16 + 1).min(width - 24);
    let what = match &shot.live {
        Some(live) if !live.over => "dpiscope live",
        _ => "dpiscope",
    };
    canvas.put(
        (1, 0),
        width - right - 2,
        &format!("{what}  {}", shot.source),
        Paint::Bold,
    );
    canvas.put_right((width - right, 0), right - 1, &figures, Paint::Plain);
    canvas.reverse(0);
}

/// Findings, and services below them.
fn first(state: &State, canvas: &mut Canvas<'_>) {
    let height = canvas.height();
    let below = 1 + words::result(state, 1, canvas);
    let rows = height - 1 - below;
    // each list has its head of two rows; a short one leaves its room to the other
    let room = rows.saturating_sub(4);
    let wanted = (
        state.shown_findings().len().max(1) as u16,
        state.shown_services().len().max(1) as u16,
    );
    let findings = wanted
        .0
        .min((room / 2).max(room.saturating_sub(wanted.1)))
        .max(1);
    let summary = findings::draw(state, (below, findings), canvas);
    let top = below + 2 + findings + summary;
    let services = (height - 1).saturating_sub(top + 2);
    services::draw(state, (top, services), canvas);
}

/// The title of a list: its name, how many entries, in which order, what is sought.
struct Head<'a> {
    name: &'a str,
    shown: usize,
    all: usize,
    order: &'a str,
    filter: &'a str,
    focused: bool,
}

impl Head<'_> {
    fn draw(&self, y: u16, canvas: &mut Canvas<'_>) {
        let width = canvas.width();
        let mut words = format!("{} ", self.name);
        if self.filter.is_empty() {
            let _ = write!(words, "({})", self.all);
        } else {
            let _ = write!(
                words,
                "({} of {} with \"{}\")",
                self.shown, self.all, self.filter
            );
        }
        let paint = if self.focused {
            Paint::Bold
        } else {
            Paint::Faint
        };
        canvas.put((1, y), width - 2, &words, paint);
        let order = letters(self.order) as u16;
        canvas.put_right((width - order - 2, y), order + 1, self.order, Paint::Faint);
    }
}

/// The keys, or the line that is being typed.
fn keys(state: &State, canvas: &mut Canvas<'_>) {
    let (width, y) = (canvas.width(), canvas.height() - 1);
    if let Some(typed) = &state.typing {
        canvas.put(
            (0, y),
            width,
            &format!(" /{typed}_   Enter keeps it, Esc takes it back"),
            Paint::Bold,
        );
        return;
    }
    let words = match (state.over.last(), state.focus) {
        (None, Focus::Findings) => "Enter evidence  Tab services  / filter  s order  i capture",
        (None, Focus::Services) => "Enter flows  Tab findings  / filter  s order  i capture",
        (Some(Screen::Flows { .. }), _) => "Enter flow  Esc back  / filter  s order  i capture",
        (Some(Screen::Text { .. }), _) => "Up Down PgUp PgDn  / find  n next  Esc back",
    };
    let always = "? help  q quit";
    let right = letters(always) as u16;
    canvas.put((1, y), width - right - 4, words, Paint::Plain);
    canvas.put((width - right - 1, y), right, always, Paint::Plain);
    canvas.reverse(y);
}

/// The name of a service, or the contract's word for it where the name does not fit.
fn label<'a>(name: &'a str, word: &'a str, width: u16) -> &'a str {
    if letters(name) <= usize::from(width) {
        name
    } else {
        word
    }
}

/// A figure in three digits and a letter: `1.23M`.
fn brief(value: f64) -> String {
    let (figure, letter) = match value {
        v if v >= 1e12 => (v / 1e12, "T"),
        v if v >= 1e9 => (v / 1e9, "G"),
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e3 => (v / 1e3, "k"),
        v => return format!("{v:.0}"),
    };
    let digits = match figure {
        f if f < 9.995 => 2,
        f if f < 99.95 => 1,
        _ => 0,
    };
    format!("{figure:.digits$}{letter}")
}

/// Bars over time, `width` of them, the highest as high as a row.
fn course(bins: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let width = width.clamp(1, bins.len().max(1));
    let sums: Vec<f64> = (0..width)
        .map(|place| {
            let part = place * bins.len() / width..(place + 1) * bins.len() / width;
            bins.get(part).unwrap_or_default().iter().sum()
        })
        .collect();
    let most = sums.iter().copied().fold(0.0, f64::max);
    let bar = |sum: &f64| {
        if *sum <= 0.0 || most <= 0.0 {
            return ' ';
        }
        let place = (sum / most * 7.0).round() as usize;
        BARS.get(place).copied().unwrap_or(' ')
    };
    sums.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_brief_and_bars_as_high_as_what_they_stand_for() {
        let words = [0.0, 999.4, 1_000.0, 12_345.0, 999_960.0, 6.4e6, 2e9].map(brief);
        assert_eq!(
            words,
            ["0", "999", "1.00k", "12.3k", "1000k", "6.40M", "2.00G"]
        );
        assert_eq!(course(&[0.0, 1.0, 4.0, 8.0], 4), " ▂▅█");
        assert_eq!(course(&[1.0, 1.0, 0.0, 0.0], 2), "█ ");
        assert_eq!(course(&[0.0; 4], 4), "    ");
        assert_eq!(course(&[], 4), " ");
    }
}
