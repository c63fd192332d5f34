//! The flows of a service.

use std::fmt::Write as _;

use dpiscope::detect::Judgement;
use dpiscope::report::{
    Flow, Paint, end_words, endpoint, grouped, judgement_words, service_name, verdict_words,
};

use super::{Head, brief, words};
use crate::cli::tui::canvas::{Canvas, letters, shortened_name};
use crate::cli::tui::list::List;
use crate::cli::tui::state::{FLOW_ORDERS, State};

/// Rows below the list that say more of the chosen flow.
const MORE: u16 = 3;

/// Draws the flows of `service`.
pub(super) fn draw(state: &State, service: &str, list: &List<u64>, canvas: &mut Canvas<'_>) {
    let (width, height) = (canvas.width(), canvas.height());
    let report = &state.shot.report;
    let shown = state.shown_flows(service, list);
    let row = report.services.iter().find(|row| row.service == service);
    let all = row.map_or(0, |row| row.flows);
    let listed = state.shown_flows(service, &List::ordered(list.order)).len();
    let mut name = format!(
        "{}, {}: flows",
        service_name(report, service),
        row.map_or("gone", |row| verdict_words(row.verdict))
    );
    if (listed as u64) < all {
        let _ = write!(name, ", {} in all, some of them", grouped(all));
    }
    Head {
        name: &name,
        shown: shown.len(),
        all: listed,
        order: FLOW_ORDERS.get(list.order).copied().unwrap_or_default(),
        filter: &list.filter,
        focused: true,
    }
    .draw(1, canvas);
    let columns = Columns::new(width);
    columns.heads(2, canvas);
    let rows = height.saturating_sub(4 + MORE);
    if shown.is_empty() {
        canvas.put((columns.judged, 3), width, "none", Paint::Faint);
    }
    let first = list.first_shown(usize::from(rows), shown.len());
    for (row, flow) in (0..rows).zip(shown.iter().skip(first)) {
        let at = 3 + row;
        columns.row(flow, at, canvas);
        if list.chosen() == Some(&flow.id) {
            canvas.choose(at);
        }
    }
    let chosen = list
        .chosen()
        .and_then(|id| shown.iter().find(|flow| flow.id == *id));
    if let Some(flow) = chosen {
        let y = height - 1 - MORE;
        let ends = format!(
            "{} > {}",
            endpoint(flow.client, flow.client_port),
            endpoint(flow.server, flow.server_port)
        );
        canvas.put((2, y), width - 4, &ends, Paint::Faint);
        let mut judged = format!("{}; {}", end_words(flow), judgement_words(flow.assessment));
        if !flow.why.is_empty() {
            judged.push_str(": ");
            judged.push_str(&flow.why);
        }
        let lines = words::folded(&judged, usize::from(width) - 4);
        for (row, line) in (1..MORE).zip(&lines) {
            canvas.put((2, y + row), width - 4, line, Paint::Faint);
        }
    }
}

/// Where each column begins.
struct Columns {
    judged: u16,
    protocol: u16,
    host: u16,
    host_wide: u16,
    server: Option<u16>,
    up: u16,
    end: u16,
    end_wide: u16,
}

impl Columns {
    fn new(width: u16) -> Self {
        let end_wide = if width >= 120 { 30 } else { 16 };
        let end = width - 1 - end_wide;
        let up = end - 17;
        let host = 27;
        // an IPv4 address and its port
        let server = (width >= 110).then(|| up - 23);
        let host_wide = server.unwrap_or(up) - host - 1;
        Self {
            judged: 8,
            protocol: 23,
            host,
            host_wide,
            server,
            up,
            end,
            end_wide,
        }
    }

    fn heads(&self, y: u16, canvas: &mut Canvas<'_>) {
        canvas.put_right((1, y), 6, "#", Paint::Plain);
        canvas.put((self.judged, y), 14, "Judged", Paint::Plain);
        canvas.put((self.host, y), self.host_wide, "Host", Paint::Plain);
        if let Some(server) = self.server {
            canvas.put((server, y), 22, "Server", Paint::Plain);
        }
        canvas.put_right((self.up, y), 7, "Up", Paint::Plain);
        canvas.put_right((self.up + 8, y), 7, "Down", Paint::Plain);
        canvas.put((self.end, y), self.end_wide, "End", Paint::Plain);
        canvas.underline(y);
    }

    fn row(&self, flow: &Flow, y: u16, canvas: &mut Canvas<'_>) {
        let paint = match flow.assessment {
            Judgement::Interfered => Paint::Red,
            Judgement::Clear => Paint::Green,
            Judgement::TooLittleData | Judgement::NotAssessable => Paint::Plain,
        };
        let server = endpoint(flow.server, flow.server_port);
        let host = flow.host.clone().unwrap_or_else(|| server.clone());
        let protocol = match flow.protocol {
            dpiscope::types::Protocol::Tcp => "tcp",
            dpiscope::types::Protocol::Udp => "udp",
        };
        canvas.put_right((1, y), 6, &flow.id.to_string(), Paint::Plain);
        canvas.put(
            (self.judged, y),
            14,
            judgement_words(flow.assessment),
            paint,
        );
        canvas.put((self.protocol, y), 3, protocol, Paint::Plain);
        let host = shortened_name(&host, usize::from(self.host_wide));
        canvas.put((self.host, y), self.host_wide, &host, Paint::Plain);
        if let Some(place) = self.server {
            canvas.put((place, y), 22, &server, Paint::Plain);
        }
        canvas.put_right((self.up, y), 7, &brief(flow.bytes_up as f64), Paint::Plain);
        canvas.put_right(
            (self.up + 8, y),
            7,
            &brief(flow.bytes_down as f64),
            Paint::Plain,
        );
        // the cause is said below the list as well
        let end = end_words(flow);
        let brief = end.split(" (").next().unwrap_or_default();
        let end = if letters(&end) > usize::from(self.end_wide) {
            brief
        } else {
            &end
        };
        canvas.put((self.end, y), self.end_wide, end, Paint::Plain);
    }
}
