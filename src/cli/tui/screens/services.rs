//! The table of services.

use dpiscope::report::{Paint, Service, Verdict, grouped, kinds, level_word, verdict_words};

use super::{Head, brief, course, label};
use crate::cli::tui::canvas::Canvas;
use crate::cli::tui::state::{Focus, SERVICE_ORDERS, State};

/// Columns of the verdict: `interfered, confirmed`.
const VERDICT: u16 = 21;

/// Columns of its kinds: `resets, silence, slowing`.
const HOW: u16 = 24;

/// Draws the table in `rows` rows below two of its head.
pub(super) fn draw(state: &State, (y, rows): (u16, u16), canvas: &mut Canvas<'_>) {
    let width = canvas.width();
    let shown = state.shown_services();
    let focused = state.focus == Focus::Services && state.over.is_empty();
    let order = SERVICE_ORDERS.get(state.services.order);
    Head {
        name: "Services",
        shown: shown.len(),
        all: state.shot.report.services.len(),
        order: order.copied().unwrap_or_default(),
        filter: &state.services.filter,
        focused,
    }
    .draw(y, canvas);
    let columns = Columns::new(width);
    let live = state.shot.live.is_some();
    canvas.put((1, y + 1), columns.name, "Service", Paint::Plain);
    canvas.put_right((columns.flows, y + 1), 6, "Flows", Paint::Plain);
    canvas.put_right((columns.hit, y + 1), 5, "Hit", Paint::Plain);
    canvas.put((columns.verdict, y + 1), VERDICT, "Verdict", Paint::Plain);
    if let Some(how) = columns.how {
        canvas.put((how, y + 1), HOW, "How", Paint::Plain);
    }
    let heads = if live {
        ["bit/s", "pkt/s"]
    } else {
        ["Bytes", "Pkts"]
    };
    for (x, name) in columns.figures().zip(heads) {
        canvas.put_right((x, y + 1), 6, name, Paint::Plain);
    }
    let name = if live { "Minute" } else { "Course" };
    canvas.put(
        (columns.course, y + 1),
        columns.course_wide,
        name,
        Paint::Plain,
    );
    canvas.underline(y + 1);
    let first = state.services.first_shown(usize::from(rows), shown.len());
    for (row, service) in (0..rows).zip(shown.iter().skip(first)) {
        let at = y + 2 + row;
        columns.row(state, service, at, canvas);
        if focused && state.services.chosen() == Some(&service.service) {
            canvas.choose(at);
        }
    }
}

/// Where each column begins.
struct Columns {
    name: u16,
    flows: u16,
    hit: u16,
    verdict: u16,
    how: Option<u16>,
    figures: [u16; 2],
    course: u16,
    course_wide: u16,
    width: u16,
}

impl Columns {
    fn new(width: u16) -> Self {
        let name = if width >= 100 { 22 } else { 15 };
        let flows = 1 + name;
        let hit = flows + 6;
        let verdict = hit + 5 + 2;
        let after = verdict + VERDICT + 1;
        let how = (width >= 120).then_some(after);
        let figures = how.map_or(after, |how| how + HOW + 1);
        let course = figures + 14;
        Self {
            name,
            flows,
            hit,
            verdict,
            how,
            figures: [figures, figures + 7],
            course,
            course_wide: width.saturating_sub(course + 1),
            width,
        }
    }

    /// Where figures have room.
    fn figures(&self) -> impl Iterator<Item = u16> {
        let width = self.width;
        (self.figures.into_iter()).filter(move |x| x + 6 < width)
    }

    fn row(&self, state: &State, row: &Service, y: u16, canvas: &mut Canvas<'_>) {
        let paint = match row.verdict {
            Verdict::Interfered | Verdict::Partial => Paint::Red,
            Verdict::Clear => Paint::Green,
            Verdict::TooLittleData | Verdict::NotAssessable => Paint::Plain,
        };
        let verdict = match (row.verdict, row.level) {
            (Verdict::Interfered | Verdict::Partial, Some(level)) => {
                format!("{}, {}", verdict_words(row.verdict), level_word(level))
            }
            (verdict, _) => verdict_words(verdict).to_owned(),
        };
        canvas.put(
            (1, y),
            self.name,
            label(&row.name, &row.service, self.name),
            Paint::Plain,
        );
        canvas.put_right((self.flows, y), 6, &grouped(row.flows), Paint::Plain);
        canvas.put_right(
            (self.hit, y),
            5,
            &grouped(row.interfered_flows),
            Paint::Plain,
        );
        canvas.put((self.verdict, y), VERDICT, &verdict, paint);
        if let Some(how) = self.how {
            canvas.put((how, y), HOW, &kinds(&row.kinds), Paint::Plain);
        }
        let Some(traffic) = state.shot.traffic.get(&row.service) else {
            return;
        };
        let figures = if state.shot.live.is_some() {
            [traffic.bits_s, traffic.packets_s]
        } else {
            [traffic.bytes, traffic.packets]
        };
        for (x, figure) in self.figures().zip(figures) {
            canvas.put_right((x, y), 6, &brief(figure), Paint::Plain);
        }
        let bars = course(&traffic.course, usize::from(self.course_wide));
        canvas.put((self.course, y), self.course_wide, &bars, Paint::Plain);
    }
}
