use std::net::IpAddr;

/// A network interface that packets can be captured on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, as `-i` takes it.
    pub name: String,
    /// What the system calls it, where it does.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is running: up, and with a carrier.
    pub running: bool,
    /// Whether it is a loopback.
    pub loopback: bool,
    /// Whether it is a radio.
    pub wireless: bool,
}

/// The interfaces of this machine in libpcap's order; what libpcap says where it may not list them.
pub fn interfaces() -> Result<Vec<Interface>, String> {
    let devices = pcap::Device::list().map_err(|error| error.to_string())?;
    Ok(devices
        .into_iter()
        .map(|device| Interface {
            up: device.flags.is_up(),
            running: device.flags.is_running(),
            loopback: device.flags.is_loopback(),
            wireless: device.flags.is_wireless(),
            name: device.name,
            description: device.desc,
            addresses: device
                .addresses
                .iter()
                .map(|address| address.addr)
                .collect(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_have_names_of_their_own() {
        // where listing is not allowed there is a reason instead
        match interfaces() {
            Ok(list) => {
                let names: std::collections::BTreeSet<&str> = list
                    .iter()
                    .map(|interface| interface.name.as_str())
                    .collect();
                assert_eq!(names.len(), list.len());
                assert!(!names.contains(""));
            }
            Err(reason) => assert!(!reason.is_empty()),
        }
    }
}
