//! Commands and flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::{chains::ChainCommand, flows::FlowCommand, modules::ModuleCommand, replay::CaptureFlags, sets::SetCommand};
use crate::{
    config::{FailPolicyName, ModeName, Overrides},
    ruleset::{
        Format, SetFile,
        import::{Hook, Source},
    },
};

const EXIT_CODES: &str = "Exit codes:
  0  done
  1  refused by the daemon, or failed
  2  the command line is wrong; or `secuxflow` alone without a default configuration
  3  the daemon cannot be reached
  4  the configuration, a ruleset file, a feed, a module or a key is not valid, or cannot be read
  5  the daemon cannot start (capability, interface, module, socket, state or set file)";

/// Flags of every command come behind a command's own in its help.
const GLOBAL: usize = 100;

/// Inline packet security for containers: XDP rules, AF_XDP workers, WASM inspection in place.
#[derive(Debug, Parser)]
#[command(name = "secuxflow", version, after_help = EXIT_CODES, infer_subcommands = false)]
pub(crate) struct Cli {
    /// Print JSON instead of tables.
    #[arg(long, global = true, display_order = GLOBAL)]
    pub(crate) json: bool,
    /// The daemon's socket [default: /run/secuxflow/secuxflow.sock].
    #[arg(long, global = true, env = "SECUXFLOW_SOCKET", value_name = "PATH", display_order = GLOBAL)]
    pub(crate) socket: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Everything that can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon in the foreground.
    Run(RunFlags),
    #[command(flatten)]
    Client(ClientCommand),
    /// Check a configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a shell's completion script.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Commands that ask the daemon.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Show the daemon, its interfaces, workers, services and modules.
    Status,
    /// Add, list and delete rules; apply, export, check, explain and import whole rulesets.
    #[command(subcommand)]
    Rule(RuleCommand),
    /// Keep named sets of prefixes: for rules, as blocklists, filled by hand or from feeds.
    #[command(subcommand)]
    Set(SetCommand),
    /// Look at flows, and at what modules decided of them; forget it.
    #[command(subcommand)]
    Flow(FlowCommand),
    /// Say where destinations live.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Load, replace and unload modules while traffic runs; check, sign and begin new ones.
    #[command(subcommand)]
    Module(ModuleCommand),
    /// Make, change and delete chains of modules while traffic runs.
    #[command(subcommand)]
    Chain(ChainCommand),
    /// Try a packet without sending one: which rule wins and why, which modules run, what each says. With --pcap, all
    /// packets of a capture, without a daemon.
    Inspect(Box<InspectFlags>),
    /// Show alerts.
    #[command(subcommand)]
    Alert(AlertCommand),
}

/// `secuxflow run`.
#[derive(Debug, Args)]
pub(crate) struct RunFlags {
    /// Configuration file [default: /etc/secuxflow/secuxflow.toml where it exists].
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Interface to filter; may be given more than once.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    interface: Vec<String>,
    /// How frames get from the driver into user space.
    #[arg(long, value_enum)]
    mode: Option<ModeName>,
    /// What happens to traffic that should be inspected and cannot be.
    #[arg(long, value_enum)]
    fail_policy: Option<FailPolicyName>,
    /// Only count and alert what rules, blocklists and the default action would drop.
    #[arg(long)]
    monitor: bool,
    /// Group that may use the socket besides root.
    #[arg(long, value_name = "GROUP")]
    socket_group: Option<String>,
    /// Address of the metrics endpoint, or off.
    #[arg(long, value_name = "ADDR:PORT|off")]
    metrics: Option<String>,
    /// File that rules and services survive a restart in; sets lie in the directory sets beside it.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// File that alerts are appended to, or off.
    #[arg(long, value_name = "FILE|off")]
    alert_file: Option<String>,
    /// Log filter: error, warn, info, debug, trace.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

impl RunFlags {
    /// What these flags put over the file.
    pub(super) fn overrides(&self, socket: Option<PathBuf>) -> Overrides {
        Overrides {
            interfaces: self.interface.clone(),
            mode: self.mode,
            fail_policy: self.fail_policy,
            monitor: self.monitor,
            socket,
            socket_group: self.socket_group.clone(),
            metrics: self.metrics.clone(),
            state: self.state.clone(),
            alert_file: self.alert_file.clone(),
            log: self.log.clone(),
        }
    }
}

/// `secuxflow config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Report every mistake in a configuration file, or what it says.
    Check {
        /// The file [default: /etc/secuxflow/secuxflow.toml].
        file: Option<PathBuf>,
    },
}

/// `secuxflow rule`.
#[derive(Debug, Subcommand)]
pub(crate) enum RuleCommand {
    /// Add a rule and print its id.
    Add(Box<RuleFlags>),
    /// List rules with their counters.
    List,
    /// Delete a rule.
    Delete {
        /// Its id, as in rule-1.
        #[arg(long)]
        id: String,
    },
    /// Delete every rule.
    Clear,
    /// Put the rules of a file in the place of all there are: all or nothing.
    Apply(ApplyFlags),
    /// Print all rules as a file that apply takes.
    Export {
        /// Format of the file [default: toml].
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Check a file of rules without a daemon: every mistake, duplicates, and rules that never match.
    Check(FileFlags),
    /// Tell for a packet which rule decides, and for every rule the field that decided.
    Explain(Box<ExplainFlags>),
    /// Convert another firewall's ruleset into a file of rules; nothing is applied.
    Import(ImportFlags),
}

/// `secuxflow rule apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyFlags {
    /// The file, TOML or JSON; - reads standard input.
    pub(super) file: PathBuf,
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Refuse when the rules are not at this revision.
    #[arg(long, value_name = "N")]
    pub(super) if_revision: Option<u64>,
}

/// `secuxflow rule check`.
#[derive(Debug, Args)]
pub(crate) struct FileFlags {
    /// The file, TOML or JSON; - reads standard input.
    pub(super) file: PathBuf,
    /// Configuration file, to check that chains exist.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Prefixes of a set that rules name, one a line; may be given more than once.
    #[arg(long = "set", value_name = "NAME=FILE")]
    pub(super) sets: Vec<SetFile>,
}

/// `secuxflow rule explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainFlags {
    /// Source address.
    #[arg(long, value_name = "IP")]
    pub(super) src: String,
    /// Destination address.
    #[arg(long, value_name = "IP")]
    pub(super) dst: String,
    /// Source port [default: 40000].
    #[arg(long)]
    pub(super) sport: Option<u32>,
    /// Destination port; needed for protocols that have ports.
    #[arg(long)]
    pub(super) port: Option<u32>,
    /// Protocol: tcp, udp, icmp, ... or a number [default: tcp].
    #[arg(long)]
    pub(super) proto: Option<String>,
    /// TCP flags that are set, as in syn,ack, or none [default: syn].
    #[arg(long, value_name = "FLAGS")]
    pub(super) tcp_flags: Option<String>,
    /// VLAN id of the outermost tag, or none [default: none].
    #[arg(long, value_name = "ID")]
    pub(super) vlan: Option<String>,
    /// Explain the rules of this file instead of the daemon's.
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// With --file: configuration file, for chains and the default action [default action: pass].
    #[arg(long, value_name = "FILE", requires = "file")]
    pub(super) config: Option<PathBuf>,
    /// With --file: prefixes of a set that rules name, one a line; may be given more than once.
    #[arg(long = "set", value_name = "NAME=FILE", requires = "file")]
    pub(super) sets: Vec<SetFile>,
}

/// `secuxflow rule import`.
#[derive(Debug, Args)]
pub(crate) struct ImportFlags {
    /// What wrote the file.
    #[arg(long, value_enum)]
    pub(super) from: Source,
    /// Which chain is taken.
    #[arg(long, value_enum, default_value = "input")]
    pub(super) hook: Hook,
    /// Write what maps even when something does not.
    #[arg(long)]
    pub(super) partial: bool,
    /// Format of the output [default: toml].
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,
    /// The file; - reads standard input.
    pub(super) file: PathBuf,
}

/// `secuxflow rule add`. What is left out matches anything.
#[derive(Debug, Args)]
pub(crate) struct RuleFlags {
    /// Source address, prefix or set, as in 192.168.1.0/24 or @office.
    #[arg(long, value_name = "CIDR|@SET")]
    pub(super) src: Option<String>,
    /// Destination address, prefix or set.
    #[arg(long, value_name = "CIDR|@SET")]
    pub(super) dst: Option<String>,
    /// Destination port, range or list, as in 80,443,8000-8080.
    #[arg(long, value_name = "PORTS")]
    pub(super) port: Option<String>,
    /// Source port, range or list.
    #[arg(long, value_name = "PORTS")]
    pub(super) sport: Option<String>,
    /// Protocol: tcp, udp, icmp, icmpv6, sctp, ..., a number, or any.
    #[arg(long)]
    pub(super) proto: Option<String>,
    /// TCP flags that are set, with ! those that are clear, as in 'syn,!ack'; needs --proto tcp.
    #[arg(long, value_name = "FLAGS")]
    pub(super) tcp_flags: Option<String>,
    /// VLAN id of the outermost tag, 1 to 4094, or none for packets without one.
    #[arg(long, value_name = "ID")]
    pub(super) vlan: Option<String>,
    /// What to do: drop, pass or inspect.
    #[arg(long)]
    pub(super) action: String,
    /// Chain of modules for inspect [default: default].
    #[arg(long)]
    pub(super) chain: Option<String>,
    /// Higher wins [default: 0].
    #[arg(long, allow_negative_numbers = true)]
    pub(super) priority: Option<i32>,
    /// Text for people.
    #[arg(long)]
    pub(super) comment: Option<String>,
    /// How long the rule lives, as in 10m, 1h30m or 7d; then it goes by itself.
    #[arg(long, value_name = "TIME")]
    pub(super) ttl: Option<String>,
    /// When the rule goes by itself, as in 2027-01-31T18:00:00Z.
    #[arg(long, value_name = "TIMESTAMP", conflicts_with = "ttl")]
    pub(super) expires: Option<String>,
    /// Only count and alert what the rule would drop.
    #[arg(long)]
    pub(super) monitor: bool,
    /// Keep the rule, but let it match nothing.
    #[arg(long)]
    pub(super) disabled: bool,
    /// Choose the id; numbers once used are refused.
    #[arg(long)]
    pub(super) id: Option<String>,
}

/// `secuxflow service`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    /// Say where a destination lives.
    Add {
        /// Unique name.
        name: String,
        /// Destination address.
        #[arg(long)]
        ip: String,
        /// Host-side device, usually the container's veth.
        #[arg(long)]
        dev: String,
        /// The container's MAC; found by itself where it is not given.
        #[arg(long)]
        mac: Option<String>,
    },
    /// List services and whether they can be reached.
    List,
    /// Delete a service.
    Delete {
        /// Its name.
        name: String,
    },
}

/// `secuxflow alert`.
#[derive(Debug, Subcommand)]
pub(crate) enum AlertCommand {
    /// List the latest alerts, oldest first.
    List {
        /// Most alerts to show.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show alerts as they come, until Ctrl-C.
    Follow,
}

/// `secuxflow inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectFlags {
    /// Source address.
    #[arg(long, required_unless_present = "pcap")]
    pub(super) ip: Option<String>,
    /// Destination address [default: the first service of the same family].
    #[arg(long)]
    pub(super) dst: Option<String>,
    /// Source port [default: 40000].
    #[arg(long)]
    pub(super) sport: Option<u32>,
    /// Destination port.
    #[arg(long)]
    pub(super) port: Option<u32>,
    /// Protocol: tcp, udp, icmp, ... or a number.
    #[arg(long, required_unless_present = "pcap")]
    pub(super) proto: Option<String>,
    /// Transport payload; \r, \n, \t, \\ and \xNN stand for bytes.
    #[arg(long)]
    pub(super) payload: Option<String>,
    #[command(flatten)]
    pub(super) capture: CaptureFlags,
}
