//! Decides which service a flow belongs to, and whether that is a messenger.
//!
//! **Takes** a [`Clue`]: names and where they came from, protocol signature, server address. **Gives** a [`Belonging`]: service, host, part
//! and why. **Keeps** the [`Catalogue`], which is data (`catalogue.toml`, dated) and may be overlaid by a user's file. **Knows nothing of**
//! packets.

mod catalogue;
mod names;
mod precedence;
mod ranges;

pub use catalogue::{Catalogue, CatalogueError, Name, Range, Service, lint};
pub use precedence::{Belonging, Clue, Why};
pub use ranges::PortSpan;

use serde::{Deserialize, Serialize};

/// A service's place in the catalogue it came from; 0 is everything that no messenger claims.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize)]
pub struct ServiceId(pub u16);

impl ServiceId {
    /// Everything that is no messenger.
    pub const CONTROL: Self = Self(0);
}

/// Whether a service may yield findings or serves as the baseline.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A messenger.
    Messenger,
    /// Everything else.
    #[default]
    Control,
}

/// What a name or a range of a service is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Messages, signalling, registration.
    Chat,
    /// Pictures, voice messages, files.
    Media,
    /// Voice and video calls.
    Call,
    /// Push notifications.
    Push,
    /// Web pages and the web client.
    Web,
}

impl Part {
    /// The contract's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Media => "media",
            Self::Call => "call",
            Self::Push => "push",
            Self::Web => "web",
        }
    }
}
