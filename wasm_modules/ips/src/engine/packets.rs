//! Rules on single packets.

use super::{
    Phase, Scene, apps, no_vars,
    plan::{PacketRules, header_matches},
};
use crate::{
    buffers::{
        dns,
        names::{Buffer, Scope},
        transform::apply,
    },
    detect::{
        bytes::Vars,
        inspect::{Data, inspect},
    },
    packet::{PacketView, TCP, UDP},
    rule::model::{Absent, Kind, Section},
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
        self.packet_candidates(&self.plan.early, packet, flow, true);
        if phase == Phase::All {
            let (tcp, work) = (packet.protocol == TCP, &mut *self.work);
            // What is looked for in streams has the patterns of late rules, too.
            let scanned = tcp && !packet.in_stream && !packet.payload.is_empty();
            if scanned {
                if let Some(filter) = &self.plan.streams[side] {
                    filter.scan(packet.payload, |rule| work.add(rule));
                }
                self.plan.stream[side].iter().for_each(|rule| work.add(*rule));
            }
            self.packet_candidates(&self.plan.late, packet, flow, !scanned);
        }
        let candidates = self.work.take();
        candidates.iter().for_each(|number| self.packet_rule(*number, packet, flow));
        self.work.give_back(candidates);
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

    /// Those of `rules` that a packet may match; `scan`: their patterns were not yet looked for.
    pub(super) fn packet_candidates(&mut self, rules: &PacketRules, packet: &PacketView<'_>, flow: &Flow, scan: bool) {
        let work = &mut *self.work;
        rules.plain.each(packet.src_port, packet.dst_port, |rule| work.add(rule));
        if flow.app.is_some() {
            rules.app.iter().for_each(|rule| work.add(*rule));
        }
        let filter = &rules.payloads[usize::from(packet.protocol != TCP)][packet.side()];
        if let Some(filter) = filter
            && scan
        {
            let reach = packet.payload.len().min(filter.reach);
            filter.scan(&packet.payload[..reach], |rule| work.add(rule));
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
            if matches!(rule.kind, Kind::Stream | Kind::PacketStream) && packet.protocol == TCP {
                flow.show(packet, number);
            }
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
        Buffer::Icmpv4Hdr if packet.protocol == 1 => packet.icmp_header(),
        Buffer::Icmpv6Hdr if packet.protocol == 58 => packet.icmp_header(),
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
