//! What may be typed. Options follow tcpdump and tshark where they have one.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use dpiscope::detect::Level;
use dpiscope::facts::Vantage;
use dpiscope::pipeline::{Scope, Settings};

/// Tells from a packet capture whether somebody on the path reset, silenced or slowed a messenger, with the packets that show it.
///
/// Nothing is sent and no name is resolved: dpiscope only reads.
#[derive(Debug, Parser)]
#[command(
    name = "dpiscope",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 ran to the end, whatever was found; 1 --exit-code was met or check found a difference; 2 usage or unreadable input; \
                  3 partial result (damaged capture, lost packets, a limit); 130, 143 interrupted."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read captures and report, service by service, what interfered and on what evidence
    Analyze(AnalyzeArgs),
    /// Listen on interfaces and say what interferes while it happens
    Live(LiveArgs),
    /// Hold captures against their expectation files (NAME.expect.toml beside NAME.pcap)
    Check(CheckArgs),
    /// Analyze a small capture that is built into the program
    Demo(DemoArgs),
    /// Show the service catalogue: names, ports, address ranges, signatures, their date
    Services(ServicesArgs),
    /// Say what an evidence rule measures, its limit and its source; all of them without a name
    Explain(ExplainArgs),
    /// List the interfaces that can be captured on
    Interfaces,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff)
    Man,
}

#[derive(Args, Debug)]
pub(crate) struct AnalyzeArgs {
    /// Captures (pcap or pcapng, also inside gzip, zstd, lz4 or xz); '-' is standard input. Several are one run in time order
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// The same, as tcpdump and tshark have it
    #[arg(short = 'r', value_name = "FILE", action = clap::ArgAction::Append)]
    pub(crate) read: Vec<PathBuf>,

    /// Read only packets that this capture filter lets pass (pcap-filter(7))
    #[arg(short = 'f', value_name = "BPF")]
    pub(crate) filter: Option<String>,

    /// Also save the packets of flows with findings (of those that the report shows); those that evidence cites have comments. Reads the captures twice
    #[arg(short = 'w', value_name = "EVIDENCE.pcapng")]
    pub(crate) write: Option<PathBuf>,

    /// Stop after this many packets
    #[arg(short = 'c', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Look at no more than this many bytes of each packet; 0 is all [default: 0]
    #[arg(short = 's', value_name = "SNAPLEN")]
    pub(crate) snap_length: Option<u32>,

    /// More on stderr: what was read and how fast
    #[arg(short = 'v')]
    pub(crate) verbose: bool,

    /// Do not show progress
    #[arg(long)]
    pub(crate) no_progress: bool,

    /// Do not give up privileges, files and sockets before reading: to debug. `-v` says what is given up
    #[arg(long)]
    pub(crate) no_sandbox: bool,

    /// Walk through what was found, in a view of services, flows and evidence; `?` shows its keys
    #[arg(long)]
    pub(crate) tui: bool,

    /// SHA-256 of each file in the report
    #[arg(long)]
    pub(crate) hash: bool,

    #[command(flatten)]
    pub(crate) report: ReportArgs,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

#[derive(Args, Debug)]
pub(crate) struct LiveArgs {
    /// Interface to listen on (`dpiscope interfaces` lists them; `any` is all of them); several are one run
    #[arg(short = 'i', value_name = "IFACE", action = clap::ArgAction::Append, required_unless_present = "read")]
    pub(crate) interfaces: Vec<String>,

    /// Rehearse: take the packets of a capture as if they came now, without waiting, and show the events of a live run
    #[arg(short = 'r', value_name = "FILE", action = clap::ArgAction::Append, conflicts_with = "interfaces")]
    pub(crate) read: Vec<PathBuf>,

    /// Take only packets that this capture filter lets pass (pcap-filter(7)); the kernel applies it
    #[arg(short = 'f', value_name = "BPF")]
    pub(crate) filter: Option<String>,

    /// Also save the packets of flows with findings (of those that are shown); those that evidence cites have comments. A packet is written when it leaves the buffer of --evidence-buffer, at the end at the latest
    #[arg(short = 'w', value_name = "EVIDENCE.pcapng")]
    pub(crate) write: Option<PathBuf>,

    /// Memory, in MiB, in which packets wait for a finding; none of them longer than 15 minutes. What has left it before the finding is lost to -w, and counted
    #[arg(long, value_name = "MIB", default_value = "128", requires = "write", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) evidence_buffer: u32,

    /// Stop after this many packets
    #[arg(short = 'c', value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Capture no more than this many bytes of each packet; 0 is all [default: 0]
    #[arg(short = 's', value_name = "SNAPLEN", value_parser = clap::value_parser!(u32).range(..=262_144))]
    pub(crate) snap_length: Option<u32>,

    /// The kernel's buffer for each interface, in KiB [default: 32768]
    #[arg(short = 'B', long = "buffer-size", value_name = "KIB", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(crate) buffer_kib: Option<u32>,

    /// Ask the interfaces for frames that are meant for others, too (a mirror port, a hub)
    #[arg(long)]
    pub(crate) promiscuous: bool,

    /// Do not ask for such frames: the default; taken as tcpdump and tshark take it
    #[arg(short = 'p', conflicts_with = "promiscuous")]
    pub(crate) _not_promiscuous: bool,

    /// Have the kernel hand packets over one by one: sooner by some milliseconds, at a cost for each packet
    #[arg(long)]
    pub(crate) immediate_mode: bool,

    /// Seconds between two tables of services; 0 gives none before the end
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(crate) every: u32,

    /// Begin the file of -o anew (as tshark has it): after `duration:SECONDS`, past `filesize:KB`; `files:N` keeps FILE and N-1 older ones, FILE.1 the youngest
    #[arg(short = 'b', long = "ring-buffer", value_name = "WHEN", action = clap::ArgAction::Append, requires = "output")]
    pub(crate) rotate: Vec<String>,

    /// Watch the run in a view of services, flows and evidence; `?` shows its keys. The report follows at the end
    #[arg(long)]
    pub(crate) tui: bool,

    /// Answer Prometheus at this address (`127.0.0.1:9470`), or at this port of the loopback: GET /metrics
    #[arg(long, value_name = "ADDR")]
    pub(crate) metrics: Option<String>,

    /// Do not give up privileges, files and sockets before listening: to debug, or where an interface goes for good and comes back
    #[arg(long)]
    pub(crate) no_sandbox: bool,

    /// More on stderr: what is listened to, and the state with each table
    #[arg(short = 'v')]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) report: ReportArgs,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// What `analyze` and `demo` share: how the report looks.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// How to write the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,

    /// Write the report to a file instead of stdout
    #[arg(short = 'o', value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Put the flow table in the report
    #[arg(long)]
    pub(crate) flows: bool,

    /// Least level of findings to show [default: likely in text, suspected in json and ndjson]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) min_level: Option<LevelWord>,

    /// Show only these services (words of `dpiscope services`, or `control`)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) service: Vec<String>,

    /// Exit with 1 where a finding reaches this level [likely, if none is given]
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "likely")]
    pub(crate) exit_code: Option<LevelWord>,

    /// No warnings and no progress on stderr
    #[arg(short = 'q')]
    pub(crate) quiet: bool,
}

impl ReportArgs {
    /// Whether the report goes to a file, and leaves standard output to a view.
    pub(crate) fn to_file(&self) -> bool {
        (self.output.as_deref()).is_some_and(|path| path != Path::new("-"))
    }

    /// What a view would not leave on standard output, if it is asked for one of these.
    pub(crate) fn against_view(&self) -> Option<&'static str> {
        match self.format {
            Format::Json if !self.to_file() => Some("--format json"),
            Format::Ndjson if !self.to_file() => Some("--format ndjson"),
            _ => None,
        }
    }
}

/// How the engine runs.
#[derive(Args, Debug)]
pub(crate) struct EngineArgs {
    /// Which flows may yield findings; controls are always measured as the baseline
    #[arg(long, value_name = "SCOPE", default_value = "messengers")]
    pub(crate) scope: ScopeWord,

    /// Where the capture was taken
    #[arg(long, value_name = "WHERE", default_value = "auto")]
    pub(crate) vantage: VantageWord,

    /// A catalogue file that is laid over the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) services: Option<PathBuf>,

    /// Worker threads [default: one a core]; the answer does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Most flows held at once [default: 4000000 in files, 1000000 live]; past it the oldest half-open ones go first, and are counted
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_flows: Option<u64>,
}

impl EngineArgs {
    pub(crate) fn settings(&self, flow_table: bool) -> Settings {
        let standard = Settings::default();
        Settings {
            threads: self.threads.map_or(standard.threads, usize::from),
            max_flows: self.max_flows.map_or(standard.max_flows, |most| {
                usize::try_from(most).unwrap_or(usize::MAX)
            }),
            scope: self.scope.into(),
            vantage: self.vantage.into(),
            flow_table,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Captures, expectation files, or directories that hold them
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<PathBuf>,

    /// Write what is found into the expectation files instead of comparing
    #[arg(long)]
    pub(crate) bless: bool,

    /// A catalogue file that is laid over the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) services: Option<PathBuf>,

    /// Worker threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,

    /// Only captures that differ, and the closing line
    #[arg(short = 'q')]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ServicesArgs {
    /// One service, in full
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Look a catalogue file over and say what is wrong with it, line by line
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    pub(crate) check: Option<PathBuf>,

    /// A catalogue file that is laid over the built-in one
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    pub(crate) services: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// A rule (`rst.ttl_delta`), a mechanism or an innocent cause
    #[arg(value_name = "RULE")]
    pub(crate) name: Option<String>,

    /// All rules in full, as Markdown: the table in docs/detection.md
    #[arg(long, conflicts_with = "name")]
    pub(crate) markdown: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Ndjson,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum LevelWord {
    Suspected,
    Likely,
    Confirmed,
}

impl From<LevelWord> for Level {
    fn from(word: LevelWord) -> Self {
        match word {
            LevelWord::Suspected => Self::Suspected,
            LevelWord::Likely => Self::Likely,
            LevelWord::Confirmed => Self::Confirmed,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ScopeWord {
    Messengers,
    All,
}

impl From<ScopeWord> for Scope {
    fn from(word: ScopeWord) -> Self {
        match word {
            ScopeWord::Messengers => Self::Messengers,
            ScopeWord::All => Self::All,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VantageWord {
    Auto,
    Client,
    Server,
    Path,
}

impl From<VantageWord> for Option<Vantage> {
    fn from(word: VantageWord) -> Self {
        match word {
            VantageWord::Auto => None,
            VantageWord::Client => Some(Vantage::Client),
            VantageWord::Server => Some(Vantage::Server),
            VantageWord::Path => Some(Vantage::Path),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn exit_code_takes_its_level_only_with_an_equals_sign() {
        let parse = |words: &[&str]| {
            let words = ["dpiscope", "analyze"].iter().chain(words);
            match Arguments::try_parse_from(words).expect("arguments").command {
                Command::Analyze(args) => (args.report.exit_code, args.files.len()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            parse(&["--exit-code", "a.pcap"]),
            (Some(LevelWord::Likely), 1)
        );
        assert_eq!(
            parse(&["--exit-code=confirmed", "a.pcap"]),
            (Some(LevelWord::Confirmed), 1)
        );
        assert_eq!(parse(&["a.pcap"]), (None, 1));
    }
}
