//! `flow list`, `show`, `delete`, `blocked` and `unblock`.

use clap::{Subcommand, ValueEnum};
use secuxflow::{
    plane::{Count, FlowRecord, FlowState, SourceRecord},
    rules::Protocol,
};
use serde::{Deserialize, Serialize};

use super::{
    ask::segment,
    exit::Failure,
    output::{Output, Show},
    table::{remaining, table},
};
use crate::{
    api::{FlowOrder, FlowQuery, Flows, Removed, Sources},
    client::Client,
};

/// `secuxflow flow`.
#[derive(Debug, Subcommand)]
pub(crate) enum FlowCommand {
    /// List flows that workers remember, and those that the kernel deals with by itself.
    List {
        /// Only flows with an end in this address or prefix.
        #[arg(long, value_name = "CIDR")]
        address: Option<String>,
        /// Only flows with this port at an end.
        #[arg(long)]
        port: Option<u16>,
        /// Only flows of this protocol: tcp, udp, icmp, ... or a number.
        #[arg(long)]
        proto: Option<String>,
        /// Only flows that are dealt with so.
        #[arg(long, value_enum)]
        state: Option<StateName>,
        /// What comes first.
        #[arg(long, value_enum, default_value_t = FlowOrder::Packets)]
        sort: FlowOrder,
        /// Most flows to show.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Show one flow.
    Show {
        /// Its number, as in `flow list` and in the field flow_id of alerts.
        id: String,
    },
    /// Forget a flow, or all: what a chain said of it counts no more, its next packet is inspected.
    #[command(arg_required_else_help = true)]
    Delete {
        /// Its number.
        #[arg(conflicts_with = "all")]
        id: Option<String>,
        /// All flows.
        #[arg(long)]
        all: bool,
    },
    /// List sources that modules have blocked.
    Blocked,
    /// Let a source in again, or all.
    #[command(arg_required_else_help = true)]
    Unblock {
        /// The address.
        #[arg(conflicts_with = "all")]
        address: Option<String>,
        /// All sources.
        #[arg(long)]
        all: bool,
    },
}

/// How a flow is dealt with.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StateName {
    /// Its packets are shown to its chain.
    Inspected,
    /// They pass.
    Cleared,
    /// They are dropped.
    Condemned,
}

impl From<StateName> for FlowState {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Inspected => Self::Inspected,
            StateName::Cleared => Self::Cleared,
            StateName::Condemned => Self::Condemned,
        }
    }
}

/// Run one of these.
///
/// # Errors
/// The daemon cannot be reached or refuses, or the answer cannot be written.
pub(super) async fn run(client: &Client, command: FlowCommand, out: Output) -> Result<(), Failure> {
    match command {
        FlowCommand::List { address, port, proto, state, sort, limit } => {
            let query = FlowQuery { address, port, proto, state: state.map(Into::into), sort, limit: Some(limit) };
            out.answer(&client.get::<Flows>(&format!("/v1/flows?{}", words(&query))).await?)
        }
        FlowCommand::Show { id } => out.answer(&client.get::<OneFlow>(&format!("/v1/flows/{}", segment(&id))).await?),
        FlowCommand::Delete { id, .. } => remove(client, "/v1/flows", id.as_deref(), out).await,
        FlowCommand::Blocked => out.answer(&client.get::<Sources>("/v1/sources").await?),
        FlowCommand::Unblock { address, .. } => remove(client, "/v1/sources", address.as_deref(), out).await,
    }
}

/// Delete what `path` holds under `name`, or all of it.
async fn remove(client: &Client, path: &str, name: Option<&str>, out: Output) -> Result<(), Failure> {
    let path = name.map_or_else(|| path.to_owned(), |name| format!("{path}/{}", segment(name)));
    out.answer(&client.delete::<Removed>(&path).await?)
}

/// A query as the part of an address behind the question mark.
fn words(query: &FlowQuery) -> String {
    let fields = serde_json::to_value(query).unwrap_or_default();
    let fields = fields.as_object().into_iter().flatten().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", segment(&value))
    });
    fields.collect::<Vec<_>>().join("&")
}

fn state(state: FlowState) -> &'static str {
    match state {
        FlowState::Inspected => "inspected",
        FlowState::Cleared => "cleared",
        FlowState::Condemned => "condemned",
    }
}

/// An address, and the port where there is one.
fn end(address: std::net::IpAddr, port: u16) -> String {
    if port == 0 { address.to_string() } else { std::net::SocketAddr::new(address, port).to_string() }
}

fn expires(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), remaining)
}

fn row(flow: &FlowRecord) -> [String; 10] {
    [
        flow.flow_id.to_string(),
        Protocol(flow.protocol).to_string(),
        end(flow.src, flow.src_port),
        end(flow.dst, flow.dst_port),
        state(flow.state).to_owned(),
        flow.chain.clone().unwrap_or_else(|| "-".to_owned()),
        flow.inspected.packets.to_string(),
        flow.bypassed.packets.to_string(),
        (flow.inspected.bytes + flow.bypassed.bytes).to_string(),
        expires(flow.expires_in_seconds),
    ]
}

impl Show for Flows {
    fn show(&self) -> String {
        let head = ["ID", "PROTO", "SRC", "DST", "STATE", "CHAIN", "INSPECTED", "BYPASSED", "BYTES", "EXPIRES IN"];
        let mut text = table(head, self.flows.iter().map(row), &["INSPECTED", "BYPASSED", "BYTES"]);
        text += &format!("\n{} shown, {} match, {} known\n", self.flows.len(), self.matching, self.known);
        text
    }
}

/// One flow, in full.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct OneFlow(FlowRecord);

impl Show for OneFlow {
    fn show(&self) -> String {
        let flow = &self.0;
        let count = |Count { packets, bytes }| format!("{packets} packets, {bytes} bytes");
        let ago = |ms: u64| format!("{}.{} s ago", ms / 1000, ms % 1000 / 100);
        let lines = [
            ("flow", flow.flow_id.to_string()),
            ("protocol", Protocol(flow.protocol).to_string()),
            ("from", end(flow.src, flow.src_port)),
            ("to", end(flow.dst, flow.dst_port)),
            ("state", state(flow.state).to_owned()),
            ("expires in", expires(flow.expires_in_seconds)),
            ("rule", flow.rule.map_or_else(|| "the default action".to_owned(), |rule| rule.to_string())),
            ("chain", flow.chain.clone().unwrap_or_else(|| "-".to_owned())),
            ("worker", flow.worker.map_or_else(|| "-".to_owned(), |worker| worker.to_string())),
            ("in kernel", format!("{} of 2 directions", flow.offloaded)),
            ("inspected", count(flow.inspected)),
            ("bypassed", count(flow.bypassed)),
            ("first seen", ago(flow.age_ms)),
            ("last seen", ago(flow.idle_ms)),
        ];
        lines.iter().map(|(name, value)| format!("{name:<11}{value}\n")).collect()
    }
}

impl Show for Sources {
    fn show(&self) -> String {
        let rows = self.sources.iter().map(|SourceRecord { source, count, age_seconds, expires_in_seconds }| {
            [
                source.to_string(),
                count.packets.to_string(),
                count.bytes.to_string(),
                remaining(*age_seconds),
                remaining(*expires_in_seconds),
            ]
        });
        table(["SOURCE", "DROPPED", "BYTES", "BLOCKED FOR", "EXPIRES IN"], rows, &["DROPPED", "BYTES"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::flow;

    #[test]
    fn a_query_is_spelled_as_the_api_takes_it() {
        let query = FlowQuery {
            address: Some("2001:db8::/32".into()),
            port: Some(443),
            proto: Some("tcp".into()),
            state: Some(FlowState::Cleared),
            sort: FlowOrder::Recent,
            limit: Some(7),
        };
        let text = words(&query);
        for field in
            ["address=2001%3Adb8%3A%3A%2F32", "port=443", "proto=tcp", "state=cleared", "sort=recent", "limit=7"]
        {
            assert!(text.split('&').any(|part| part == field), "{text}");
        }
    }

    #[test]
    fn flows_and_sources_are_shown() {
        let flows = Flows { matching: 3, known: 9, flows: vec![flow(5, FlowState::Cleared)] };
        let text = flows.show();
        let line = text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(line, "5 tcp 192.0.2.1:4000 10.0.0.5:80 cleared default 3 3 360 1m 30s");
        assert!(text.ends_with("1 shown, 3 match, 9 known\n"));
        let text = OneFlow(flow(5, FlowState::Cleared)).show();
        assert!(text.contains("in kernel  1 of 2 directions\n") && text.contains("rule       rule-1\n"), "{text}");
        let source = SourceRecord {
            source: [192, 0, 2, 1].into(),
            count: Count { packets: 4, bytes: 240 },
            age_seconds: 5,
            expires_in_seconds: 295,
        };
        let text = Sources { sources: vec![source] }.show();
        let line = text.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(line, "192.0.2.1 4 240 5s 4m 55s");
    }
}
