//! The view as somebody sees it: the capture that is built in, keys, and the screen as text.

use std::sync::Arc;

use dpiscope::capture::{Options, Run};
use dpiscope::pipeline::{Analysis, Settings};
use dpiscope::report::Input;
use dpiscope::service::Catalogue;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};

use super::canvas::Canvas;
use super::keys::Key;
use super::screens;
use super::state::{Focus, Live, Outcome, Page, Screen, Snapshot, State};
use super::{MOST_FLOWS, of_file};
use crate::cli::analyze::{input, quietly};

const DEMO: &[u8] = include_bytes!("../../../fixtures/demo.pcap");

fn analysis() -> (Analysis, Arc<Catalogue>) {
    let run = Run::read("demo.pcap", Box::new(DEMO), &Options::default()).expect("a capture");
    let catalogue = Arc::new(Catalogue::builtin().clone());
    let analysis = quietly(run, &Settings::default(), &catalogue);
    (analysis, catalogue)
}

fn shot_with(change: impl FnOnce(&mut Analysis)) -> Snapshot {
    let (mut analysis, catalogue) = analysis();
    change(&mut analysis);
    of_file(&Input {
        min_level: dpiscope::detect::Level::Likely,
        ..input(&analysis, &catalogue)
    })
}

fn shot() -> Snapshot {
    shot_with(|_| {})
}

fn state() -> State {
    State::new(shot(), (80, 24))
}

fn press(state: &mut State, keys: &[Key]) {
    for key in keys {
        assert_eq!(state.key(*key), Outcome::Stay, "{key:?}");
    }
}

fn drawn(state: &State, colour: bool) -> Terminal<TestBackend> {
    let (width, height) = state.size;
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal
        .draw(|frame| {
            let buffer = frame.buffer_mut();
            screens::draw(state, &mut Canvas { buffer, colour });
        })
        .expect("drawn");
    terminal
}

/// The screen as text.
fn screen(state: &State) -> String {
    let terminal = drawn(state, false);
    let buffer = terminal.backend().buffer();
    let width = usize::from(buffer.area.width);
    let mut text = String::new();
    for row in buffer.content.chunks(width.max(1)) {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// To bless: run with `DPISCOPE_BLESS` set, and look at the screens.
fn golden(name: &str, state: &State) {
    let text = screen(state);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/tui")
        .join(format!("{name}.txt"));
    if std::env::var_os("DPISCOPE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, &text).expect("written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden screen");
    assert_eq!(text, golden, "{name}\n{text}");
}

#[test]
fn the_screens_are_the_golden_ones() {
    let mut state = state();
    golden("first", &state);
    press(&mut state, &[Key::Enter]);
    golden("evidence", &state);
    press(&mut state, &[Key::PageDown]);
    golden("evidence_further", &state);
    press(&mut state, &[Key::Back, Key::Tab, Key::Enter]);
    golden("flows", &state);
    press(&mut state, &[Key::Enter]);
    golden("flow", &state);
    press(&mut state, &[Key::Letter('?')]);
    golden("help", &state);
    press(&mut state, &[Key::Back, Key::Back, Key::Back]);
    press(
        &mut state,
        &[Key::Letter('/'), Key::Letter('c'), Key::Letter('l')],
    );
    golden("filter", &state);
    press(&mut state, &[Key::Enter, Key::Letter('i')]);
    golden("capture", &state);
}

#[test]
fn a_large_screen_shows_more_and_a_small_one_what_matters() {
    let mut state = state();
    state.resize((120, 40));
    golden("first_large", &state);
    press(&mut state, &[Key::Tab, Key::Down, Key::Enter]);
    golden("flows_large", &state);
    press(&mut state, &[Key::Back, Key::Tab]);
    state.resize((60, 12));
    golden("first_small", &state);
    state.resize((59, 12));
    golden("too_small", &state);
    // whatever the size, nothing breaks
    for size in [(0, 0), (1, 1), (10, 200), (500, 12), (60, 13), (99, 19)] {
        state.resize(size);
        screen(&state);
    }
}

#[test]
fn a_run_that_goes_on_shows_rates_and_how_it_is_doing() {
    let mut shot = shot();
    shot.source = "wlan0".to_owned();
    shot.live = Some(Live {
        now: dpiscope::types::Timestamp::new(1_772_355_610, 0),
        packets: 864,
        dropped: 12,
        lag_s: 3.4,
        memory: Some(34 << 20),
        over: false,
    });
    shot.news = vec!["finding 3 withdrawn".to_owned()];
    let mut state = State::new(shot.clone(), (80, 24));
    golden("live", &state);
    press(&mut state, &[Key::Letter('m')]);
    assert!(screen(&state).contains("finding 3 withdrawn"));
    // news is kept, but not without end
    for number in 0..1_000 {
        shot.news = vec![format!("line {number}")];
        state.take(shot.clone());
    }
    assert_eq!(state.news.len(), 200);
    assert!(screen(&state).contains("line 999"));
}

#[test]
fn keys_lead_in_and_back() {
    let mut state = state();
    press(&mut state, &[Key::Back]);
    assert!(state.over.is_empty(), "there is nothing behind the first");
    press(&mut state, &[Key::Down, Key::Enter]);
    let on = |state: &State| match state.over.last() {
        Some(Screen::Text { page, .. }) => Some(*page),
        _ => None,
    };
    assert_eq!(on(&state), Some(Page::Finding(2)));
    press(&mut state, &[Key::Letter('?'), Key::Letter('?')]);
    assert_eq!((on(&state), state.over.len()), (Some(Page::Help), 2));
    press(&mut state, &[Key::Letter('h'), Key::Back, Key::Tab]);
    assert_eq!((state.over.len(), state.focus), (0, Focus::Services));
    press(&mut state, &[Key::Letter('l'), Key::Letter('l')]);
    assert_eq!(state.over.len(), 2);
    assert_eq!(state.key(Key::Letter('q')), Outcome::Quit);
    assert_eq!(state.key(Key::Interrupt), Outcome::Interrupt);
}

#[test]
fn a_filter_is_typed_kept_and_taken_back() {
    let mut state = state();
    let shown = |state: &State| state.shown_findings().len();
    let typed = "/Tel".chars().map(Key::Letter);
    press(&mut state, &typed.collect::<Vec<_>>());
    assert_eq!(shown(&state), 1, "lists follow what is typed");
    assert_eq!(state.findings.chosen(), Some(&2));
    // q is a letter here
    press(&mut state, &[Key::Letter('q')]);
    assert_eq!(shown(&state), 0);
    press(&mut state, &[Key::Erase, Key::Enter, Key::Enter]);
    assert_eq!(
        state.over.len(),
        1,
        "the first Enter kept the filter, the second opened"
    );
    press(&mut state, &[Key::Back]);
    assert_eq!(shown(&state), 1);
    press(&mut state, &[Key::Back]);
    assert_eq!(shown(&state), 2);
    press(&mut state, &[Key::Letter('/'), Key::Letter('x'), Key::Back]);
    assert_eq!((shown(&state), state.typing.is_none()), (2, true));
}

#[test]
fn words_are_found_one_after_the_other() {
    let mut state = state();
    let from = |state: &State| match state.over.last() {
        Some(Screen::Text { from, .. }) => *from,
        _ => usize::MAX,
    };
    state.resize((80, 12));
    press(&mut state, &[Key::Enter, Key::Letter('/')]);
    let word = "frames".chars().map(Key::Letter);
    press(&mut state, &word.collect::<Vec<_>>());
    press(&mut state, &[Key::Enter]);
    let first = from(&state);
    assert!(
        first > 0
            && screen(&state)
                .lines()
                .nth(2)
                .expect("a line")
                .contains("frames")
    );
    press(&mut state, &[Key::Letter('n')]);
    assert!(from(&state) > first);
    press(&mut state, &[Key::End]);
    let last = from(&state);
    press(&mut state, &[Key::Down, Key::PageDown]);
    assert_eq!(from(&state), last, "the end is the end");
    press(&mut state, &[Key::Up]);
    assert_eq!(from(&state), last - 1);
}

#[test]
fn an_order_follows_the_other() {
    let mut state = state();
    let ids = |state: &State| -> Vec<u64> {
        (state.shown_findings().iter())
            .map(|finding| finding.id)
            .collect()
    };
    assert_eq!(ids(&state), [1, 2], "a file is read from its beginning");
    press(&mut state, &[Key::Letter('s'), Key::Letter('s')]);
    assert_eq!(ids(&state), [2, 1], "by service");
    let names = |state: &State| -> Vec<String> {
        (state.shown_services().iter())
            .map(|row| row.name.clone())
            .collect()
    };
    press(&mut state, &[Key::Tab, Key::Letter('s')]);
    assert_eq!(names(&state)[0], "Telegram", "by rate");
    press(&mut state, &[Key::Letter('s')]);
    assert_eq!(names(&state)[0], "Everything else", "by flows");
}

#[test]
fn what_is_looked_at_stays_when_the_run_goes_on() {
    let mut state = state();
    press(&mut state, &[Key::Down]);
    let mut shot = shot();
    let mut younger = shot.report.findings[1].clone();
    younger.id = 3;
    shot.report.findings.insert(1, younger);
    state.take(shot.clone());
    assert_eq!(state.findings.chosen(), Some(&2));
    // it is withdrawn while its evidence is read
    press(&mut state, &[Key::Enter]);
    shot.report.findings.clear();
    state.take(shot);
    assert!(screen(&state).contains("does not stand any more"));
}

#[test]
fn without_colours_nothing_is_coloured_and_what_is_chosen_is_seen() {
    let state = state();
    let colours = |colour| {
        let terminal = drawn(&state, colour);
        let cells = &terminal.backend().buffer().content;
        (cells
            .iter()
            .filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset))
        .count()
    };
    assert_eq!(colours(false), 0);
    assert!(colours(true) > 20);
    let terminal = drawn(&state, false);
    let chosen = terminal.backend().buffer().cell((0, 6)).expect("a cell");
    assert_eq!(chosen.symbol(), ">");
    assert!(chosen.modifier.contains(Modifier::REVERSED));
}

#[test]
fn what_a_capture_names_cannot_steer_the_view() {
    let evil = "evil\x1b[2J\u{9b}31m\u{202e}\r\n\u{7}.example";
    let shot = shot_with(|analysis| {
        analysis.captures[0].file.path = evil.to_owned();
        for flow in &mut analysis.flows {
            flow.detail.host = Some(evil.to_owned());
            flow.detail.recognised.sni = Some(evil.to_owned());
            flow.detail.recognised.alpn = vec![evil.to_owned()];
        }
        for finding in &mut analysis.assessment.findings {
            finding.summary = evil.to_owned();
            finding.evidence[0].text = evil.to_owned();
        }
    });
    let mut state = State::new(
        Snapshot {
            news: vec![evil.to_owned()],
            ..shot
        },
        (120, 40),
    );
    let mut seen = String::new();
    for keys in [
        &[][..],
        &[Key::Enter],
        &[Key::Letter('m')],
        &[Key::Letter('i')],
        &[Key::Back, Key::Back, Key::Back, Key::Tab, Key::Enter],
        &[Key::Enter],
    ] {
        press(&mut state, keys);
        seen.push_str(&screen(&state));
    }
    assert!(seen.matches("evil\u{fffd}").count() > 8, "{seen}");
    let obeyed = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
    assert!(!seen.contains(obeyed), "{seen:?}");
}

#[test]
fn a_view_lists_a_bounded_number_of_flows_those_with_findings_among_them() {
    let shot = shot_with(|analysis| {
        // the interfered ones are the oldest
        let around = &mut analysis.around;
        let last = around.flows[around.flows.len() - 1].clone();
        for number in 0..5_000 {
            let mut flow = last.clone();
            flow.service = around.flows[3].service;
            flow.last = flow.last.plus(number);
            around.flows.push(flow);
        }
    });
    let service = "whatsapp";
    let of_it = |flow: &&dpiscope::report::Flow| flow.service == service;
    assert_eq!(shot.report.flows.iter().filter(of_it).count(), MOST_FLOWS);
    let ids: Vec<u64> = shot.report.flows.iter().map(|flow| flow.id).collect();
    assert!([4, 8, 13, 5_014].iter().all(|id| ids.contains(id)));
    let mut state = State::new(shot, (80, 24));
    // most of its flows are clear now, so it comes after Telegram
    press(&mut state, &[Key::Tab, Key::Down, Key::Enter]);
    assert!(
        screen(&state).contains("5,003 in all, some of them (200)"),
        "{}",
        screen(&state)
    );
}
