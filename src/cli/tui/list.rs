//! A list to walk through: which entry is chosen, what is sought, what comes first.

use super::keys::Key;

/// Where the user is in a list. The chosen entry is known by its name, so that it stays chosen while others come and go.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct List<Name> {
    chosen: Option<Name>,
    place: usize,
    /// Whether the user has chosen; until then it is the first entry, whichever that is.
    moved: bool,
    /// Only entries with these letters are shown.
    pub(super) filter: String,
    /// Which of its orders the list is in.
    pub(super) order: usize,
}

impl<Name: Clone + PartialEq> List<Name> {
    /// A list in one of its orders.
    pub(super) fn ordered(order: usize) -> Self {
        Self {
            chosen: None,
            place: 0,
            moved: false,
            filter: String::new(),
            order,
        }
    }

    /// Makes the place that of the chosen entry, where that is still there, else chooses what is at the place.
    pub(super) fn settle(&mut self, names: &[Name]) {
        let known = |chosen| names.iter().position(|name| name == chosen);
        self.place = (self.chosen.as_ref().filter(|_| self.moved).and_then(known))
            .unwrap_or_else(|| self.place.min(names.len().saturating_sub(1)));
        self.chosen = names.get(self.place).cloned();
    }

    /// Goes where a key leads; false where it leads nowhere. `page` is how many entries are seen at once.
    pub(super) fn go(&mut self, key: Key, names: &[Name], page: usize) -> bool {
        let last = names.len().saturating_sub(1);
        self.place = match key {
            Key::Up | Key::Letter('k') => self.place.saturating_sub(1),
            Key::Down | Key::Letter('j') => (self.place + 1).min(last),
            Key::PageUp => self.place.saturating_sub(page.max(1)),
            Key::PageDown => (self.place + page.max(1)).min(last),
            Key::Home | Key::Letter('g') => 0,
            Key::End | Key::Letter('G') => last,
            _ => return false,
        };
        self.moved = true;
        self.chosen = names.get(self.place).cloned();
        true
    }

    /// The chosen entry.
    pub(super) const fn chosen(&self) -> Option<&Name> {
        self.chosen.as_ref()
    }

    /// The first of `shown` entries that are seen at once, out of `all`: the chosen one is in the middle, as far as there is room.
    pub(super) fn first_shown(&self, shown: usize, all: usize) -> usize {
        (self.place.saturating_sub(shown / 2)).min(all.saturating_sub(shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_stays_chosen_while_others_come_and_go() {
        let mut list = List::default();
        list.settle(&[6, 7]);
        list.settle(&[5, 6, 7]);
        assert_eq!(list.chosen(), Some(&5), "nobody has chosen yet");
        list.go(Key::Down, &[5, 6, 7], 10);
        assert_eq!(list.chosen(), Some(&6));
        list.settle(&[1, 2, 5, 6]);
        assert_eq!((list.chosen(), list.place), (Some(&6), 3));
        // it is gone: its neighbour is chosen
        list.settle(&[1, 2]);
        assert_eq!((list.chosen(), list.place), (Some(&2), 1));
        list.settle(&[]);
        assert_eq!(list.chosen(), None);
    }

    #[test]
    fn keys_lead_to_the_ends_and_not_beyond() {
        let names: Vec<u32> = (0..30).collect();
        let mut list = List::default();
        list.settle(&names);
        for (key, place) in [
            (Key::Up, 0),
            (Key::Letter('j'), 1),
            (Key::PageDown, 11),
            (Key::PageDown, 21),
            (Key::PageDown, 29),
            (Key::Down, 29),
            (Key::Letter('k'), 28),
            (Key::Home, 0),
            (Key::Letter('G'), 29),
            (Key::PageUp, 19),
        ] {
            assert!(list.go(key, &names, 10));
            assert_eq!(list.place, place, "{key:?}");
        }
        assert!(!list.go(Key::Enter, &names, 10));
        assert_eq!(list.first_shown(10, 30), 14);
    }
}
