//! The words that all stages share: time, sequence numbers, frames, directions, endpoints.
//!
//! **Takes** nothing. **Gives** small `Copy` types that cannot hold nonsense. **Keeps** nothing. **Knows nothing of** any stage.

mod direction;
mod endpoint;
mod frame;
mod seq;
mod time;

pub use direction::{BySide, Direction, Side};
pub use endpoint::{Address, Endpoint, FlowKey, Protocol};
pub use frame::Frame;
pub use seq::Seq;
pub use time::Timestamp;
