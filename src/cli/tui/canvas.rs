//! Words on a grid: nothing that a terminal obeys gets through.

use dpiscope::report::{Line, Paint, clean};
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

/// What is drawn on.
pub(super) struct Canvas<'a> {
    pub(super) buffer: &'a mut Buffer,
    /// Whether the user allows colours.
    pub(super) colour: bool,
}

impl Canvas<'_> {
    pub(super) fn width(&self) -> u16 {
        self.buffer.area.width
    }

    pub(super) fn height(&self) -> u16 {
        self.buffer.area.height
    }

    /// Puts `words` at a place, over `width` columns at most; what does not fit ends in an ellipsis. Gives the column behind them.
    pub(super) fn put(&mut self, (x, y): (u16, u16), width: u16, words: &str, paint: Paint) -> u16 {
        if y >= self.height() || x >= self.width() {
            return x;
        }
        let width = width.min(self.width() - x);
        let words = shortened(&clean(words), usize::from(width));
        let style = self.style(paint);
        let end = (self.buffer).set_stringn(x, y, words, usize::from(width), style);
        end.0
    }

    /// The same, against the right edge of its columns.
    pub(super) fn put_right(&mut self, (x, y): (u16, u16), width: u16, words: &str, paint: Paint) {
        let blank = usize::from(width).saturating_sub(letters(words));
        let words = format!("{:blank$}{words}", "");
        self.put((x, y), width, &words, paint);
    }

    /// A line of a report.
    pub(super) fn line(&mut self, (x, y): (u16, u16), width: u16, line: &Line) {
        let mut at = x;
        for (paint, words) in line {
            at = self.put((at, y), (x + width).saturating_sub(at), words, *paint);
        }
    }

    /// Shows that a row is the chosen one, also where nothing but letters is seen.
    pub(super) fn choose(&mut self, y: u16) {
        self.put((0, y), 1, ">", Paint::Plain);
        self.reverse(y);
    }

    /// Turns a row's colours round.
    pub(super) fn reverse(&mut self, y: u16) {
        self.add(y, Modifier::REVERSED);
    }

    /// Draws a line below a row.
    pub(super) fn underline(&mut self, y: u16) {
        self.add(y, Modifier::UNDERLINED);
    }

    fn add(&mut self, y: u16, modifier: Modifier) {
        let area = self.buffer.area;
        for x in area.left()..area.right() {
            if let Some(cell) = self.buffer.cell_mut((x, y)) {
                cell.modifier.insert(modifier);
            }
        }
    }

    fn style(&self, paint: Paint) -> Style {
        let plain = Style::new();
        let coloured = |colour| if self.colour { plain.fg(colour) } else { plain };
        match paint {
            Paint::Plain => plain,
            Paint::Bold => plain.add_modifier(Modifier::BOLD),
            Paint::Red => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Paint::Yellow => coloured(Color::Yellow),
            Paint::Green => coloured(Color::Green),
            Paint::Faint => plain.add_modifier(Modifier::DIM),
        }
    }
}

/// How many columns words take: names in captures are ASCII, mostly; others take what their letters take.
pub(super) fn letters(words: &str) -> usize {
    ratatui::text::Span::raw(words).width()
}

/// The beginning of words that are too wide.
pub(super) fn shortened(words: &str, most: usize) -> String {
    if letters(words) <= most {
        return words.to_owned();
    }
    let mut short = String::new();
    let mut width = 0;
    for letter in words.chars() {
        width += letters(letter.encode_utf8(&mut [0; 4]));
        if width + 1 > most {
            break;
        }
        short.push(letter);
    }
    if most > 0 {
        short.push('…');
    }
    short
}

/// The end of a name that is too wide: of a host the end says whose it is.
pub(super) fn shortened_name(name: &str, most: usize) -> String {
    let surplus = letters(name).saturating_sub(most);
    if surplus == 0 || most == 0 {
        return name.to_owned();
    }
    let rest: String = name.chars().skip(surplus + 1).collect();
    format!("…{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_wide_ends_in_an_ellipsis_and_a_name_begins_with_one() {
        assert_eq!(shortened("interfered", 10), "interfered");
        assert_eq!(shortened("interfered", 5), "inte…");
        assert_eq!(shortened("漢字漢字", 5), "漢字…");
        assert_eq!(shortened_name("web.whatsapp.com", 12), "…hatsapp.com");
        assert_eq!(shortened_name("a.com", 12), "a.com");
        assert_eq!(shortened("abc", 0), "");
    }
}
