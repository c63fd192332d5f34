//! Runs one scenario: two network namespaces that live as long as the threads that made them, the path between them, the applications.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::apps::{self, Seen, World};
use crate::path::{self, Outcome, Setup};
use crate::scenario::Scenario;
use crate::tls::Authority;

pub struct Recorded {
    pub scenario: Scenario,
    pub outcome: Outcome,
    pub seen: Vec<Seen>,
}

/// The one device of a namespace besides its loopback.
const DEVICE: &str = "lab0";

/// A namespace without a way out for the calling thread, with one TUN device that carries `addresses`.
///
/// It has no name: the kernel takes it back with the thread, however the program ends.
fn namespace(
    addresses: &[IpAddr],
    hop_limit: u8,
    mtu: u16,
    settings: &[(&str, &str)],
) -> io::Result<SyncDevice> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let device = DeviceBuilder::new().name(DEVICE).mtu(mtu).build_sync()?;
    device.set_nonblocking(true)?;
    let mut batch = String::from("link set lo up\nlink set lab0 up txqueuelen 2000\n");
    for address in addresses {
        let (length, extra) = if address.is_ipv4() {
            (32, "")
        } else {
            (128, " nodad")
        };
        batch += &format!("addr add {address}/{length} dev lab0{extra}\n");
    }
    batch += "route add 0.0.0.0/0 dev lab0\n";
    if addresses.iter().any(IpAddr::is_ipv6) {
        batch += "route add ::/0 dev lab0\n";
    }
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = ip.stdin.take() {
        input.write_all(batch.as_bytes())?;
    }
    if !ip.wait()?.success() {
        return Err(io::Error::other("`ip -batch` did not set up the namespace"));
    }
    let limit = hop_limit.to_string();
    let fixed = [
        ("ipv4/ip_default_ttl", limit.as_str()),
        ("ipv6/conf/all/hop_limit", limit.as_str()),
        ("ipv6/conf/default/hop_limit", limit.as_str()),
        ("ipv6/conf/lab0/hop_limit", limit.as_str()),
        // Both halves of TCP Fast Open, without cookies, for the sockets that ask for it.
        ("ipv4/tcp_fastopen", "1543"),
        ("ipv4/tcp_no_metrics_save", "1"),
    ];
    for (name, value) in fixed.iter().chain(settings) {
        // A kernel without the switch keeps its default; the captures show what it does.
        let _ = std::fs::write(format!("/proc/sys/net/{name}"), value);
    }
    Ok(device)
}

/// Whether this machine lets us run at all; the reason if not.
pub fn possible() -> Result<(), String> {
    std::thread::spawn(|| namespace(&[IpAddr::from([10, 0, 0, 1])], 64, 1500, &[]).map(drop))
        .join()
        .map_err(|_| "the probe thread died".to_string())?
        .map_err(|e| format!("needs root, network namespaces, TUN and iproute2 ({e})"))
}

/// What a run has left in this process or on this machine: threads in namespaces, child processes, our device.
pub fn left_behind() -> Vec<String> {
    let namespace = |path: &str| std::fs::read_link(path).ok();
    let here = namespace("/proc/self/ns/net");
    let mut left = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let folder = thread.path().display().to_string();
        let there = namespace(&format!("{folder}/ns/net"));
        if there.is_some() && there != here {
            left.push(format!("a thread in {there:?}"));
        }
        let children = std::fs::read_to_string(format!("{folder}/children")).unwrap_or_default();
        left.extend(
            children
                .split_whitespace()
                .map(|child| format!("process {child}")),
        );
    }
    let devices = std::fs::read_to_string("/proc/net/dev").unwrap_or_default();
    if devices.contains(&format!("{DEVICE}:")) {
        left.push(format!("interface {DEVICE}"));
    }
    left
}

type Side<T> = std::thread::JoinHandle<Result<T, String>>;

pub fn run(scenario: Scenario) -> Result<Recorded, String> {
    let names: Vec<String> = scenario
        .flows
        .iter()
        .filter_map(|f| f.sni.clone())
        .collect();
    let authority = Authority::new(&names).map_err(|e| format!("certificates: {e}"))?;
    let stop = Arc::new(AtomicBool::new(false));
    let (ready, devices) = mpsc::channel::<(bool, Result<SyncDevice, String>)>();
    let (go_client, client_goes) = mpsc::channel::<Arc<World>>();
    let (go_server, server_goes) = mpsc::channel::<Arc<World>>();

    let mut here: Vec<IpAddr> = scenario
        .flows
        .iter()
        .map(crate::plan::Flow::client_ip)
        .collect();
    here.sort();
    here.dedup();
    let mut there: Vec<IpAddr> = scenario
        .flows
        .iter()
        .filter(|f| f.host_exists)
        .map(|f| f.server.ip())
        .collect();
    there.sort();
    there.dedup();
    let probing: &[(&str, &str)] = if scenario.mtu_probing {
        &[("ipv4/tcp_mtu_probing", "1")]
    } else {
        &[]
    };
    // A client with that hop limit is taken for a Windows one, which asks for no timestamps.
    let mut client_settings = probing.to_vec();
    if scenario.client_hop_limit == 128 {
        client_settings.push(("ipv4/tcp_timestamps", "0"));
    }
    let mtu = scenario.mtu;
    let (client_limit, server_limit) = (scenario.client_hop_limit, scenario.server_hop_limit);

    let ready_client = ready.clone();
    let tail = scenario.tail;
    let client: Side<Vec<Seen>> = std::thread::spawn(move || {
        let device =
            namespace(&here, client_limit, mtu, &client_settings).map_err(|e| e.to_string());
        let failed = device.is_err();
        let _ = ready_client.send((true, device));
        if failed {
            return Ok(Vec::new());
        }
        let world = client_goes.recv().map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(runtime.block_on(apps::clients(world, tail)))
    });
    let stop_server = stop.clone();
    let restarts = scenario.restarts.clone();
    let server: Side<()> = std::thread::spawn(move || {
        let device = namespace(&there, server_limit, 1500, probing).map_err(|e| e.to_string());
        let failed = device.is_err();
        let _ = ready.send((false, device));
        if failed {
            return Ok(());
        }
        let world = server_goes.recv().map_err(|e| e.to_string())?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        runtime.block_on(async {
            tokio::select! {
                r = apps::servers(world, restarts) => r.map_err(|e| format!("server: {e}")),
                () = async { while !stop_server.load(Ordering::Relaxed) { tokio::time::sleep(Duration::from_millis(20)).await; } } => Ok(()),
            }
        })
    });

    let (mut client_device, mut server_device) = (None, None);
    for _ in 0..2 {
        let (is_client, device) = devices.recv().map_err(|e| e.to_string())?;
        *(if is_client {
            &mut client_device
        } else {
            &mut server_device
        }) = Some(device?);
    }
    let (Some(client_device), Some(server_device)) = (client_device, server_device) else {
        return Err("a namespace is missing".into());
    };
    let begin = Instant::now();
    let world = Arc::new(World {
        flows: scenario.flows.clone(),
        authority,
        begin: begin + Duration::from_millis(200),
    });
    go_server.send(world.clone()).map_err(|e| e.to_string())?;
    go_client.send(world).map_err(|e| e.to_string())?;
    let setup = Setup {
        way: scenario.way.clone(),
        rules: scenario.rules.clone(),
        rebinds: scenario.rebinds.clone(),
        seed: scenario.seed,
    };
    // The path runs until the clients are done; a watcher tells it.
    let stop_path = stop.clone();
    let watcher = std::thread::spawn(move || {
        let seen = client
            .join()
            .map_err(|_| "the client side died".to_string());
        stop_path.store(true, Ordering::Relaxed);
        seen
    });
    let outcome = path::run(&client_device, &server_device, setup, begin, &stop);
    let seen = watcher
        .join()
        .map_err(|_| "the watcher died".to_string())???;
    server
        .join()
        .map_err(|_| "the server side died".to_string())??;
    Ok(Recorded {
        scenario,
        outcome,
        seen,
    })
}
