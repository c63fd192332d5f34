//! A bar with rate and time to go, on a terminal, for inputs that take longer than a second.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long a run may take before its progress is worth showing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Redraws a second: enough to look alive.
const REDRAWS: u8 = 5;

/// The bar of one run.
pub(crate) struct Progress {
    bar: ProgressBar,
    wanted: bool,
    shown: AtomicBool,
    total: OnceLock<u64>,
    start: Instant,
}

impl Progress {
    /// Starts counting; nothing shows unless it is `wanted` and stderr is a terminal.
    #[expect(
        clippy::disallowed_methods,
        reason = "progress is about the user's time, and no packet's"
    )]
    pub(crate) fn start(wanted: bool) -> Self {
        Self {
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            wanted: wanted && io::stderr().is_terminal(),
            shown: AtomicBool::new(false),
            total: OnceLock::new(),
            start: Instant::now(),
        }
    }

    /// The run has read `bytes` of `total` (where it is known) and `packets` so far.
    pub(crate) fn tell(&self, bytes: u64, total: Option<u64>, packets: u64) {
        if !self.wanted || self.start.elapsed() < PATIENCE {
            return;
        }
        if !self.shown.swap(true, Ordering::Relaxed) {
            let look = if total.is_some() {
                "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} to go, {msg} packets"
            } else {
                "{spinner} {bytes} {bytes_per_sec}, {elapsed}, {msg} packets"
            };
            if let Ok(style) = ProgressStyle::with_template(look) {
                self.bar.set_style(style);
            }
            self.bar
                .set_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS));
        }
        if let Some(total) = total
            && self.total.set(total).is_ok()
        {
            self.bar.set_length(total);
        }
        self.bar.set_message(packets.to_string());
        self.bar.set_position(bytes);
    }

    /// Takes the bar away, and says how long the run took.
    pub(crate) fn finish(&self) -> Duration {
        self.bar.finish_and_clear();
        self.start.elapsed()
    }
}
