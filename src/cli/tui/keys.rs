//! What is typed, as far as the view knows it.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Back,
    Tab,
    Erase,
    /// Ctrl-C, which is no signal while the terminal is raw.
    Interrupt,
    /// Ctrl-L: the screen is to be drawn anew.
    Redraw,
    Letter(char),
}

/// The key that an event of the terminal tells of.
pub(super) fn key(event: &Event) -> Option<Key> {
    let Event::Key(KeyEvent {
        code,
        modifiers,
        kind: KeyEventKind::Press | KeyEventKind::Repeat,
        ..
    }) = event
    else {
        return None;
    };
    let control = modifiers.contains(KeyModifiers::CONTROL);
    Some(match code {
        KeyCode::Char('c') if control => Key::Interrupt,
        KeyCode::Char('l') if control => Key::Redraw,
        KeyCode::Char('b') if control => Key::PageUp,
        KeyCode::Char('f') if control => Key::PageDown,
        KeyCode::Char('h') if control => Key::Erase,
        KeyCode::Char(_) if control => return None,
        KeyCode::Char(letter) => Key::Letter(*letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter | KeyCode::Right => Key::Enter,
        KeyCode::Esc | KeyCode::Left => Key::Back,
        KeyCode::Tab | KeyCode::BackTab => Key::Tab,
        KeyCode::Backspace => Key::Erase,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_c_interrupts_and_other_chords_do_nothing() {
        let press = |code, modifiers| key(&Event::Key(KeyEvent::new(code, modifiers)));
        let control = KeyModifiers::CONTROL;
        assert_eq!(press(KeyCode::Char('c'), control), Some(Key::Interrupt));
        assert_eq!(press(KeyCode::Char('x'), control), None);
        let plain = KeyModifiers::NONE;
        assert_eq!(press(KeyCode::Char('c'), plain), Some(Key::Letter('c')));
        assert_eq!(press(KeyCode::F(1), plain), None);
        assert_eq!(key(&Event::Resize(1, 1)), None);
    }
}
