//! Flows and blocked sources: listed, shown and forgotten. Nothing of them is in the state file.

use std::{cmp::Reverse, net::IpAddr};

use ipnet::IpNet;
use secuxflow::plane::FlowRecord;

use super::{Admin, Answer};
use crate::{
    api::{ErrorCode, FlowOrder, FlowQuery, Flows, Sources},
    error::ApiError,
    probe,
};

impl Admin {
    /// The flows that match.
    ///
    /// # Errors
    /// A field of the query is not valid, or a worker or the kernel does not tell.
    pub(crate) fn flows(&self, query: &FlowQuery) -> Answer<Flows> {
        let wanted = Wanted::of(query)?;
        let mut flows = self.ask(|backend| backend.flows())?;
        let known = flows.len();
        flows.retain(|flow| wanted.takes(flow));
        let total = |flow: &FlowRecord| {
            let (a, b) = (flow.inspected, flow.bypassed);
            (a.packets + b.packets, a.bytes + b.bytes)
        };
        // The number makes the order of equals the same each time.
        match query.sort {
            FlowOrder::Packets => flows.sort_unstable_by_key(|flow| (Reverse(total(flow).0), flow.flow_id)),
            FlowOrder::Bytes => flows.sort_unstable_by_key(|flow| (Reverse(total(flow).1), flow.flow_id)),
            FlowOrder::Recent => flows.sort_unstable_by_key(|flow| (flow.idle_ms, flow.flow_id)),
        }
        let matching = flows.len();
        flows.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(Flows { matching, known, flows })
    }

    /// One flow.
    ///
    /// # Errors
    /// There is none of this number, or a worker or the kernel does not tell.
    pub(crate) fn flow(&self, id: &str) -> Answer<FlowRecord> {
        let number = number(id)?;
        let flows = self.ask(|backend| backend.flows())?;
        flows.into_iter().find(|flow| flow.flow_id == number).ok_or_else(|| unknown(id))
    }

    /// Forget one flow: its next packet is inspected.
    ///
    /// # Errors
    /// There is none of this number, or a worker or the kernel does not take it.
    pub(crate) fn delete_flow(&self, id: &str) -> Answer<usize> {
        let number = number(id)?;
        if self.ask(|backend| backend.forget_flow(number))? { Ok(1) } else { Err(unknown(id)) }
    }

    /// Forget all flows; how many there were.
    ///
    /// # Errors
    /// A worker or the kernel does not take it.
    pub(crate) fn delete_flows(&self) -> Answer<usize> {
        self.ask(|backend| backend.forget_flows())
    }

    /// Sources that modules blocked.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(crate) fn sources(&self) -> Answer<Sources> {
        let mut sources = self.ask(|backend| backend.blocked_sources())?;
        sources.sort_unstable_by_key(|blocked| blocked.source);
        Ok(Sources { sources })
    }

    /// Let a source in again, or all; how many were blocked.
    ///
    /// # Errors
    /// It is no address, or not blocked, or the kernel does not take it.
    pub(crate) fn unblock(&self, source: Option<&str>) -> Answer<usize> {
        let refuse = |text| ApiError::field(ErrorCode::Invalid, "source", format!("'{text}' is no address"));
        let address = source.map(|text| text.parse::<IpAddr>().map_err(|_| refuse(text))).transpose()?;
        match (self.ask(|backend| backend.unblock(address))?, address) {
            (0, Some(source)) => Err(ApiError::new(ErrorCode::NotFound, format!("{source} is not blocked"))),
            (removed, _) => Ok(removed),
        }
    }
}

fn number(id: &str) -> Answer<u64> {
    let refuse =
        || ApiError::field(ErrorCode::Invalid, "id", format!("'{id}' is no number; see `secuxflow flow list`"));
    id.parse().map_err(|_| refuse())
}

fn unknown(id: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("there is no flow {id}; see `secuxflow flow list`"))
}

/// A query, checked.
struct Wanted {
    address: Option<IpNet>,
    port: Option<u16>,
    protocol: Option<u8>,
    state: Option<secuxflow::plane::FlowState>,
}

impl Wanted {
    fn of(query: &FlowQuery) -> Answer<Self> {
        let net = |text: &String| {
            let address = text.parse::<IpAddr>().map(IpNet::from);
            let refuse = || ApiError::field(ErrorCode::Invalid, "address", format!("'{text}' is no address or prefix"));
            address.or_else(|_| text.parse()).map_err(|_| refuse())
        };
        Ok(Self {
            address: query.address.as_ref().map(net).transpose()?,
            port: query.port,
            protocol: query.proto.as_deref().map(probe::protocol).transpose()?.map(|protocol| protocol.0),
            state: query.state,
        })
    }

    fn takes(&self, flow: &FlowRecord) -> bool {
        self.address.is_none_or(|net| net.contains(&flow.src) || net.contains(&flow.dst))
            && self.port.is_none_or(|port| flow.src_port == port || flow.dst_port == port)
            && self.protocol.is_none_or(|protocol| flow.protocol == protocol)
            && self.state.is_none_or(|state| flow.state == state)
    }
}
