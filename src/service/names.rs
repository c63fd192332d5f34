use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{Part, ServiceId};

/// The longest name in DNS, in text (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;

/// Labels from the right that are looked at; no suffix in a catalogue is longer ([`suffix_fault`] refuses it).
const MAX_LABELS: usize = 8;

/// Suffixes and whose they are.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    suffixes: HashMap<Box<str>, (ServiceId, Part), FixedState>,
}

impl Names {
    /// Adds a suffix; the last one added wins. It must be [`normal`].
    pub(super) fn add(&mut self, suffix: &str, service: ServiceId, part: Part) {
        self.suffixes.insert(suffix.into(), (service, part));
    }

    /// The owner of the longest suffix of `name` that is known; `name` must be [`normal`].
    pub(super) fn find<'n>(&self, name: &'n str) -> Option<(&'n str, ServiceId, Part)> {
        // From the longest suffix to the shortest, each starting at a label.
        let start = name
            .rmatch_indices('.')
            .nth(MAX_LABELS - 1)
            .map_or(0, |(dot, _)| dot + 1);
        let mut rest = name.get(start..)?;
        loop {
            if let Some((service, part)) = self.suffixes.get(rest) {
                return Some((rest, *service, *part));
            }
            rest = rest.split_once('.')?.1;
        }
    }
}

/// A host name as it is compared and shown: lower case, without port and final dot. `None` where it is no name: empty, an address literal, or too long.
pub(super) fn normal(name: &str) -> Option<String> {
    let name = name.trim();
    if name.starts_with('[') || is_address(name) {
        return None;
    }
    let name = match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => name,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > MAX_NAME || is_address(name) {
        return None;
    }
    Some(name.to_ascii_lowercase())
}

/// Whether a name is an address literal; almost none is, and the look at its bytes spares them the parser.
fn is_address(name: &str) -> bool {
    let may_be = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    name.bytes().all(may_be) && name.parse::<std::net::IpAddr>().is_ok()
}

/// What is wrong with a catalogue's suffix, if anything.
pub(super) fn suffix_fault(suffix: &str) -> Option<&'static str> {
    let label_is_good = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    if suffix.starts_with('.') || suffix.starts_with('*') {
        Some("a suffix is written without a leading dot or star")
    } else if suffix.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some("a suffix is written in lower case")
    } else if suffix.len() > MAX_NAME || !suffix.split('.').all(label_is_good) {
        Some("not a host name")
    } else if !suffix.contains('.') {
        Some("a suffix of one label would claim a whole top-level domain")
    } else if suffix.split('.').count() > MAX_LABELS {
        Some("a suffix has at most eight labels")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        names.add("t.co", ServiceId(1), Part::Web);
        names.add("whatsapp.net", ServiceId(2), Part::Chat);
        names.add("cdn.whatsapp.net", ServiceId(2), Part::Media);
        names
    }

    #[test]
    fn a_suffix_ends_at_a_label_and_nowhere_else() {
        // In March 2021 a rule for t.co slowed down every name that contained it, microsoft.com among them.
        let names = names();
        assert_eq!(names.find("microsoft.com"), None);
        assert_eq!(names.find("reddit.co"), None);
        assert_eq!(names.find("t.co.example.org"), None);
        assert_eq!(names.find("t.co"), Some(("t.co", ServiceId(1), Part::Web)));
        assert_eq!(
            names.find("a.b.t.co"),
            Some(("t.co", ServiceId(1), Part::Web))
        );
        assert_eq!(names.find("notwhatsapp.net"), None);
    }

    #[test]
    fn the_longest_suffix_wins() {
        let found = names();
        let found = found.find("media-fra3-1.cdn.whatsapp.net");
        assert_eq!(found, Some(("cdn.whatsapp.net", ServiceId(2), Part::Media)));
    }

    #[test]
    fn a_name_of_many_labels_is_still_found_and_costs_no_more() {
        let deep = format!("{}whatsapp.net", "a.".repeat(100));
        assert_eq!(names().find(&deep).map(|found| found.1), Some(ServiceId(2)));
    }

    #[test]
    fn names_are_compared_without_case_port_and_final_dot() {
        assert_eq!(
            normal("WEB.WhatsApp.com.").as_deref(),
            Some("web.whatsapp.com")
        );
        assert_eq!(
            normal("web.whatsapp.com:443").as_deref(),
            Some("web.whatsapp.com")
        );
        assert_eq!(normal("192.0.2.1"), None);
        assert_eq!(normal("192.0.2.1:80"), None);
        assert_eq!(normal("[2001:db8::1]:443"), None);
        assert_eq!(normal("2001:db8::1"), None);
        assert_eq!(normal(""), None);
        assert_eq!(normal("."), None);
    }

    #[test]
    fn bad_suffixes_are_named() {
        for bad in [
            "",
            "com",
            ".signal.org",
            "*.signal.org",
            "Signal.org",
            "a..b",
            "a b.org",
            "-a.org",
            "a.b.c.d.e.f.g.h.i",
        ] {
            assert!(suffix_fault(bad).is_some(), "{bad}");
        }
        assert_eq!(suffix_fault("sfu.voip.signal.org"), None);
    }
}
