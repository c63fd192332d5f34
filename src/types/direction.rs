use serde::{Deserialize, Serialize};

/// Which way a packet went, once the flow is oriented.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// Which end of a flow sent a packet, before anybody knows which of them is the client.
///
/// `A` is the sender of the first packet that was seen.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// The sender of the flow's first packet.
    A,
    /// The other end.
    B,
}

impl Side {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// One of something for each side, asked for by [`Side`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct BySide<T> {
    /// Side `A`'s.
    pub a: T,
    /// Side `B`'s.
    pub b: T,
}

impl<T> BySide<T> {
    /// The one of `side` and the one of the other.
    pub const fn both_mut(&mut self, side: Side) -> (&mut T, &mut T) {
        match side {
            Side::A => (&mut self.a, &mut self.b),
            Side::B => (&mut self.b, &mut self.a),
        }
    }

    /// Changes the sides.
    pub const fn swap(&mut self) {
        std::mem::swap(&mut self.a, &mut self.b);
    }

    /// The same for each, changed by `change`.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> BySide<U> {
        BySide {
            a: change(self.a),
            b: change(self.b),
        }
    }
}

impl<T> std::ops::Index<Side> for BySide<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }
}

impl<T> std::ops::IndexMut<Side> for BySide<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }
}
