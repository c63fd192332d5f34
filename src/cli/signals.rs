//! SIGINT and SIGTERM ask the run to stop and to show what it has; a second one ends the program at once. SIGUSR1 and SIGHUP ask a live run for
//! its status and for files to be opened anew.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Signals that ask a live run for something and let it go on.
#[cfg(feature = "live")]
pub(crate) struct Requests {
    status: Arc<AtomicBool>,
    reopen: Arc<AtomicBool>,
}

#[cfg(feature = "live")]
impl Requests {
    /// Listens from now on: SIGUSR1 asks for the status, SIGHUP for output files to be opened anew.
    pub(crate) fn listen() -> io::Result<Self> {
        let (status, reopen) = (Arc::default(), Arc::default());
        flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&status))?;
        flag::register(signal_hook::consts::SIGHUP, Arc::clone(&reopen))?;
        Ok(Self { status, reopen })
    }

    /// Whether the status was asked for since the last time.
    pub(crate) fn status(&self) -> bool {
        self.status.swap(false, Ordering::SeqCst)
    }

    /// Whether files are to be opened anew.
    pub(crate) fn reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::SeqCst)
    }
}

/// What the signals left behind.
pub(crate) struct Signals {
    /// Set by the first signal; the engine polls it.
    pub(crate) stop: Arc<AtomicBool>,
    /// Once it is set, a signal ends the program at once.
    #[cfg(feature = "live")]
    pub(crate) last: Arc<AtomicBool>,
    number: Arc<AtomicUsize>,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let last = Arc::clone(&stop);
        Self::listen_until(stop, &last)
    }

    /// The same; the program is not ended at once before `last` is set, by whoever has the terminal.
    #[cfg(feature = "live")]
    pub(crate) fn listen_gently() -> io::Result<Self> {
        Self::listen_until(Arc::default(), &Arc::default())
    }

    fn listen_until(stop: Arc<AtomicBool>, last: &Arc<AtomicBool>) -> io::Result<Self> {
        let number = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the second signal finds the flag set, the first does not.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(last))?;
            flag::register(signal, Arc::clone(&stop))?;
            flag::register_usize(signal, Arc::clone(&number), signal as usize)?;
        }
        Ok(Self {
            stop,
            #[cfg(feature = "live")]
            last: Arc::clone(last),
            number,
        })
    }

    /// As if SIGINT had come.
    pub(crate) fn interrupt(&self) {
        self.number.store(SIGINT as usize, Ordering::SeqCst);
        self.stop.store(true, Ordering::SeqCst);
    }

    /// The signal that came, if one did.
    pub(crate) fn came(&self) -> Option<u8> {
        match self.number.load(Ordering::SeqCst) {
            0 => None,
            number => u8::try_from(number).ok(),
        }
    }
}
