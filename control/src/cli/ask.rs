//! Commands that ask the daemon, and those beside them that work on files.

use std::path::PathBuf;

use serde_json::json;

use super::{
    alerts_show::{self, Probed},
    args::{AlertCommand, ClientCommand, InspectFlags, RuleCommand, RuleFlags, ServiceCommand},
    chains,
    exit::Failure,
    flows, modules,
    output::Output,
    ruleset,
    services_show::ServiceAdded,
    sets,
};
use crate::{
    api::{Alerts, Inspect, Removed, RuleAdded, Rules, Services, Status},
    client::Client,
};

/// Ask the daemon behind `socket`.
///
/// # Errors
/// The daemon cannot be reached or refuses, or the answer cannot be written.
pub(super) fn run(socket: PathBuf, command: ClientCommand, out: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(ask(&Client::new(socket), command, *out))
}

async fn ask(client: &Client, command: ClientCommand, out: Output) -> Result<(), Failure> {
    match command {
        ClientCommand::Status => out.answer(&client.get::<Status>("/v1/status").await?),
        ClientCommand::Module(command) => modules::run(client, command, out).await,
        ClientCommand::Chain(command) => chains::run(client, command, out).await,
        ClientCommand::Inspect(flags) => inspect(client, *flags, out).await,
        ClientCommand::Rule(command) => rule(client, command, out).await,
        ClientCommand::Set(command) => sets::run(client, command, out).await,
        ClientCommand::Flow(command) => flows::run(client, command, out).await,
        ClientCommand::Service(command) => service(client, command, out).await,
        ClientCommand::Alert(AlertCommand::List { limit }) => {
            out.answer(&client.get::<Alerts>(&format!("/v1/alerts?limit={limit}")).await?)
        }
        ClientCommand::Alert(AlertCommand::Follow) => {
            tokio::select! {
                done = follow(client, out) => done,
                _ = tokio::signal::ctrl_c() => Ok(()),
            }
        }
    }
}

async fn rule(client: &Client, command: RuleCommand, out: Output) -> Result<(), Failure> {
    match command {
        RuleCommand::Add(flags) => {
            let added: RuleAdded = client.post("/v1/rules", &rule_body(&flags)).await?;
            for warning in &added.warnings {
                out.warn(warning);
            }
            out.answer(&added)
        }
        RuleCommand::List => out.answer(&client.get::<Rules>("/v1/rules").await?),
        RuleCommand::Delete { id } => {
            out.answer(&client.delete::<Removed>(&format!("/v1/rules/{}", segment(&id))).await?)
        }
        RuleCommand::Apply(flags) => ruleset::apply(client, flags, out).await,
        RuleCommand::Export { format } => ruleset::export(client, format, out).await,
        RuleCommand::Check(flags) => ruleset::check(&flags, out),
        RuleCommand::Explain(flags) => ruleset::explain(client, *flags, out).await,
        RuleCommand::Import(flags) => ruleset::import(&flags, out),
        RuleCommand::Clear => out.answer(&client.delete::<Removed>("/v1/rules").await?),
    }
}

/// The flags as the API spells them; the daemon checks them.
fn rule_body(flags: &RuleFlags) -> serde_json::Value {
    let text = |value: &Option<String>| value.clone().map(serde_json::Value::from);
    let fields = [
        ("id", text(&flags.id)),
        ("src", text(&flags.src)),
        ("dst", text(&flags.dst)),
        ("port", text(&flags.port)),
        ("sport", text(&flags.sport)),
        ("proto", text(&flags.proto)),
        ("tcp_flags", text(&flags.tcp_flags)),
        ("vlan", text(&flags.vlan)),
        ("action", Some(flags.action.clone().into())),
        ("chain", text(&flags.chain)),
        ("priority", flags.priority.map(Into::into)),
        ("comment", text(&flags.comment)),
        ("ttl", text(&flags.ttl)),
        ("expires", text(&flags.expires)),
        ("monitor", flags.monitor.then_some(true.into())),
        ("enabled", flags.disabled.then_some(false.into())),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

async fn service(client: &Client, command: ServiceCommand, out: Output) -> Result<(), Failure> {
    match command {
        ServiceCommand::Add { name, ip, dev, mac } => {
            let mut body = json!({"name": name, "ip": ip, "dev": dev});
            if let Some(mac) = mac {
                body["mac"] = mac.into();
            }
            out.answer(&client.post::<ServiceAdded>("/v1/services", &body).await?)
        }
        ServiceCommand::List => out.answer(&client.get::<Services>("/v1/services").await?),
        ServiceCommand::Delete { name } => {
            out.answer(&client.delete::<Removed>(&format!("/v1/services/{}", segment(&name))).await?)
        }
    }
}

async fn inspect(client: &Client, flags: InspectFlags, out: Output) -> Result<(), Failure> {
    let InspectFlags { ip, dst, sport, port, proto, payload, capture: _ } = flags;
    // The command line is refused without them, unless it names a capture.
    let (ip, proto) = (ip.unwrap_or_default(), proto.unwrap_or_default());
    let request = Inspect { ip, dst, sport, port, proto, payload };
    out.answer(&client.post::<Probed>("/v1/inspect", &request).await?)
}

async fn follow(client: &Client, out: Output) -> Result<(), Failure> {
    let mut lines = client.stream("/v1/alerts/stream").await?;
    while let Some(mut line) = lines.next().await? {
        if !out.json() {
            line = alerts_show::alert_line(&line);
        }
        line.push('\n');
        out.text(&line)?;
    }
    Err(Failure::StreamEnded)
}

/// `text` as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
