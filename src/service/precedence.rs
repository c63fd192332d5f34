//! The order of evidence for whose a flow is.
//!
//! 1. **Names the client said**: TLS or QUIC server name, HTTP host; then names in the server's visible certificate. Such a name decides in
//!    both directions: one that belongs to no messenger makes the flow a control, on a messenger's address too.
//! 2. **The protocol's own bytes**, where they are one service's alone.
//! 3. **A DNS answer** in the same capture that gave this address, in both directions as well.
//! 4. **The address**, within the catalogue's port limits. Weakest, and only for a messenger: content networks and clouds are nobody's.
//!
//! The public name under an encrypted hello says who runs the front, not who is behind it. If it is a messenger's own it counts as a name
//! (browsers send a dummy extension beside a true name); otherwise the steps below it are asked, except the address: a front of many is
//! nobody's. A certificate that covers names of a messenger and of others says nothing.

use std::fmt;

use super::names::normal;
use super::{Catalogue, Class, Part, ServiceId};
use crate::application::{Application, HostSource};
use crate::types::{Endpoint, Protocol};

/// Names of one certificate that are looked at; the largest that content networks use hold some hundreds.
const MAX_CERTIFICATE_NAMES: usize = 512;

/// What is known of a flow when its service is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Clue<'a> {
    /// Server name of the hello.
    pub sni: Option<&'a str>,
    /// Where it stood: [`HostSource::TlsSni`], [`HostSource::QuicSni`] or [`HostSource::EchOuter`].
    pub sni_source: HostSource,
    /// `Host` of an HTTP request.
    pub http_host: Option<&'a str>,
    /// Names in the server's visible certificate.
    pub certificate_names: &'a [String],
    /// Organisation or common name of its issuer.
    pub certificate_issuer: Option<&'a str>,
    /// Service word and reason, from the protocol's own bytes.
    pub signature: Option<(&'static str, &'static str)>,
    /// The name that a DNS answer of this capture gave the address, as of the flow's time.
    pub dns_name: Option<&'a str>,
    /// The server's end.
    pub server: Endpoint,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// What the flow speaks.
    pub application: Application,
    /// Whether neither side said anything, or nothing of it was captured, so that only the address can tell whose it is.
    pub silent: bool,
}

impl Clue<'_> {
    /// Nothing known but the server.
    #[must_use]
    pub const fn of_server(server: Endpoint, protocol: Protocol) -> Self {
        Self {
            sni: None,
            sni_source: HostSource::TlsSni,
            http_host: None,
            certificate_names: &[],
            certificate_issuer: None,
            signature: None,
            dns_name: None,
            server,
            protocol,
            application: Application::Unknown,
            silent: false,
        }
    }
}

/// Whose a flow is, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Belonging {
    /// The service; [`ServiceId::CONTROL`] if no messenger's.
    pub service: ServiceId,
    /// The name the flow was for, lower case.
    pub host: Option<String>,
    /// Which evidence decided; `None` where there was none at all.
    pub host_source: Option<HostSource>,
    /// What the flow is for within the service.
    pub part: Option<Part>,
    /// The reason; prints as a sentence.
    pub why: Why,
}

/// Why a flow belongs where it does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Why {
    /// A name lies under this suffix of the catalogue.
    Suffix(String),
    /// There is a name, and no messenger claims it.
    NobodysName,
    /// The certificate was signed by the service's private authority.
    Issuer(String),
    /// The protocol's own bytes.
    Signature(&'static str),
    /// The address lies in this range of the catalogue.
    Range(String),
    /// Nothing was said, and the address lies in this range, which other products of its owner share.
    SharedRange(String),
    /// Another flow to the same address and port said whose it is.
    Sibling(String),
    /// The client used the same port for a call, which said whose it is.
    Call(String),
    /// A call said whose it is, and its STUN names the peer's address.
    Peer(String),
    /// The public name of an encrypted hello hides the true one.
    Hidden,
    /// Nothing pointed anywhere.
    Nothing,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suffix(suffix) => write!(f, "the name lies under {suffix}"),
            Self::NobodysName => f.write_str("no messenger claims the name"),
            Self::Issuer(issuer) => write!(f, "certificate issued by {issuer}"),
            Self::Signature(why) => f.write_str(why),
            Self::Range(cidr) => write!(f, "only by its address, in {cidr}"),
            Self::SharedRange(cidr) => write!(
                f,
                "only by its address, in {cidr}, which other products of the same owner share; nothing else of it was captured"
            ),
            Self::Sibling(name) => write!(
                f,
                "another flow to the same address and port was for {name}"
            ),
            Self::Call(name) => write!(f, "the client's port is that of a call of {name}"),
            Self::Peer(name) => write!(f, "STUN of a call of {name} names the address"),
            Self::Hidden => f.write_str("an encrypted hello hides the name"),
            Self::Nothing => f.write_str("no name, no known protocol, no known address"),
        }
    }
}

pub(super) fn belonging(catalogue: &Catalogue, clue: &Clue<'_>) -> Belonging {
    let hidden = match clue.sni.and_then(normal) {
        Some(name) if clue.sni_source == HostSource::EchOuter => {
            let found = by_name(catalogue, name.clone(), HostSource::EchOuter);
            if catalogue.is_messenger(found.service) {
                return found;
            }
            Some(name)
        }
        Some(name) => return by_name(catalogue, name, clue.sni_source),
        None => None,
    };
    if let Some(name) = clue.http_host.and_then(normal) {
        return by_name(catalogue, name, HostSource::HttpHost);
    }
    if let Some(found) = by_certificate(catalogue, clue) {
        return found;
    }
    if let Some((id, why)) = clue.signature
        && let Some(service) = catalogue.by_id(id)
        && catalogue.is_messenger(service)
    {
        let part = match clue.application {
            Application::Stun | Application::Rtp | Application::Dtls => Part::Call,
            _ if clue.protocol == Protocol::Udp => Part::Call,
            _ => Part::Chat,
        };
        return Belonging {
            service,
            host: None,
            host_source: Some(HostSource::Protocol),
            part: Some(part),
            why: Why::Signature(why),
        };
    }
    // Questions to a resolver are for nobody in particular, whoever runs it.
    if clue.application != Application::Dns {
        if let Some(name) = clue.dns_name.and_then(normal) {
            return by_name(catalogue, name, HostSource::Dns);
        }
        if hidden.is_none()
            && let Some(found) = by_address(catalogue, clue)
        {
            return found;
        }
    }
    Belonging {
        service: ServiceId::CONTROL,
        host_source: hidden.as_ref().map(|_| HostSource::EchOuter),
        why: hidden.as_ref().map_or(Why::Nothing, |_| Why::Hidden),
        host: hidden,
        part: None,
    }
}

fn by_name(catalogue: &Catalogue, name: String, source: HostSource) -> Belonging {
    let found = (catalogue.names.find(&name))
        .filter(|(_, id, _)| catalogue.is_messenger(*id))
        .map(|(suffix, id, part)| (suffix.to_owned(), id, part));
    let (service, part, why) = match found {
        Some((suffix, id, part)) => (id, Some(part), Why::Suffix(suffix)),
        None => (ServiceId::CONTROL, None, Why::NobodysName),
    };
    Belonging {
        service,
        host: Some(name),
        host_source: Some(source),
        part,
        why,
    }
}

fn by_certificate(catalogue: &Catalogue, clue: &Clue<'_>) -> Option<Belonging> {
    if let Some(issuer) = clue.certificate_issuer
        && let Some(service) = catalogue.by_issuer(issuer)
        && catalogue.is_messenger(service)
    {
        let host = clue.certificate_names.iter().find_map(|name| host_of(name));
        return Some(Belonging {
            service,
            part: host
                .as_deref()
                .and_then(|host| catalogue.names.find(host))
                .map(|(_, _, part)| part),
            host,
            host_source: Some(HostSource::Certificate),
            why: Why::Issuer(issuer.to_owned()),
        });
    }
    // A common name need not be a host name; what has no dot is a label for people.
    let mut names = (clue.certificate_names.iter())
        .take(MAX_CERTIFICATE_NAMES)
        .filter_map(|name| host_of(name))
        .filter(|name| name.contains('.'));
    let first = by_name(catalogue, names.next()?, HostSource::Certificate);
    let agree = names.all(|name| {
        let owner = catalogue.names.find(&name).map(|(_, id, _)| id);
        owner
            .filter(|id| catalogue.service(*id).class == Class::Messenger)
            .unwrap_or(ServiceId::CONTROL)
            == first.service
    });
    agree.then_some(first)
}

/// The host that a certificate's name stands for: that of its wildcard's domain.
fn host_of(name: &str) -> Option<String> {
    normal(name.strip_prefix("*.").unwrap_or(name))
}

fn by_address(catalogue: &Catalogue, clue: &Clue<'_>) -> Option<Belonging> {
    let rule = catalogue
        .ranges
        .find(clue.server, clue.protocol, clue.silent)?;
    if !catalogue.is_messenger(rule.service) {
        return None;
    }
    let media = clue.protocol == Protocol::Udp && clue.application != Application::Quic;
    let ranges = &catalogue.service(rule.service).ranges;
    Some(Belonging {
        service: rule.service,
        host: None,
        host_source: Some(HostSource::Address),
        part: rule.part.or(media.then_some(Part::Call)),
        why: {
            let range = ranges.get(usize::from(rule.index));
            let cidr = range.map(|range| range.cidr.clone()).unwrap_or_default();
            if rule.silent {
                Why::SharedRange(cidr)
            } else {
                Why::Range(cidr)
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn at(address: &str, port: u16, protocol: Protocol) -> Clue<'static> {
        let address = address.parse::<IpAddr>().unwrap().into();
        Clue::of_server(Endpoint { address, port }, protocol)
    }

    /// A host of WhatsApp's fronts.
    fn whatsapp_front() -> Clue<'static> {
        at("157.240.20.53", 443, Protocol::Tcp)
    }

    fn service_of(clue: &Clue<'_>) -> String {
        let catalogue = Catalogue::builtin();
        catalogue
            .service(catalogue.classify(clue).service)
            .id
            .clone()
    }

    #[test]
    fn a_shared_range_counts_only_where_nobody_said_anything() {
        let apple = at("17.57.12.205", 443, Protocol::Tcp);
        let catalogue = Catalogue::builtin();
        assert_eq!(catalogue.classify(&apple).service, ServiceId::CONTROL);
        let silent = catalogue.classify(&Clue {
            silent: true,
            ..apple
        });
        assert_eq!(Some(silent.service), catalogue.by_id("facetime"));
        assert!(matches!(silent.why, Why::SharedRange(_)));
        let front = catalogue.classify(&Clue {
            silent: true,
            ..whatsapp_front()
        });
        assert_eq!(Some(front.service), catalogue.by_id("whatsapp"));
    }

    #[test]
    fn a_name_of_nobody_on_a_messengers_address_is_a_control() {
        let clue = Clue {
            sni: Some("example.org"),
            ..whatsapp_front()
        };
        let found = Catalogue::builtin().classify(&clue);
        assert_eq!(found.service, ServiceId::CONTROL);
        assert_eq!(found.host.as_deref(), Some("example.org"));
        assert_eq!(found.host_source, Some(HostSource::TlsSni));
        assert_eq!(service_of(&whatsapp_front()), "whatsapp");
        let clue = Clue {
            dns_name: Some("www.instagram.com"),
            ..whatsapp_front()
        };
        assert_eq!(service_of(&clue), "control");
    }

    #[test]
    fn a_messengers_name_on_a_cloud_address_is_the_messengers() {
        for (name, service, part) in [
            ("Chat.Signal.ORG.", "signal", Part::Chat),
            ("sfu.voip.signal.org", "signal", Part::Call),
            ("media-fra3-1.cdn.whatsapp.net", "whatsapp", Part::Media),
            ("e7.whatsapp.net", "whatsapp", Part::Chat),
            ("web.whatsapp.com", "whatsapp", Part::Web),
            ("7-courier.push.apple.com", "facetime", Part::Push),
            ("edge-mqtt.facebook.com", "messenger", Part::Chat),
            ("api.oneme.ru", "max", Part::Chat),
            ("t.me", "telegram", Part::Web),
        ] {
            let clue = Clue {
                sni: Some(name),
                ..at("104.18.10.47", 443, Protocol::Tcp)
            };
            let found = Catalogue::builtin().classify(&clue);
            assert_eq!(service_of(&clue), service, "{name}");
            assert_eq!(found.part, Some(part), "{name}");
        }
    }

    #[test]
    fn lookalikes_and_platforms_are_controls() {
        for name in [
            "microsoft.com",
            "notwhatsapp.net",
            "whatsapp.net.example.org",
            "www.facebook.com",
            "scontent-fra3-1.xx.fbcdn.net",
            "vk.com",
            "www.apple.com",
            "gateway.icloud.com",
            "signal.org.ru",
        ] {
            let clue = Clue {
                sni: Some(name),
                ..whatsapp_front()
            };
            assert_eq!(service_of(&clue), "control", "{name}");
        }
    }

    #[test]
    fn the_protocols_bytes_beat_dns_and_address_and_lose_to_a_name() {
        let wa = Some(("whatsapp", "Noise prologue"));
        let telegram = at("149.154.167.51", 443, Protocol::Tcp);
        assert_eq!(service_of(&telegram), "telegram");
        assert_eq!(
            service_of(&Clue {
                signature: wa,
                ..telegram
            }),
            "whatsapp"
        );
        assert_eq!(
            service_of(&Clue {
                signature: wa,
                dns_name: Some("x.test"),
                ..telegram
            }),
            "whatsapp"
        );
        assert_eq!(
            service_of(&Clue {
                signature: wa,
                sni: Some("x.test"),
                ..telegram
            }),
            "control"
        );
        assert_eq!(
            service_of(&Clue {
                signature: Some(("nobody", "")),
                ..telegram
            }),
            "telegram"
        );
    }

    #[test]
    fn metas_addresses_are_not_guessed_to_be_whatsapp() {
        assert_eq!(
            service_of(&at("157.240.20.35", 443, Protocol::Tcp)),
            "control"
        );
        assert_eq!(
            service_of(&at("157.240.20.174", 443, Protocol::Udp)),
            "control"
        );
        assert_eq!(
            service_of(&at("157.240.20.35", 5222, Protocol::Tcp)),
            "whatsapp"
        );
        assert_eq!(
            service_of(&at("2a03:2880:f21c:c:face:b00c:0:25de", 443, Protocol::Tcp)),
            "control"
        );
    }

    #[test]
    fn apples_addresses_are_facetime_on_facetimes_ports_only() {
        assert_eq!(
            service_of(&at("17.57.146.20", 443, Protocol::Tcp)),
            "control"
        );
        let push = Catalogue::builtin().classify(&at("17.57.146.20", 5223, Protocol::Tcp));
        assert_eq!(push.part, Some(Part::Push));
        let call = Catalogue::builtin().classify(&at("17.188.143.1", 3478, Protocol::Udp));
        assert_eq!(call.part, Some(Part::Call));
        assert_eq!(call.host_source, Some(HostSource::Address));
    }

    #[test]
    fn an_outer_name_says_nothing_of_the_inner_service() {
        let outer = Clue {
            sni: Some("cloudflare-ech.com"),
            sni_source: HostSource::EchOuter,
            ..whatsapp_front()
        };
        let found = Catalogue::builtin().classify(&outer);
        assert_eq!(
            (found.service, found.host_source),
            (ServiceId::CONTROL, Some(HostSource::EchOuter))
        );
        assert_eq!(
            service_of(&Clue {
                dns_name: Some("chat.signal.org"),
                ..outer
            }),
            "signal"
        );
        assert_eq!(
            service_of(&Clue {
                sni: Some("web.whatsapp.com"),
                ..outer
            }),
            "whatsapp"
        );
    }

    #[test]
    fn a_certificate_of_many_owners_says_nothing() {
        let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let cloud = at("192.0.2.1", 443, Protocol::Tcp);
        let own = names(&["*.whatsapp.net", "*.cdn.whatsapp.net", "whatsapp.com"]);
        assert_eq!(
            service_of(&Clue {
                certificate_names: &own,
                ..cloud
            }),
            "whatsapp"
        );
        let mixed = names(&["*.facebook.com", "*.messenger.com"]);
        let found = Catalogue::builtin().classify(&Clue {
            certificate_names: &mixed,
            ..cloud
        });
        assert_eq!(
            (found.service, found.host_source),
            (ServiceId::CONTROL, None)
        );
        let other = names(&["example.org"]);
        assert_eq!(
            service_of(&Clue {
                certificate_names: &other,
                ..whatsapp_front()
            }),
            "control"
        );
        let signal = Clue {
            certificate_issuer: Some("Open Whisper Systems"),
            ..cloud
        };
        assert_eq!(service_of(&signal), "signal");
    }

    #[test]
    fn a_question_to_a_resolver_is_nobodys() {
        let clue = Clue {
            application: Application::Dns,
            ..at("149.154.167.51", 53, Protocol::Udp)
        };
        assert_eq!(service_of(&clue), "control");
    }

    #[test]
    #[ignore = "a measurement: cargo test --release measure_service -- --ignored --nocapture"]
    fn measure_service_lookup() {
        const ROUNDS: u32 = 1_000_000;
        let catalogue = Catalogue::builtin();
        let clues: Vec<(&str, Clue<'_>)> = vec![
            ("address of nobody", at("203.0.113.77", 443, Protocol::Tcp)),
            ("address of WhatsApp", whatsapp_front()),
            (
                "name of nobody",
                Clue {
                    sni: Some("rr4---sn-n8v7kn7r.example.com"),
                    ..whatsapp_front()
                },
            ),
            (
                "name of Signal",
                Clue {
                    sni: Some("sfu.voip.signal.org"),
                    ..whatsapp_front()
                },
            ),
        ];
        for (what, clue) in clues {
            #[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
            let start = std::time::Instant::now();
            for _ in 0..ROUNDS {
                std::hint::black_box(catalogue.classify(std::hint::black_box(&clue)));
            }
            eprintln!("{what}: {:?} whole", start.elapsed() / ROUNDS);
            #[expect(clippy::disallowed_methods, reason = "a measurement needs a clock")]
            let start = std::time::Instant::now();
            for _ in 0..ROUNDS {
                let clue = std::hint::black_box(&clue);
                std::hint::black_box(catalogue.ranges.find(
                    clue.server,
                    clue.protocol,
                    clue.silent,
                ));
            }
            eprintln!("{what}: {:?} range lookup", start.elapsed() / ROUNDS);
        }
    }
}
