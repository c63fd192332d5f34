//! Lines of at most 100 columns that hold nothing a terminal obeys.

/// Columns that a line may take.
pub const WIDTH: usize = 100;

/// `words` over as many lines as they need, each with its line end: `first` opens the first line, as many spaces the others.
///
/// A word that is wider than a line stands alone. Control characters and those that reorder text become replacement characters, since host
/// names and paths come from outside.
#[must_use]
pub fn wrapped(first: &str, words: &str) -> String {
    wrapped_to(WIDTH, first, words)
}

/// The same, over lines of at most `width` columns.
pub(super) fn wrapped_to(width: usize, first: &str, words: &str) -> String {
    let indent = first.chars().count();
    let mut text = clean(first);
    let mut column = indent;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if column > indent {
            if column + 1 + length > width {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else {
                text.push(' ');
                column += 1;
            }
        }
        text.push_str(&clean(word));
        column += length;
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// What a terminal might obey, or what reorders a line, becomes a replacement character.
#[must_use]
pub fn clean(words: &str) -> String {
    words
        .chars()
        .map(|letter| match letter {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                '\u{fffd}'
            }
            letter if letter.is_control() => '\u{fffd}',
            letter => letter,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
    }

    #[test]
    fn lines_end_before_the_edge_and_hang_under_their_first() {
        let text = wrapped("  + ", &"word ".repeat(80));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(text.lines().skip(1).all(|line| line.starts_with("    w")));
        assert_eq!(wrapped("  ", ""), "\n");
    }
}
