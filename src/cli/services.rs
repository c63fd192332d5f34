//! The service catalogue, for people.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use dpiscope::report::wrapped;
use dpiscope::service::{Catalogue, Class, Part, Service, ServiceId, lint};

use super::args::ServicesArgs;
use super::near::near_to;
use super::output::print;
use super::{Exit, Failure};

/// The built-in catalogue, with the user's file over it.
pub(crate) fn catalogue(overlay: Option<&Path>) -> Result<Arc<Catalogue>, Failure> {
    let Some(path) = overlay else {
        return Ok(Arc::new(Catalogue::builtin().clone()));
    };
    let text = read(path)?;
    Catalogue::with_overlay(&text)
        .map(Arc::new)
        .map_err(|fault| Failure::refused(format!("{}: {fault}", path.display())))
}

/// Refuses words that name no service, and says which ones are near.
pub(crate) fn known(catalogue: &Catalogue, words: &[String]) -> Result<Vec<String>, Failure> {
    words
        .iter()
        .map(|word| service(catalogue, word).map(|id| catalogue.service(id).id.clone()))
        .collect()
}

fn service(catalogue: &Catalogue, word: &str) -> Result<ServiceId, Failure> {
    let lower = word.trim().to_lowercase();
    catalogue.by_id(&lower).ok_or_else(|| {
        let mut names: Vec<&str> = catalogue
            .services()
            .map(|(_, service)| service.id.as_str())
            .collect();
        names.push("control");
        Failure::refused(format!(
            "unknown service '{word}'{}; `dpiscope services` lists all",
            near_to(word, &names)
        ))
    })
}

/// Shows the catalogue, one service of it, or what is wrong with a file.
pub(crate) fn run(args: &ServicesArgs) -> Result<Exit, Failure> {
    if let Some(path) = &args.check {
        return check(path);
    }
    let catalogue = catalogue(args.services.as_deref())?;
    match &args.name {
        Some(name) => {
            let id = service(&catalogue, name)?;
            print(|out| out.write_all(in_full(catalogue.service(id)).as_bytes()))?;
        }
        None => print(|out| list(&catalogue, out))?,
    }
    Ok(Exit::Done)
}

fn list(catalogue: &Catalogue, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "Service catalogue of {}", catalogue.version())?;
    writeln!(out)?;
    writeln!(
        out,
        "{:<14}{:<24}{:<11}{:>6}{:>8}  Checked",
        "Service", "Name", "Class", "Names", "Ranges"
    )?;
    for (_, service) in catalogue.services() {
        writeln!(
            out,
            "{:<14}{:<24}{:<11}{:>6}{:>8}  {}",
            service.id,
            service.name,
            class(service.class),
            service.names.len(),
            service.ranges.len(),
            service.checked
        )?;
    }
    writeln!(
        out,
        "{:<14}{:<24}{:<11}",
        "control", "Everything else", "control"
    )
}

fn in_full(service: &Service) -> String {
    let mut text = format!(
        "{}: {}, {}\n",
        service.id,
        service.name,
        class(service.class)
    );
    let mut entry = |name: &str, words: &str| {
        if !words.is_empty() {
            text.push_str(&wrapped(&format!("  {name:<12}"), words));
        }
    };
    for part in [Part::Chat, Part::Media, Part::Call, Part::Push, Part::Web] {
        let names: Vec<&str> = service
            .names
            .iter()
            .filter(|name| name.part == part)
            .map(|name| name.suffix.as_str())
            .collect();
        entry(part_word(part), &names.join(", "));
    }
    let ports: Vec<String> = service.ports.iter().map(ToString::to_string).collect();
    entry("ports", &ports.join(", "));
    for range in &service.ranges {
        let mut words = range.cidr.clone();
        if let Some((first, last)) = range.hosts {
            let _ = write!(words, ", last octet {first} to {last}");
        }
        if !range.ports.is_empty() {
            let ports: Vec<String> = range.ports.iter().map(ToString::to_string).collect();
            let _ = write!(words, ", only {}", ports.join(" "));
        }
        entry("range", &words);
    }
    for words in &service.signatures {
        entry("signature", words);
    }
    entry("issuers", &service.issuers.join(", "));
    entry("source", &service.source);
    entry("checked", &service.checked);
    text
}

const fn class(class: Class) -> &'static str {
    match class {
        Class::Messenger => "messenger",
        Class::Control => "control",
    }
}

const fn part_word(part: Part) -> &'static str {
    match part {
        Part::Chat => "chat",
        Part::Media => "media",
        Part::Call => "calls",
        Part::Push => "push",
        Part::Web => "web",
    }
}

fn check(path: &Path) -> Result<Exit, Failure> {
    let faults = lint(&read(path)?);
    print(|out| {
        for fault in &faults {
            writeln!(out, "{}:{}: {}", path.display(), fault.line, fault.reason)?;
        }
        if faults.is_empty() {
            writeln!(out, "{}: a sound catalogue", path.display())?;
        }
        Ok(())
    })?;
    Ok(if faults.is_empty() {
        Exit::Done
    } else {
        Exit::Found
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::refused(format!("cannot read {}: {error}", path.display())))
}
