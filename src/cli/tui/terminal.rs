//! The terminal: taken, drawn on, listened to, and given back as it was, whatever happens.

use std::io::{self, IsTerminal as _, Stdout, Write as _};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::poll;
use ratatui::crossterm::{cursor, event, execute, terminal};

use super::canvas::Canvas;
use super::keys::key;
use super::screens;
use super::state::{Outcome, Snapshot, State};
use crate::cli::Failure;
use crate::cli::output::{colour_allowed, terminal_is_dumb};

/// How long a key is waited for before news and signals are looked for.
const PATIENCE: Duration = Duration::from_millis(50);

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Makes sure that there is a terminal, and opens what listening to it takes: inside the sandbox nobody can any more.
pub(super) fn prepare() -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::refused(
            "--tui needs a terminal, for keys as for the screen; leave it out to get a report",
        ));
    }
    if terminal_is_dumb() {
        return Err(Failure::refused(
            "--tui needs a terminal that can place its cursor, and TERM says that this one cannot",
        ));
    }
    // The listener makes a pair of sockets for the signal of a new size. Inside the sandbox that signal is not passed on, since to send is refused;
    // the size is asked for with each frame instead.
    poll(Duration::ZERO)
        .map(drop)
        .map_err(|error| Failure::refused(format!("--tui: cannot listen to the terminal: {error}")))
}

/// The terminal while it is ours; it is given back when this goes.
struct Taken(Terminal<CrosstermBackend<Stdout>>);

impl Taken {
    fn take() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // what it says must be readable
                give_back();
                before(panic);
            }));
        });
        terminal::enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        // a terminal with one screen only would show what was there before
        let all = terminal::Clear(terminal::ClearType::All);
        let taken = execute!(
            io::stdout(),
            terminal::EnterAlternateScreen,
            all,
            cursor::Hide
        )
        .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match taken {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    fn draw(&mut self, state: &State, colour: bool) -> io::Result<()> {
        self.0
            .draw(|frame| {
                let buffer = frame.buffer_mut();
                screens::draw(state, &mut Canvas { buffer, colour });
            })
            .map(drop)
    }
}

impl Taken {
    /// Draws all anew next time. The terminal's own way to clear would ask it where its cursor is, and wait for the answer.
    fn forget(&mut self) -> io::Result<()> {
        execute!(io::stdout(), terminal::Clear(terminal::ClearType::All))?;
        self.0.swap_buffers();
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back as it was. Once is enough; a terminal that is gone is not missed.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = io::stdout();
        let _ = execute!(out, terminal::LeaveAlternateScreen, cursor::Show);
        let _ = out.flush();
        let _ = terminal::disable_raw_mode();
    }
}

/// Shows what `next` brings until the user has seen enough or `stop` is set. `next` is asked again and again, and does not wait.
pub(super) fn attend(
    stop: &AtomicBool,
    next: &mut dyn FnMut() -> Option<Snapshot>,
) -> io::Result<Outcome> {
    let colour = colour_allowed();
    let mut state: Option<State> = None;
    let mut taken = Taken::take()?;
    let mut typed = true;
    while !stop.load(Ordering::Relaxed) {
        let size = terminal::size()?;
        let mut anew = false;
        match (&mut state, next()) {
            (Some(state), Some(shot)) => {
                state.take(shot);
                anew = true;
            }
            (None, Some(shot)) => {
                state = Some(State::new(shot, size));
                anew = true;
            }
            (_, None) => {}
        }
        if let Some(state) = &mut state {
            if state.size != size {
                state.resize(size);
                anew = true;
            }
            // keys that came together are one step
            while typed && poll(Duration::ZERO)? {
                let Some(key) = key(&event::read()?) else {
                    continue;
                };
                anew = true;
                match state.key(key) {
                    Outcome::Stay => {}
                    Outcome::Redraw => taken.forget()?,
                    end => return Ok(end),
                }
            }
            if anew {
                taken.draw(state, colour)?;
            }
        }
        // a key wakes it at once
        typed = wait()?;
    }
    Ok(Outcome::Stay)
}

/// Waits for a key; fails where the terminal has gone away, which the listener would not notice: it reads the end of the input for ever.
#[cfg(target_os = "linux")]
fn wait() -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = io::stdin();
    let mut ends = [PollFd::new(&stdin, PollFlags::IN)];
    let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
    match poll(&mut ends, Some(&patience)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [end] = &ends;
    if (end.revents()).intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(end.revents().contains(PollFlags::IN))
}

/// Waits for a key.
#[cfg(not(target_os = "linux"))]
fn wait() -> io::Result<bool> {
    poll(PATIENCE)
}
