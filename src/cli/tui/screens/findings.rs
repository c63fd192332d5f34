//! The list of findings.

use dpiscope::detect::Level;
use dpiscope::report::{Finding, Paint, endpoint, level_word, service_name};

use super::{Head, label};
use crate::cli::tui::canvas::{Canvas, shortened_name};
use crate::cli::tui::state::{FINDING_ORDERS, Focus, State};

/// Draws the list in `rows` rows below two of its head; gives how many rows the chosen one's sentence takes below it.
pub(super) fn draw(state: &State, (y, rows): (u16, u16), canvas: &mut Canvas<'_>) -> u16 {
    let (width, report) = (canvas.width(), &state.shot.report);
    let shown = state.shown_findings();
    let focused = state.focus == Focus::Findings && state.over.is_empty();
    let order = FINDING_ORDERS.get(state.findings.order);
    let name = if report.hidden_findings > 0 {
        format!("Findings, {} weaker ones hidden", report.hidden_findings)
    } else {
        "Findings".to_owned()
    };
    Head {
        name: &name,
        shown: shown.len(),
        all: report.findings.len(),
        order: order.copied().unwrap_or_default(),
        filter: &state.findings.filter,
        focused,
    }
    .draw(y, canvas);
    let columns = Columns::new(width);
    for (x, wide, name) in [
        (columns.number, 4, "   #"),
        (columns.level, 9, "Level"),
        (columns.service, columns.service_wide, "Service"),
        (columns.what, 23, "What"),
        (columns.host, columns.host_wide, "Host"),
        (columns.time, 8, "Time"),
    ] {
        canvas.put((x, y + 1), wide, name, Paint::Plain);
    }
    canvas.underline(y + 1);
    if shown.is_empty() {
        canvas.put((columns.level, y + 2), width, "none", Paint::Faint);
    }
    let first = state.findings.first_shown(usize::from(rows), shown.len());
    let mut sentence = 0;
    for (row, finding) in (0..rows).zip(shown.iter().skip(first)) {
        let at = y + 2 + row;
        columns.row(state, finding, at, canvas);
        if focused && state.findings.chosen() == Some(&finding.id) {
            canvas.choose(at);
        }
    }
    if let Some(finding) = state.findings.chosen()
        && let Some(finding) = report.findings.iter().find(|one| one.id == *finding)
        && canvas.height() >= 20
    {
        let words = format!(
            "{}: {}",
            service_name(report, &finding.service),
            finding.summary
        );
        for line in super::words::folded(&words, usize::from(width) - 4)
            .iter()
            .take(2)
        {
            canvas.put((2, y + 2 + rows + sentence), width - 4, line, Paint::Faint);
            sentence += 1;
        }
        // an empty row sets the two lists apart
        sentence += 1;
    }
    sentence
}

/// Where each column begins, and how wide those are that grow with the terminal.
struct Columns {
    number: u16,
    level: u16,
    service: u16,
    service_wide: u16,
    what: u16,
    host: u16,
    host_wide: u16,
    time: u16,
}

impl Columns {
    fn new(width: u16) -> Self {
        let service_wide = if width >= 100 { 20 } else { 10 };
        let what = 17 + service_wide;
        let host = what + 24;
        let time = width - 9;
        Self {
            number: 1,
            level: 6,
            service: 16,
            service_wide,
            what,
            host,
            host_wide: time.saturating_sub(host + 1),
            time,
        }
    }

    fn row(&self, state: &State, finding: &Finding, y: u16, canvas: &mut Canvas<'_>) {
        let paint = match finding.level {
            Level::Confirmed | Level::Likely => Paint::Red,
            Level::Suspected => Paint::Yellow,
        };
        let name = service_name(&state.shot.report, &finding.service);
        let service = label(name, &finding.service, self.service_wide);
        let what = finding.mechanism.name().replace('_', " ");
        let server = || endpoint(finding.flow.server, finding.flow.server_port);
        let host = finding.host.clone().unwrap_or_else(server);
        let time = finding.time.to_string();
        let time = time.split(['T', '.', 'Z']).nth(1).unwrap_or_default();
        canvas.put_right((self.number, y), 4, &finding.id.to_string(), Paint::Plain);
        canvas.put((self.level, y), 9, level_word(finding.level), paint);
        canvas.put((self.service, y), self.service_wide, service, Paint::Plain);
        canvas.put((self.what, y), 23, &what, Paint::Plain);
        let host = shortened_name(&host, usize::from(self.host_wide));
        canvas.put((self.host, y), self.host_wide, &host, Paint::Plain);
        canvas.put((self.time, y), 8, time, Paint::Plain);
    }
}
