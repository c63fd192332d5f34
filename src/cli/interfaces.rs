//! `interfaces`: where packets can be captured.

use super::{Exit, Failure};

/// Lists them: name, state, addresses, description.
#[cfg(feature = "live")]
pub(crate) fn run() -> Result<Exit, Failure> {
    let interfaces = dpiscope::capture::interfaces()
        .map_err(|reason| Failure::refused(format!("cannot list interfaces: {reason}")))?;
    if interfaces.is_empty() {
        return Err(Failure::refused(
            "no interface can be captured on; capturing needs root or CAP_NET_RAW",
        ));
    }
    super::output::print(|out| {
        for interface in &interfaces {
            let mut words = vec![match (interface.up, interface.running) {
                (true, true) => "running".to_owned(),
                (true, false) => "up".to_owned(),
                (false, _) => "down".to_owned(),
            }];
            if interface.loopback {
                words.push("loopback".to_owned());
            }
            if interface.wireless {
                words.push("wireless".to_owned());
            }
            words.extend(interface.addresses.iter().map(ToString::to_string));
            words.extend(interface.description.clone());
            writeln!(out, "{:<16} {}", interface.name, words.join(", "))?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}

/// Without libpcap there is nobody to ask.
#[cfg(not(feature = "live"))]
pub(crate) fn run() -> Result<Exit, Failure> {
    Err(Failure::refused(
        "this build has no libpcap and reads files only; build with the feature `live`",
    ))
}
