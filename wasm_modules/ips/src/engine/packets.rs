//! Rules on single packets.

use super::{Phase, Scene, apps, no_vars, plan::header_matches};
use crate::{
    buffers::{
        dns,
        names::{Buffer, Scope},
        transform::apply,
    },
    detect::{
        bytes::Vars,
        inspect::{Data, inspect},
        prefilter::Prefilter,
    },
    packet::{PacketView, TCP, UDP},
    rule::model::{Absent, Section},
    state::flow::Flow,
};

impl Scene<'_> {
    /// Rules on a packet.
    pub(super) fn packet(&mut self, packet: &PacketView<'_>, flow: &mut Flow, phase: Phase) {
        let side = packet.side();
        let datagram = packet.protocol == UDP && self.plan.apps && !packet.payload.is_empty();
        if datagram {
            apps::detect_datagram(packet, flow);
        }
        if !core::mem::replace(&mut flow.ip_done[side], true) {
            self.addresses(packet, flow);
        }
        self.work.begin(self.plan.rules.len());
        self.packet_candidates(packet, flow);
        for number in self.work.take() {
            if phase == Phase::All || !self.plan.late[number as usize] {
                self.packet_rule(number, packet, flow);
            }
        }
        if phase == Phase::All {
            self.protocol_rules(packet, flow);
        }
        if datagram
            && flow.app.is_some()
            && let Some(message) = dns::parse(packet.payload)
        {
            self.message(&message, packet, flow);
        }
    }

    /// Rules that a packet may match.
    pub(super) fn packet_candidates(&mut self, packet: &PacketView<'_>, flow: &Flow) {
        let (side, work) = (packet.side(), &mut *self.work);
        self.plan.packet.each(packet.src_port, packet.dst_port, |rule| work.add(rule));
        if flow.app.is_some() {
            self.plan.app_packet.iter().for_each(|rule| work.add(*rule));
        }
        if packet.payload.is_empty() {
            return;
        }
        let tcp = packet.protocol == TCP;
        let mut scan = |filter: &Option<Prefilter>| {
            if let Some(filter) = filter {
                let reach = packet.payload.len().min(filter.reach);
                filter.scan(filter.start(), &packet.payload[..reach], |rule, _| work.add(rule));
            }
        };
        scan(&self.plan.payloads[usize::from(!tcp)][side]);
        if tcp && !packet.in_stream {
            scan(&self.plan.streams[side]);
            self.plan.stream[side].iter().for_each(|rule| work.add(*rule));
        }
    }

    pub(super) fn addresses(&mut self, packet: &PacketView<'_>, flow: &mut Flow) {
        let plan = self.plan;
        for &number in &plan.ip_only {
            if header_matches(plan.rule(number), packet, false) {
                self.matched(number, packet, flow, None, false);
            }
        }
    }

    /// Try a rule on a packet alone.
    pub(super) fn packet_rule(&mut self, number: u32, packet: &PacketView<'_>, flow: &mut Flow) {
        let plan = self.plan;
        let rule = plan.rule(number);
        if (rule.app.is_some() && rule.app != flow.app) || !self.fits(rule, packet, flow) {
            return;
        }
        let mut vars = no_vars();
        if rule.sections.iter().all(|section| packet_section(section, packet, &mut vars)) {
            self.matched(number, packet, flow, None, false);
        }
    }

    /// Rules on the protocol alone, once per direction.
    pub(super) fn protocol_rules(&mut self, packet: &PacketView<'_>, flow: &mut Flow) {
        let plan = self.plan;
        let known = flow.app.is_some() || flow.app_failed;
        if !known || core::mem::replace(&mut flow.protocol_done[packet.side()], true) {
            return;
        }
        for &number in &plan.protocol_only {
            if self.fits(plan.rule(number), packet, flow) {
                self.matched(number, packet, flow, None, false);
            }
        }
    }
}

/// Whether a section passes on a packet alone.
pub(super) fn packet_section(section: &Section, packet: &PacketView<'_>, vars: &mut Vars) -> bool {
    let v4 = packet.is_v4();
    let bytes = match section.buffer {
        Buffer::Payload => packet.payload,
        Buffer::Ipv4Hdr if v4 => packet.ip_header(),
        Buffer::Ipv6Hdr if !v4 => packet.ip_header(),
        Buffer::TcpHdr if packet.protocol == TCP => packet.l4_header(),
        Buffer::UdpHdr if packet.protocol == UDP => packet.l4_header(),
        Buffer::Icmpv4Hdr if packet.protocol == 1 => &packet.l4[..packet.l4.len().min(8)],
        Buffer::Icmpv6Hdr if packet.protocol == 58 => &packet.l4[..packet.l4.len().min(8)],
        _ => &[],
    };
    if bytes.is_empty() {
        return section.absent != Absent::No && section.buffer.scope() == Scope::Packet;
    }
    if section.absent == Absent::Only {
        return false;
    }
    inspect(&section.tests, Data { bytes: &apply(&section.transforms, bytes), before: 0, ended: true }, vars)
}
