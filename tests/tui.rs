//! The view under a terminal of the test's own: what is seen, inside the sandbox, and that the terminal is given back as it was.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

const DEMO: &str = "fixtures/demo.pcap";

/// Longest that something is waited for: a busy machine is slow, a view that hangs hangs for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal of 80 columns and 24 rows, and what runs under it.
struct Terminal {
    ours: File,
    theirs: File,
    child: Child,
    output: Receiver<Vec<u8>>,
    /// All that was written to it.
    written: Vec<u8>,
}

impl Terminal {
    fn run(options: &[&str]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a terminal");
        let theirs = other_end(&ours);
        resize(&ours, 80, 24);
        let child = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
            .args(options)
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(theirs.try_clone().expect("a copy"))
            .stdout(theirs.try_clone().expect("a copy"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let ours = File::from(ours);
        let (tell, output) = channel();
        let mut reader = ours.try_clone().expect("a copy");
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if tell.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            ours,
            theirs,
            child,
            output,
            written: Vec::new(),
        }
    }

    fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until the screen has `words`.
    fn wait_for(&mut self, words: &str) -> String {
        loop {
            let screen = screen(&self.written);
            if screen.contains(words) {
                return screen;
            }
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.written.extend(bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("no {words:?} on\n{screen}\n{}", self.errors())
                }
            }
        }
    }

    fn errors(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }

    /// Waits until it ends, and makes sure that the terminal is as it was.
    fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("it ends");
        let modes = tcgetattr(&self.theirs).expect("its modes").local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(300)) {
            self.written.extend(bytes);
        }
        let all = String::from_utf8_lossy(&self.written).into_owned();
        let (_, after) = all.rsplit_once("\x1b[?1049l").expect("the screen was left");
        assert!(after.contains("\x1b[?25h"), "the cursor is seen again");
        (status, after.to_owned())
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }
}

/// The end that a program has; nobody gets it as its own terminal.
fn other_end(ours: &rustix::fd::OwnedFd) -> File {
    grantpt(ours).expect("granted");
    unlockpt(ours).expect("unlocked");
    let name = ptsname(ours, Vec::new()).expect("its name");
    File::options()
        .read(true)
        .write(true)
        .custom_flags(rustix::fs::OFlags::NOCTTY.bits().cast_signed())
        .open(name.to_str().expect("UTF-8"))
        .expect("the other end")
}

fn resize(terminal: impl std::os::fd::AsFd, columns: u16, rows: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("another size");
}

/// What a terminal of 160 columns and 60 rows shows of these bytes: as much of ECMA-48 as the view speaks.
fn screen(bytes: &[u8]) -> String {
    const COLUMNS: usize = 160;
    let text = String::from_utf8_lossy(bytes);
    let mut cells = vec![vec![' '; COLUMNS]; 60];
    let (mut x, mut y) = (0, 0);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' => {
                assert_eq!(letters.next(), Some('['), "a sequence that is not known");
                let mut words = String::new();
                let end = loop {
                    match letters.next() {
                        Some(end @ '@'..='~') => break end,
                        Some(letter) => words.push(letter),
                        None => break 'm',
                    }
                };
                let numbers: Vec<usize> = words.split(';').flat_map(str::parse).collect();
                match (end, &numbers[..]) {
                    ('H', [row, column]) => (x, y) = (column - 1, row - 1),
                    ('J', _) => cells = vec![vec![' '; COLUMNS]; 60],
                    ('m' | 'h' | 'l', _) => {}
                    _ => panic!("not known: {words}{end}"),
                }
            }
            '\r' => x = 0,
            '\n' => y += 1,
            letter => {
                if let Some(cell) = cells.get_mut(y).and_then(|row| row.get_mut(x)) {
                    *cell = letter;
                }
                x += 1;
            }
        }
    }
    let lines = cells.iter().map(|row| row.iter().collect::<String>());
    lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

#[test]
fn inside_the_sandbox_a_file_is_walked_through_and_the_terminal_is_given_back() {
    let mut terminal = Terminal::run(&["analyze", DEMO, "--tui"]);
    let first = terminal.wait_for("q quit");
    assert!(first.contains("Interference seen: WhatsApp (resets), Telegram (slowing)."));
    let modes = tcgetattr(&terminal.theirs).expect("its modes").local_modes;
    assert!(!modes.contains(LocalModes::ICANON), "keys come one by one");
    let status = fs::read_to_string(format!("/proc/{}/status", terminal.child.id()));
    let status = status.expect("its status");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1))
    };
    assert_eq!(field("Seccomp:"), Some("2"));
    assert_eq!(field("NoNewPrivs:"), Some("1"));
    terminal.press("\r");
    terminal.wait_for("rst.hop_limit: 9 hops, limit 2 hops");
    terminal.press("\x1b");
    terminal.wait_for("Services (5)");
    terminal.press("\t\r");
    terminal.wait_for("WhatsApp, interfered: flows (3)");
    // the size is asked for, since no signal of it can come
    resize(&terminal.ours, 120, 40);
    terminal.wait_for("198.51.100.7:443         ");
    terminal.press("q");
    let (status, after) = terminal.end();
    assert_eq!(status.code(), Some(0), "{after}");
    assert_eq!(
        after.trim_start_matches("\x1b[?25h"),
        "",
        "nothing is left behind"
    );
}

#[test]
fn a_run_that_goes_on_is_watched_and_its_report_follows() {
    let mut terminal = Terminal::run(&["live", "-r", DEMO, "--tui", "-q"]);
    let first = terminal.wait_for("ended 09:00:10");
    assert!(
        first.contains("forged rst") && first.contains("policing"),
        "{first}"
    );
    terminal.press("q");
    let (status, after) = terminal.end();
    assert_eq!(status.code(), Some(0));
    assert!(
        after.contains("rst.hop_limit") && after.contains("Capture"),
        "{after}"
    );
}

#[test]
fn a_signal_or_ctrl_c_ends_it_and_the_terminal_is_given_back() {
    for (command, keys) in [
        ("analyze", false),
        ("analyze", true),
        ("live", false),
        ("live", true),
    ] {
        let mut terminal = Terminal::run(&[command, "-r", DEMO, "--tui", "-q"]);
        terminal.wait_for("q quit");
        if keys {
            terminal.press("\x03");
        } else {
            terminal.signal("TERM");
        }
        let (status, _) = terminal.end();
        assert_eq!(
            status.code(),
            Some(if keys { 130 } else { 143 }),
            "{command}"
        );
    }
}

#[test]
fn an_interface_is_watched_by_somebody_without_privileges() {
    let mut terminal = Terminal::run(&["live", "-i", "lo", "--tui"]);
    let mut told = [0; 512];
    let errors = terminal.child.stderr.as_mut().expect("stderr");
    let count = errors.read(&mut told).expect("a line");
    let told = String::from_utf8_lossy(&told[..count]).into_owned();
    if !told.contains("listening on lo") {
        eprintln!("not run: needs the right to capture ({told})");
        terminal.child.wait().expect("it ended");
        return;
    }
    terminal.wait_for("dpiscope live  lo");
    terminal.press("?");
    terminal.wait_for("PageUp PageDown");
    terminal.press("q");
    let (status, after) = terminal.end();
    assert!(matches!(status.code(), Some(0 | 3)), "{status:?}");
    assert!(after.contains("Capture"), "{after}");
}

#[test]
fn a_terminal_that_goes_away_ends_it() {
    for command in ["analyze", "live"] {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a terminal");
        let theirs = other_end(&ours);
        let mut child = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
            .args([command, "-r", DEMO, "--tui", "-q"])
            .env("TERM", "xterm-256color")
            .stdin(theirs.try_clone().expect("a copy"))
            .stdout(theirs)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut ours = File::from(ours);
        ours.read_exact(&mut [0; 32]).expect("the view opens");
        drop(ours);
        // it would spin for ever
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(2), "{command}");
        let mut told = String::new();
        let errors = child.stderr.as_mut().expect("stderr");
        errors.read_to_string(&mut told).expect("a line");
        assert!(told.contains("the terminal is gone"), "{told}");
    }
}

#[test]
fn without_a_terminal_or_beside_another_format_it_is_refused_in_a_line() {
    let run = |options: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dpiscope"))
            .args(options)
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert_eq!(output.stdout, b"");
        told
    };
    for command in ["analyze", "live"] {
        let told = run(&[command, "-r", DEMO, "--tui"]);
        assert!(told.contains("--tui needs a terminal"), "{told}");
        let told = run(&[command, "-r", DEMO, "--tui", "--format", "json"]);
        assert!(told.contains("--format json"), "{told}");
    }
}
