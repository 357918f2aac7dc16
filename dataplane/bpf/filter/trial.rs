//! The programs run on packets that nobody sent, and looks into them for tests.

#[cfg(test)]
use std::os::fd::AsFd;

#[cfg(test)]
use libbpf_rs::MapCore;
use libbpf_rs::ProgramInput;

use super::Filter;
#[cfg(test)]
use crate::bpf::object::{array_bytes, find_map, program};
use crate::bpf::{BpfError, types::METADATA_LEN};

impl Filter {
    /// Run the programs on `packet` as if queue `queue` of `ifindex` had received it. The answer is the `XDP_*` action
    /// and the packet afterwards, metadata in front of it.
    ///
    /// # Errors
    /// `packet` is shorter than an Ethernet header or longer than a page holds, or there is no such interface or queue.
    pub fn test_run(&self, packet: &[u8], ifindex: u32, queue: u32) -> Result<(u32, Vec<u8>), BpfError> {
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let mut context: [u32; 6] = [0, length, 0, ifindex, queue, 0];
        let mut out = vec![0; packet.len() + METADATA_LEN];
        let input = ProgramInput {
            context_in: Some(bytemuck::bytes_of_mut(&mut context)),
            data_in: Some(packet),
            data_out: Some(&mut out),
            ..Default::default()
        };
        let missing = || BpfError::Object("no program sxf_entry".to_owned());
        let entry = self.entry.progs_mut().find(|program| program.name() == "sxf_entry").ok_or_else(missing)?;
        let output =
            entry.test_run(input).map_err(|error| BpfError::libbpf("running the program on a test packet", &error))?;
        let action = output.return_value;
        let packet = output.data.map_or_else(Vec::new, |data| data.to_vec());
        Ok((action, packet))
    }

    /// Nanoseconds that the programs take for `packet`, the mean of `repeat` runs.
    #[cfg(test)]
    pub(in crate::bpf) fn time(&self, packet: &[u8], repeat: u32) -> u128 {
        let input = ProgramInput { data_in: Some(packet), repeat, ..Default::default() };
        let entry = self.entry.progs_mut().find(|program| program.name() == "sxf_entry").unwrap();
        entry.test_run(input).unwrap().duration.as_nanos()
    }

    /// Instructions that the verifier processed for the live generation.
    #[cfg(test)]
    pub(in crate::bpf) fn verified_instructions(&self) -> u32 {
        let live = self.live.as_ref().unwrap();
        crate::bpf::sys::verified_instructions(program(live, "sxf_generation").unwrap().as_fd()).unwrap()
    }

    /// All entries of the cache of verdicts.
    #[cfg(test)]
    pub(in crate::bpf) fn cache(&self) -> crate::bpf::sys::Mapping {
        let cache = &self.shared.cache;
        crate::bpf::sys::Mapping::new(cache.as_fd(), usize::try_from(array_bytes(cache)).unwrap()).unwrap()
    }

    /// The kernel's number of the map that the live generation looks sets up in.
    #[cfg(test)]
    pub(in crate::bpf) fn set_map(&self) -> u32 {
        find_map(self.live.as_ref().unwrap(), "set_lines").unwrap().info().unwrap().info.id
    }
}
