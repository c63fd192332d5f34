use serde::{Deserialize, Serialize};

/// A TCP sequence number, modulo 2^32 (RFC 9293, section 3.4).
///
/// No `Ord` on purpose: "smaller" means nothing on a circle. Ask [`Seq::after`].
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Seq(pub u32);

impl Seq {
    /// Bytes from `earlier` to `self`; true while the two lie less than 2^31 bytes apart.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// Whether `self` lies later in the stream than `other`.
    #[must_use]
    pub const fn after(self, other: Self) -> bool {
        self.since(other) > 0
    }

    /// The number `bytes` further on.
    #[must_use]
    pub const fn plus(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// The later of the two.
    #[must_use]
    pub const fn later(self, other: Self) -> Self {
        if self.after(other) { self } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::Seq;

    #[test]
    fn order_survives_the_wrap() {
        assert!(Seq(5).after(Seq(u32::MAX - 5)));
        assert_eq!(Seq(5).since(Seq(u32::MAX)), 6);
        assert_eq!(Seq(u32::MAX).plus(2), Seq(1));
    }
}
