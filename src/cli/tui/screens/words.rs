//! Words to read: evidence, a flow, help, and the sentences above the lists.

use dpiscope::report::{Paint, result_lines};

use crate::cli::tui::canvas::{Canvas, letters};
use crate::cli::tui::state::{Page, State};

/// Draws a page from its line `from` on.
pub(super) fn draw(state: &State, page: Page, from: usize, canvas: &mut Canvas<'_>) {
    let (width, height) = (canvas.width(), canvas.height());
    let lines = state.lines(page);
    let rows = usize::from(height - 3);
    let name = match page {
        Page::Finding(id) => format!("Finding {id}"),
        Page::Flow(id) => format!("Flow {id}"),
        Page::Context => "The capture, and what is no finding".to_owned(),
        Page::News => "Messages, the last first".to_owned(),
        Page::Help => "Keys".to_owned(),
    };
    canvas.put((1, 1), width - 2, &name, Paint::Bold);
    let from = from.min(lines.len().saturating_sub(1));
    let until = (from + rows).min(lines.len());
    if lines.len() > rows {
        let words = format!("lines {}-{until} of {}", from + 1, lines.len());
        let wide = letters(&words) as u16 + 1;
        canvas.put_right((width - wide - 1, 1), wide, &words, Paint::Faint);
    }
    canvas.underline(1);
    for (y, line) in (2..height - 1).zip(lines.iter().skip(from)) {
        canvas.line((1, y), width - 2, line);
    }
}

/// The sentences of the result from row `y` on, three rows at most; gives how many rows they take.
pub(super) fn result(state: &State, y: u16, canvas: &mut Canvas<'_>) -> u16 {
    let width = canvas.width();
    let most = if canvas.height() >= 20 { 3 } else { 1 };
    let lines = result_lines(&state.shot.report, usize::from(width) - 2);
    let mut rows = 0;
    for (row, line) in (0..most).zip(&lines) {
        canvas.line((1, y + row), width - 2, line);
        rows = row + 1;
    }
    rows
}

/// Words in lines of at most `width` columns.
pub(super) fn folded(words: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if letters(line) + 1 + letters(word) <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
