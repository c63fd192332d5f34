use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::value::Datetime;

use super::names::{Names, suffix_fault};
use super::precedence::{Belonging, Clue, belonging};
use super::ranges::{Block, PortSpan, Ranges, Rule};
use super::{Class, Part, ServiceId};
use crate::types::{Endpoint, Protocol};

/// The catalogue that ships with the program.
const BUILTIN: &str = include_str!("catalogue.toml");

/// Services in one catalogue at most: far more than anybody will write, and it keeps an id in 16 bits.
const MAX_SERVICES: usize = 1_000;

/// Ranges in one catalogue at most; beyond it the pieces they are cut into grow out of proportion.
const MAX_RANGES: usize = 2_000;

/// What is wrong with a catalogue file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct CatalogueError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, in words.
    pub reason: String,
}

/// A name of a service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Name {
    /// The suffix, matched at label boundaries.
    pub suffix: String,
    /// What is behind it.
    pub part: Part,
}

/// A range of addresses of a service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Range {
    /// The block, as written: `149.154.160.0/20`.
    pub cidr: String,
    /// Ports within which the block counts; empty means all.
    pub ports: Vec<PortSpan>,
    /// Span of last octets within which the block counts.
    pub hosts: Option<(u8, u8)>,
    /// Whether it counts only where neither side said anything: addresses that other products of the same owner share.
    pub silent: bool,
    /// What is behind it.
    pub part: Option<Part>,
}

/// Everything that the catalogue says of one service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Service {
    /// The word that reports use: `whatsapp`.
    pub id: String,
    /// The name as its makers write it.
    pub name: String,
    /// Whether it may yield findings.
    pub class: Class,
    /// Its names.
    pub names: Vec<Name>,
    /// Its addresses.
    pub ranges: Vec<Range>,
    /// Ports it is known to use, for the reader.
    pub ports: Vec<PortSpan>,
    /// What its own bytes look like, in words.
    pub signatures: Vec<String>,
    /// Organisation or common name of its private certificate authority.
    pub issuers: Vec<String>,
    /// Where the entry comes from.
    pub source: String,
    /// The day somebody looked, `2026-11-24`.
    pub checked: String,
}

/// All services, and the tables that find them.
#[derive(Clone, Debug)]
pub struct Catalogue {
    version: String,
    /// The first is what no messenger claims.
    services: Vec<Service>,
    pub(super) names: Names,
    pub(super) ranges: Ranges,
}

impl Catalogue {
    /// The catalogue that ships with the program.
    ///
    /// # Panics
    /// If the file built into the program is faulty, which a test excludes.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
            let file = read(BUILTIN).unwrap_or_else(|fault| panic!("built-in catalogue, {fault}"));
            Catalogue::from_files(&[file])
        });
        &CATALOGUE
    }

    /// The built-in catalogue with a user's file over it.
    ///
    /// A service that exists is extended, a new one comes after the built-in ones, and a suffix that both have is the overlay's.
    ///
    /// # Errors
    /// The first fault of `overlay`, with its line.
    pub fn with_overlay(overlay: &str) -> Result<Self, CatalogueError> {
        let builtin = read(BUILTIN)?;
        let overlay = read(overlay)?;
        Ok(Self::from_files(&[builtin, overlay]))
    }

    fn from_files(files: &[File]) -> Self {
        let mut services = vec![Service {
            id: "control".into(),
            name: "Everything else".into(),
            class: Class::Control,
            names: Vec::new(),
            ranges: Vec::new(),
            ports: Vec::new(),
            signatures: Vec::new(),
            issuers: Vec::new(),
            source: "whatever no messenger claims".into(),
            checked: String::new(),
        }];
        let mut names = Names::default();
        for entry in files.iter().flat_map(|file| &file.service) {
            let new = entry.service();
            let place = services.iter().position(|service| service.id == new.id);
            let id = ServiceId(place.unwrap_or(services.len()) as u16);
            for name in &new.names {
                for service in &mut services {
                    service.names.retain(|old| old.suffix != name.suffix);
                }
                names.add(&name.suffix, id, name.part);
            }
            match place.and_then(|place| services.get_mut(place)) {
                Some(service) => service.extend(new),
                None => services.push(new),
            }
        }
        let rules = (0_u16..)
            .zip(&services)
            .flat_map(|(id, service)| rules(ServiceId(id), &service.ranges))
            .collect();
        Self {
            version: (files.iter().rev())
                .find_map(|file| file.version.map(|date| date.to_string()))
                .unwrap_or_default(),
            services,
            names,
            ranges: Ranges::new(rules),
        }
    }

    /// The date of the catalogue, of the overlay's where it has one: `2026-11-24`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The services in catalogue order, without the control row.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &Service)> {
        (0_u16..).map(ServiceId).zip(&self.services).skip(1)
    }

    /// One service; an id of another catalogue gives the control row.
    ///
    /// # Panics
    /// Never: the control row is always there.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> &Service {
        (self.services.get(usize::from(id.0))).unwrap_or(&self.services[0])
    }

    /// The service with the word `id`, also `control`.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<ServiceId> {
        (0_u16..)
            .zip(&self.services)
            .find(|(_, service)| service.id == id)
            .map(|(place, _)| ServiceId(place))
    }

    /// Whether a service is a messenger.
    #[must_use]
    pub fn is_messenger(&self, id: ServiceId) -> bool {
        self.service(id).class == Class::Messenger
    }

    /// Whether a messenger would be known by this end alone, if neither side said anything.
    #[must_use]
    pub fn knows(&self, server: Endpoint, protocol: Protocol) -> bool {
        self.ranges
            .find(server, protocol, true)
            .is_some_and(|rule| self.is_messenger(rule.service))
    }

    /// Decides whose a flow is: names the client said, then the protocol's own bytes, then DNS, then the address.
    #[must_use]
    pub fn classify(&self, clue: &Clue<'_>) -> Belonging {
        belonging(self, clue)
    }

    /// The service whose private authority signed as `issuer`.
    pub(super) fn by_issuer(&self, issuer: &str) -> Option<ServiceId> {
        self.services()
            .find(|(_, service)| service.issuers.iter().any(|known| known == issuer))
            .map(|(id, _)| id)
    }
}

impl Service {
    fn extend(&mut self, more: Self) {
        self.name = more.name;
        self.class = more.class;
        self.names.extend(more.names);
        self.ranges.extend(more.ranges);
        self.ports.extend(more.ports);
        self.signatures.extend(more.signatures);
        self.issuers.extend(more.issuers);
        self.source = more.source;
        self.checked = more.checked;
    }
}

/// Everything that is wrong with a catalogue file, in the order of its lines; empty means it can be used.
#[must_use]
pub fn lint(text: &str) -> Vec<CatalogueError> {
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            return vec![CatalogueError {
                line: line_of(text, at),
                reason: error.message().to_owned(),
            }];
        }
    };
    let mut faults: Vec<(usize, String)> = Vec::new();
    if file.service.is_empty() {
        faults.push((0, "no [[service]]".to_owned()));
    }
    if file.service.len() > MAX_SERVICES {
        faults.push((0, format!("more than {MAX_SERVICES} services")));
    }
    if file
        .service
        .iter()
        .map(|entry| entry.ranges.len())
        .sum::<usize>()
        > MAX_RANGES
    {
        faults.push((0, format!("more than {MAX_RANGES} ranges")));
        return sorted(text, faults);
    }
    let mut ids: HashSet<&str> = HashSet::new();
    for entry in &file.service {
        let (at, id) = (entry.id.span().start, entry.id.get_ref().as_str());
        let shaped = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        if id.is_empty() || id == "control" || !id.bytes().all(shaped) {
            faults.push((
                at,
                format!("`{id}` is no service id: letters a to z, digits and _, and not `control`"),
            ));
        }
        if !ids.insert(id) {
            faults.push((at, format!("service `{id}` stands twice")));
        }
        if entry.source.trim().is_empty() {
            faults.push((at, format!("service `{id}` has no source")));
        }
        if entry.checked.date.is_none() || entry.checked.time.is_some() {
            faults.push((
                at,
                format!("`checked` of service `{id}` is a day, such as 2026-11-24"),
            ));
        }
        for span in &entry.ports {
            if let Err(reason) = span.get_ref().parse::<PortSpan>() {
                faults.push((span.span().start, format!("`{}`: {reason}", span.get_ref())));
            }
        }
    }
    lint_names(&file, &mut faults);
    lint_ranges(&file, &mut faults);
    sorted(text, faults)
}

fn lint_names(file: &File, faults: &mut Vec<(usize, String)>) {
    let mut owners: HashMap<&str, (&str, Part)> = HashMap::new();
    let all = || {
        (file.service.iter()).flat_map(|entry| {
            entry
                .names
                .iter()
                .map(move |name| (entry.id.get_ref(), name))
        })
    };
    for (id, name) in all() {
        let (at, suffix) = (name.suffix.span().start, name.suffix.get_ref().as_str());
        if let Some(reason) = suffix_fault(suffix) {
            faults.push((at, format!("`{suffix}`: {reason}")));
        } else if let Some((owner, _)) = owners.insert(suffix, (id, name.part)) {
            faults.push((at, format!("`{suffix}` stands twice, also under `{owner}`")));
        }
    }
    for (id, name) in all() {
        let suffix = name.suffix.get_ref();
        let wider = suffix.match_indices('.').find_map(|(dot, _)| {
            let wider = suffix.get(dot + 1..)?;
            owners.get(wider).map(|owner| (wider, owner))
        });
        if let Some((wider, (owner, part))) = wider
            && owner == id
            && *part == name.part
        {
            let at = name.suffix.span().start;
            faults.push((at, format!("`{suffix}` adds nothing to `{wider}`")));
        }
    }
}

fn lint_ranges(file: &File, faults: &mut Vec<(usize, String)>) {
    let mut known: Vec<(&str, &str, Rule)> = Vec::new();
    for entry in &file.service {
        for range in &entry.ranges {
            let (at, cidr) = (range.cidr.span().start, range.cidr.get_ref().as_str());
            let rule = match range.rule() {
                Ok(rule) => rule,
                Err(reason) => {
                    faults.push((at, format!("`{cidr}`: {reason}")));
                    continue;
                }
            };
            if let Some((owner, other, _)) = known.iter().find(|(_, _, old)| old.overlaps(&rule)) {
                faults.push((at, format!("`{cidr}` overlaps `{other}` of `{owner}`")));
            }
            known.push((entry.id.get_ref(), cidr, rule));
        }
    }
}

fn sorted(text: &str, mut faults: Vec<(usize, String)>) -> Vec<CatalogueError> {
    faults.sort();
    (faults.into_iter())
        .map(|(at, reason)| CatalogueError {
            line: line_of(text, at),
            reason,
        })
        .collect()
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn read(text: &str) -> Result<File, CatalogueError> {
    if let Some(fault) = lint(text).into_iter().next() {
        return Err(fault);
    }
    toml::from_str(text).map_err(|error| CatalogueError {
        line: 1,
        reason: error.message().to_owned(),
    })
}

/// The rules of one service. Ranges that [`lint`] would refuse give none.
fn rules(service: ServiceId, ranges: &[Range]) -> Vec<Rule> {
    (0_u16..)
        .zip(ranges)
        .filter_map(|(index, range)| {
            Some(Rule {
                block: range.cidr.parse().ok()?,
                ports: range.ports.clone(),
                hosts: range.hosts.unwrap_or((0, 255)),
                silent: range.silent,
                service,
                part: range.part,
                index,
            })
        })
        .collect()
}

/// A catalogue file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Option<Datetime>,
    #[serde(default)]
    service: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<String>,
    name: String,
    class: Class,
    #[serde(default)]
    names: Vec<NameEntry>,
    #[serde(default)]
    ranges: Vec<RangeEntry>,
    #[serde(default)]
    ports: Vec<Spanned<String>>,
    #[serde(default)]
    signatures: Vec<String>,
    #[serde(default)]
    issuers: Vec<String>,
    source: String,
    checked: Datetime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameEntry {
    suffix: Spanned<String>,
    part: Part,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeEntry {
    cidr: Spanned<String>,
    #[serde(default)]
    ports: Vec<String>,
    hosts: Option<(u8, u8)>,
    #[serde(default)]
    silent: bool,
    part: Option<Part>,
}

impl Entry {
    fn service(&self) -> Service {
        Service {
            id: self.id.get_ref().clone(),
            name: self.name.clone(),
            class: self.class,
            names: (self.names.iter())
                .map(|name| Name {
                    suffix: name.suffix.get_ref().clone(),
                    part: name.part,
                })
                .collect(),
            ranges: (self.ranges.iter())
                .map(|range| Range {
                    cidr: range.cidr.get_ref().clone(),
                    ports: (range.ports.iter())
                        .filter_map(|span| span.parse().ok())
                        .collect(),
                    hosts: range.hosts,
                    silent: range.silent,
                    part: range.part,
                })
                .collect(),
            ports: (self.ports.iter())
                .filter_map(|span| span.get_ref().parse().ok())
                .collect(),
            signatures: self.signatures.clone(),
            issuers: self.issuers.clone(),
            source: self.source.clone(),
            checked: self.checked.to_string(),
        }
    }
}

impl RangeEntry {
    /// The range as a rule of nobody, or what is wrong with it.
    fn rule(&self) -> Result<Rule, &'static str> {
        let block: Block = self.cidr.get_ref().parse()?;
        let ports = (self.ports.iter())
            .map(|span| span.parse())
            .collect::<Result<_, _>>()?;
        if let Some((first, last)) = self.hosts {
            if last < first {
                return Err("hosts go from the lower last octet to the higher");
            }
            if self.cidr.get_ref().contains(':') {
                return Err("hosts are last octets of IPv4 addresses");
            }
        }
        Ok(Rule {
            block,
            ports,
            hosts: self.hosts.unwrap_or((0, 255)),
            silent: self.silent,
            service: ServiceId::CONTROL,
            part: self.part,
            index: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[[service]]\nid = \"a\"\nname = \"A\"\nclass = \"messenger\"\nsource = \"s\"\nchecked = 2026-11-24\n";

    fn first_fault(text: &str) -> CatalogueError {
        lint(text).into_iter().next().expect("a fault")
    }

    #[test]
    fn the_built_in_catalogue_is_sound_and_dated() {
        assert_eq!(lint(BUILTIN), []);
        let catalogue = Catalogue::builtin();
        assert_eq!(catalogue.version(), "2026-11-25");
        let order: Vec<_> = catalogue
            .services()
            .map(|(_, service)| service.id.as_str())
            .collect();
        assert!(order.starts_with(&[
            "whatsapp",
            "telegram",
            "signal",
            "facetime",
            "messenger",
            "max"
        ]));
        for (id, service) in catalogue.services() {
            assert_eq!(catalogue.by_id(&service.id), Some(id));
            assert!(
                !service.names.is_empty() && !service.source.is_empty(),
                "{}",
                service.id
            );
        }
    }

    #[test]
    fn what_no_messenger_claims_is_a_control() {
        let catalogue = Catalogue::builtin();
        assert!(!catalogue.is_messenger(ServiceId::CONTROL));
        assert!(!catalogue.is_messenger(catalogue.by_id("vk").unwrap()));
        assert!(catalogue.is_messenger(catalogue.by_id("max").unwrap()));
        assert_eq!(catalogue.service(ServiceId(9_999)).id, "control");
    }

    #[test]
    fn a_fault_names_its_line() {
        let fault = first_fault(&format!(
            "{HEAD}names = [\n  {{ suffix = \"good.org\", part = \"chat\" }},\n  {{ suffix = \"*.bad.org\", part = \"chat\" }},\n]\n"
        ));
        assert_eq!(fault.line, 9, "{fault}");
        let fault = first_fault(&format!(
            "{HEAD}ranges = [\n  {{ cidr = \"10.0.0.1/8\" }},\n]\n"
        ));
        assert_eq!(fault.line, 8, "{fault}");
        let fault = first_fault(&format!("{HEAD}ports = [\"443\"]\n"));
        assert_eq!(fault.line, 7, "{fault}");
        let fault = first_fault(&format!("{HEAD}colour = \"red\"\n"));
        assert_eq!(fault.line, 7, "{fault}");
        assert_eq!(first_fault("").line, 1);
    }

    #[test]
    fn overlaps_are_refused() {
        let second = HEAD.replace("\"a\"", "\"b\"");
        let both = |a: &str, b: &str| lint(&format!("{HEAD}{a}\n{second}{b}\n")).len();
        let name = "names = [{ suffix = \"x.org\", part = \"chat\" }]";
        assert_eq!(both(name, name), 1);
        assert_eq!(
            both(name, "names = [{ suffix = \"y.x.org\", part = \"chat\" }]"),
            0
        );
        assert_eq!(
            both(
                "ranges = [{ cidr = \"10.0.0.0/8\" }]",
                "ranges = [{ cidr = \"10.9.0.0/16\" }]"
            ),
            1
        );
        let on =
            |port: u16| format!("ranges = [{{ cidr = \"10.0.0.0/8\", ports = [\"tcp/{port}\"] }}]");
        assert_eq!(both(&on(443), &on(5222)), 0);
        assert_eq!(both(&on(443), &on(443)), 1);
        let within = format!(
            "{HEAD}names = [\n{{ suffix = \"x.org\", part = \"chat\" }},\n{{ suffix = \"y.x.org\", part = \"chat\" }},\n]\n"
        );
        assert_eq!(first_fault(&within).line, 9);
        assert_eq!(first_fault(&format!("{HEAD}{HEAD}")).line, 8);
    }

    #[test]
    fn an_overlay_adds_extends_and_takes_over() {
        let overlay = format!(
            "version = 2027-01-05\n{HEAD}names = [{{ suffix = \"a.example\", part = \"chat\" }}, {{ suffix = \"wa.me\", part = \"web\" }}]\n{}names = [{{ suffix = \"new.signal.example\", part = \"chat\" }}]\n",
            HEAD.replace("\"a\"", "\"signal\"")
        );
        let catalogue = Catalogue::with_overlay(&overlay).unwrap();
        assert_eq!(catalogue.version(), "2027-01-05");
        let owner = |name: &str| {
            catalogue
                .names
                .find(name)
                .map(|(_, id, _)| catalogue.service(id).id.clone())
        };
        assert_eq!(owner("x.a.example").as_deref(), Some("a"));
        assert_eq!(owner("wa.me").as_deref(), Some("a"));
        assert_eq!(owner("new.signal.example").as_deref(), Some("signal"));
        assert_eq!(owner("chat.signal.org").as_deref(), Some("signal"));
        assert_eq!(
            catalogue.by_id("signal"),
            Catalogue::builtin().by_id("signal")
        );
        let fault = Catalogue::with_overlay(&format!(
            "{HEAD}names = [{{ suffix = \"com\", part = \"chat\" }}]"
        ))
        .unwrap_err();
        assert_eq!(fault.line, 7);
    }
}
