//! What the view shows: a function of what came in, and of the keys since.

use std::collections::{BTreeMap, VecDeque};

use dpiscope::detect::Judgement;
use dpiscope::report::{
    self, Finding, Flow, Line, Paint, Report, Service, Verdict, clean, endpoint, kinds, level_word,
    verdict_words,
};
use dpiscope::service::Class;
use dpiscope::types::Timestamp;

use super::keys::Key;
use super::list::List;
use super::traffic::Traffic;

/// Lines of news that are kept, the last ones.
const MOST_NEWS: usize = 200;

/// Letters that may be sought for.
const MOST_SOUGHT: usize = 60;

/// What a run has come to.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// The report, with a bounded flow table.
    pub(super) report: Report,
    /// Traffic by the service's word.
    pub(super) traffic: BTreeMap<String, Traffic>,
    /// What is looked at: interfaces, or files.
    pub(super) source: String,
    /// What is known of a run that goes on.
    pub(super) live: Option<Live>,
    /// What has been said since the last one, a line each.
    pub(super) news: Vec<String>,
}

/// How a run that goes on is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Live {
    pub(super) now: Timestamp,
    pub(super) packets: u64,
    pub(super) dropped: u64,
    pub(super) lag_s: f64,
    pub(super) memory: Option<u64>,
    /// Nothing more will come.
    pub(super) over: bool,
}

/// What a key led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Stay,
    /// The screen must be drawn from nothing.
    Redraw,
    Quit,
    /// As if SIGINT had come.
    Interrupt,
}

/// The list of the first screen that keys go to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Focus {
    Findings,
    Services,
}

/// A screen that lies over the first.
#[derive(Clone, Debug)]
pub(super) enum Screen {
    /// The flows of a service.
    Flows { service: String, list: List<u64> },
    /// Words to read.
    Text { page: Page, from: usize },
}

/// What there is to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Page {
    Finding(u64),
    Flow(u64),
    Context,
    News,
    Help,
}

/// The view's state.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) shot: Snapshot,
    pub(super) news: VecDeque<String>,
    pub(super) focus: Focus,
    pub(super) findings: List<u64>,
    pub(super) services: List<String>,
    pub(super) over: Vec<Screen>,
    /// What is being typed after `/`.
    pub(super) typing: Option<String>,
    /// What was sought in words last.
    sought: String,
    /// Columns and rows of the terminal.
    pub(super) size: (u16, u16),
}

/// The orders that a list may be in; `s` goes from one to the next.
pub(super) const FINDING_ORDERS: [&str; 4] = ["newest first", "oldest first", "level", "service"];
pub(super) const SERVICE_ORDERS: [&str; 4] = ["verdict", "rate", "flows", "name"];
pub(super) const FLOW_ORDERS: [&str; 4] = ["interfered first", "last heard", "bytes", "name"];

/// Rows that are not part of a screen's list: title, result, heads and keys.
const AROUND: u16 = 8;

impl State {
    pub(super) fn new(shot: Snapshot, size: (u16, u16)) -> Self {
        // a file is read from its beginning, a run that goes on from its end
        let findings = List::ordered(usize::from(shot.live.is_none()));
        let focus = if shot.live.is_none() && shot.report.findings.is_empty() {
            Focus::Services
        } else {
            Focus::Findings
        };
        let mut state = Self {
            shot,
            news: VecDeque::new(),
            focus,
            findings,
            services: List::default(),
            over: Vec::new(),
            typing: None,
            sought: String::new(),
            size,
        };
        state.hear();
        state.settle();
        state
    }

    /// Takes what the run has come to.
    pub(super) fn take(&mut self, shot: Snapshot) {
        self.shot = shot;
        self.hear();
        self.settle();
    }

    /// The terminal has another size.
    pub(super) fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
        self.settle();
    }

    fn hear(&mut self) {
        self.news.extend(std::mem::take(&mut self.shot.news));
        let surplus = self.news.len().saturating_sub(MOST_NEWS);
        self.news.drain(..surplus);
    }

    fn settle(&mut self) {
        let findings = self.finding_names();
        let services = self.service_names();
        self.findings.settle(&findings);
        self.services.settle(&services);
        let mut over = std::mem::take(&mut self.over);
        for screen in &mut over {
            match screen {
                Screen::Flows { service, list } => {
                    let names = self.flow_names(service, list);
                    list.settle(&names);
                }
                Screen::Text { page, from } => {
                    *from = (*from).min(self.last_from(*page));
                }
            }
        }
        self.over = over;
    }

    /// Takes a key.
    pub(super) fn key(&mut self, key: Key) -> Outcome {
        match key {
            Key::Interrupt => return Outcome::Interrupt,
            Key::Redraw => return Outcome::Redraw,
            _ => {}
        }
        if self.typing.is_some() {
            self.type_on(key);
            return Outcome::Stay;
        }
        match key {
            Key::Letter('q') => return Outcome::Quit,
            Key::Letter('?') => self.open(Page::Help),
            Key::Letter('i') => self.open(Page::Context),
            Key::Letter('m') => self.open(Page::News),
            Key::Letter('/') => self.typing = Some(self.filter().to_owned()),
            Key::Back => self.back(),
            Key::Letter('h') if !self.over.is_empty() => {
                self.over.pop();
            }
            _ => match self.over.pop() {
                Some(mut screen) => {
                    let next = self.key_over(&mut screen, key);
                    self.over.push(screen);
                    self.over.extend(next);
                }
                None => self.key_first(key),
            },
        }
        self.settle();
        Outcome::Stay
    }

    /// A key while a line is typed.
    fn type_on(&mut self, key: Key) {
        let Some(mut typed) = self.typing.take() else {
            return;
        };
        match key {
            Key::Enter => {
                if let Some(Screen::Text { .. }) = self.over.last() {
                    self.sought = typed;
                    self.find_next();
                }
                return;
            }
            Key::Back => typed.clear(),
            Key::Erase => {
                typed.pop();
            }
            Key::Letter(letter) if typed.chars().count() < MOST_SOUGHT => typed.push(letter),
            _ => {}
        }
        // lists follow at once
        if let Some(filter) = self.filter_mut() {
            filter.clone_from(&typed);
        }
        self.settle();
        if key != Key::Back {
            self.typing = Some(typed);
        }
    }

    /// The filter of the list that keys go to.
    pub(super) fn filter(&self) -> &str {
        match self.over.last() {
            Some(Screen::Flows { list, .. }) => &list.filter,
            Some(Screen::Text { .. }) => "",
            None if self.focus == Focus::Findings => &self.findings.filter,
            None => &self.services.filter,
        }
    }

    fn filter_mut(&mut self) -> Option<&mut String> {
        match self.over.last_mut() {
            Some(Screen::Flows { list, .. }) => Some(&mut list.filter),
            Some(Screen::Text { .. }) => None,
            None if self.focus == Focus::Findings => Some(&mut self.findings.filter),
            None => Some(&mut self.services.filter),
        }
    }

    fn open(&mut self, page: Page) {
        let shown =
            |screen: &Screen| matches!(screen, Screen::Text { page: shown, .. } if *shown == page);
        if self.over.last().is_none_or(|top| !shown(top)) {
            self.over.push(Screen::Text { page, from: 0 });
        }
    }

    /// Takes back the last thing: a filter, or a screen.
    fn back(&mut self) {
        match self.filter_mut() {
            Some(filter) if !filter.is_empty() => filter.clear(),
            _ => {
                self.over.pop();
            }
        }
    }

    fn key_first(&mut self, key: Key) {
        let page = self.page() / 2;
        match (key, self.focus) {
            (Key::Tab, Focus::Findings) => self.focus = Focus::Services,
            (Key::Tab, Focus::Services) => self.focus = Focus::Findings,
            (Key::Letter('s'), Focus::Findings) => turn(&mut self.findings, &FINDING_ORDERS),
            (Key::Letter('s'), Focus::Services) => turn(&mut self.services, &SERVICE_ORDERS),
            (Key::Enter | Key::Letter('l'), Focus::Findings) => {
                if let Some(id) = self.findings.chosen() {
                    self.open(Page::Finding(*id));
                }
            }
            (Key::Enter | Key::Letter('l'), Focus::Services) => {
                if let Some(service) = self.services.chosen() {
                    let (service, list) = (service.clone(), List::default());
                    self.over.push(Screen::Flows { service, list });
                }
            }
            (_, Focus::Findings) => {
                let names = self.finding_names();
                self.findings.go(key, &names, page);
            }
            (_, Focus::Services) => {
                let names = self.service_names();
                self.services.go(key, &names, page);
            }
        }
    }

    /// A key for a screen over the first; gives the screen that it opens.
    fn key_over(&mut self, screen: &mut Screen, key: Key) -> Option<Screen> {
        let page = self.page();
        match screen {
            Screen::Flows { service, list } => match key {
                Key::Letter('s') => turn(list, &FLOW_ORDERS),
                Key::Enter | Key::Letter('l') => {
                    let page = Page::Flow(*list.chosen()?);
                    return Some(Screen::Text { page, from: 0 });
                }
                _ => {
                    let names = self.flow_names(service, list);
                    list.go(key, &names, page);
                }
            },
            Screen::Text { page: words, from } => {
                let last = self.last_from(*words);
                *from = match key {
                    Key::Up | Key::Letter('k') => from.saturating_sub(1),
                    Key::Down | Key::Letter('j') => (*from + 1).min(last),
                    Key::PageUp => from.saturating_sub(page),
                    Key::PageDown | Key::Letter(' ') => (*from + page).min(last),
                    Key::Home | Key::Letter('g') => 0,
                    Key::End | Key::Letter('G') => last,
                    Key::Letter('n') => self.found_after(*words, *from).unwrap_or(*from),
                    _ => *from,
                };
            }
        }
        None
    }

    /// Goes to the next line that has what is sought.
    fn find_next(&mut self) {
        if let Some(Screen::Text { page, from }) = self.over.last() {
            let found = self.found_after(*page, *from);
            if let (Some(found), Some(Screen::Text { from, .. })) = (found, self.over.last_mut()) {
                *from = found;
            }
        }
    }

    /// The first line after `from`, else from the beginning, that has what is sought.
    fn found_after(&self, page: Page, from: usize) -> Option<usize> {
        let sought = self.sought.to_lowercase();
        let lines = self.lines(page);
        let has = |line: &Line| plain(line).to_lowercase().contains(&sought);
        let after = lines.iter().skip(from + 1).position(has);
        let place = after.map(|place| from + 1 + place);
        let place = place.or_else(|| lines.iter().position(has));
        place.filter(|_| !sought.is_empty())
    }

    /// Rows of a list, or lines of words, that are seen at once.
    pub(super) fn page(&self) -> usize {
        usize::from(self.size.1.saturating_sub(AROUND).max(1))
    }

    /// The first line that a page may begin with: its last line is then the last that is seen.
    fn last_from(&self, page: Page) -> usize {
        let rows = usize::from(self.size.1.saturating_sub(TEXT_AROUND).max(1));
        self.lines(page).len().saturating_sub(rows)
    }

    /// Findings that are shown, in the order chosen.
    pub(super) fn shown_findings(&self) -> Vec<&Finding> {
        let report = &self.shot.report;
        let mut shown: Vec<&Finding> = (report.findings.iter())
            .filter(|finding| {
                let host = finding.host.as_deref().unwrap_or_default();
                let words = [
                    level_word(finding.level),
                    report::service_name(report, &finding.service),
                    finding.mechanism.name(),
                    host,
                    &finding.summary,
                ];
                has(&self.findings.filter, &words)
            })
            .collect();
        match self.findings.order {
            0 => shown.reverse(),
            1 => {}
            2 => shown.sort_by(|a, b| {
                (b.level, b.score)
                    .partial_cmp(&(a.level, a.score))
                    .unwrap_or(std::cmp::Ordering::Equal)
            }),
            _ => shown.sort_by_key(|finding| report::service_name(report, &finding.service)),
        }
        shown
    }

    /// Services that are shown, in the order chosen.
    pub(super) fn shown_services(&self) -> Vec<&Service> {
        let mut shown: Vec<&Service> = (self.shot.report.services.iter())
            .filter(|row| {
                let how = kinds(&row.kinds);
                let words = [row.name.as_str(), verdict_words(row.verdict), &how];
                has(&self.services.filter, &words)
            })
            .collect();
        let rate = |row: &Service| {
            let traffic = self.shot.traffic.get(&row.service);
            traffic.map_or(0.0, |traffic| traffic.bits_s)
        };
        match self.services.order {
            0 => shown.sort_by_key(|row| match row.verdict {
                Verdict::Interfered => 0,
                Verdict::Partial => 1,
                Verdict::Clear => 2,
                Verdict::TooLittleData => 3,
                Verdict::NotAssessable => 4,
            }),
            1 => shown.sort_by(|a, b| rate(b).total_cmp(&rate(a))),
            2 => shown.sort_by_key(|row| std::cmp::Reverse(row.flows)),
            _ => shown.sort_by_key(|row| row.name.to_lowercase()),
        }
        shown
    }

    /// Flows of a row of the table of services, in the order chosen.
    pub(super) fn shown_flows(&self, service: &str, list: &List<u64>) -> Vec<&Flow> {
        // all controls make one row
        let control = service == "control";
        let mut shown: Vec<&Flow> = (self.shot.report.flows.iter())
            .filter(|flow| {
                if control {
                    flow.class == Class::Control
                } else {
                    flow.service == service
                }
            })
            .filter(|flow| {
                let ends = [
                    endpoint(flow.client, flow.client_port),
                    endpoint(flow.server, flow.server_port),
                    report::end_words(flow),
                ];
                let [client, server, end] = &ends;
                let host = flow.host.as_deref().unwrap_or_default();
                let judged = report::judgement_words(flow.assessment);
                has(&list.filter, &[host, client, server, end, judged])
            })
            .collect();
        match list.order {
            0 => shown.sort_by_key(|flow| {
                let found = flow.assessment == Judgement::Interfered;
                std::cmp::Reverse((found, flow.last))
            }),
            1 => shown.sort_by_key(|flow| std::cmp::Reverse(flow.last)),
            2 => shown.sort_by_key(|flow| std::cmp::Reverse(flow.bytes_up + flow.bytes_down)),
            _ => shown.sort_by_key(|flow| (flow.host.clone(), flow.server)),
        }
        shown
    }

    fn finding_names(&self) -> Vec<u64> {
        (self.shown_findings().iter())
            .map(|finding| finding.id)
            .collect()
    }

    fn service_names(&self) -> Vec<String> {
        (self.shown_services().iter())
            .map(|row| row.service.clone())
            .collect()
    }

    fn flow_names(&self, service: &str, list: &List<u64>) -> Vec<u64> {
        (self.shown_flows(service, list).iter())
            .map(|flow| flow.id)
            .collect()
    }

    /// The words of a page, as wide as the terminal.
    pub(super) fn lines(&self, page: Page) -> Vec<Line> {
        let report = &self.shot.report;
        let width = usize::from(self.size.0.saturating_sub(2)).clamp(20, MOST_COLUMNS);
        let finding = |id| report.findings.iter().find(|finding| finding.id == id);
        match page {
            Page::Finding(id) => finding(id).map_or_else(
                || {
                    vec![plain_line(
                        "This finding does not stand any more; m says why.",
                    )]
                },
                |finding| report::finding_lines(report, finding, width),
            ),
            Page::Flow(id) => {
                let Some(flow) = report.flows.iter().find(|flow| flow.id == id) else {
                    return vec![plain_line("This flow is not held any more.")];
                };
                let mut lines = report::flow_lines(flow, width);
                for finding in report
                    .findings
                    .iter()
                    .filter(|one| one.flow_ids.contains(&id))
                {
                    lines.push(Line::new());
                    lines.extend(report::finding_lines(report, finding, width));
                }
                lines
            }
            Page::Context => report::context_lines(report, width),
            Page::News if self.news.is_empty() => vec![plain_line("Nothing has been said yet.")],
            Page::News => (self.news.iter().rev())
                .flat_map(|line| folded(line, width))
                .collect(),
            Page::Help => HELP.lines().map(plain_line).collect(),
        }
    }
}

/// The widest that words are set: longer lines are hard to read.
const MOST_COLUMNS: usize = 120;

/// Rows that are not part of a page of words: its title and the keys.
const TEXT_AROUND: u16 = 3;

/// All keys.
const HELP: &str = "\
Findings come first, services below them: Tab goes between the two lists.

  Enter, l, Right      open: a finding's evidence, a service's flows, a flow
  Esc, h, Left         back; Esc first takes back a filter
  Up Down, k j         one up, one down
  PageUp PageDown      a screen up, a screen down (also Ctrl-B, Ctrl-F)
  Home End, g G        to the first, to the last
  Tab                  findings, services
  /                    show only lines with these letters; in words: find
  n                    in words: find the next
  s                    another order
  i                    the capture, DNS and other context
  m                    messages: what was said while the view was open
  ?                    this page
  Ctrl-L               draw the screen anew
  q                    quit

A finding's evidence: + speaks for it, - against it, each with the value
measured, the limit it was held against and the frames, as Wireshark numbers
them. \"It is not\" names innocent causes that were tested and do not fit.
Clear means no interference seen; it never means \"not blocked\".

Up to 200 flows of a service are listed: those with findings, then those
heard last. Rates are of transport payload; in a live run they are the mean
of five seconds, and the course is that of the last minute.";

/// Another order of a list.
fn turn<Name>(list: &mut List<Name>, orders: &[&str]) {
    list.order = (list.order + 1) % orders.len();
}

/// Whether one of `words` has the letters of `filter`, whatever their case.
fn has(filter: &str, words: &[&str]) -> bool {
    let sought = filter.to_lowercase();
    let found = |word: &&str| word.to_lowercase().contains(&sought);
    filter.is_empty() || words.iter().any(found)
}

fn plain(line: &Line) -> String {
    line.iter().map(|(_, words)| words.as_str()).collect()
}

fn plain_line(words: &str) -> Line {
    vec![(Paint::Plain, clean(words))]
}

/// Words in lines of at most `width` letters.
fn folded(words: &str, width: usize) -> Vec<Line> {
    let letters: Vec<char> = clean(words).chars().collect();
    (letters.chunks(width.max(1)))
        .map(|part| vec![(Paint::Plain, part.iter().collect())])
        .collect()
}
