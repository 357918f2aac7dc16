//! The maps that all generations use.

use std::os::fd::AsFd;

use libbpf_rs::{MapHandle, Object, OpenObject};

use super::{
    BpfError,
    object::{find_map, no_map},
    types::CacheShape,
};

/// Maps that every generation uses.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) programs: MapHandle,
    pub(super) xsks: MapHandle,
    pub(super) ports: MapHandle,
    pub(super) services: MapHandle,
    pub(super) rule_counts: MapHandle,
    pub(super) actions: MapHandle,
    pub(super) events: MapHandle,
    pub(super) samples: MapHandle,
    pub(super) sampled: MapHandle,
    pub(super) flows4: MapHandle,
    pub(super) flows6: MapHandle,
    pub(super) sources: MapHandle,
    pub(super) offload_used: MapHandle,
    pub(super) exits: MapHandle,
    pub(super) cache: MapHandle,
}

impl Shared {
    pub(super) fn of(entry: &Object) -> Result<Self, BpfError> {
        let handle = |name: &str| {
            let map = find_map(entry, name)?;
            MapHandle::try_from(&map).map_err(|error| BpfError::libbpf(format!("map {name}"), &error))
        };
        Ok(Self {
            programs: handle("programs")?,
            xsks: handle("xsks")?,
            ports: handle("ports")?,
            services: handle("services")?,
            rule_counts: handle("rule_counts")?,
            actions: handle("actions")?,
            events: handle("events")?,
            samples: handle("samples")?,
            sampled: handle("sampled")?,
            flows4: handle("flows4")?,
            flows6: handle("flows6")?,
            sources: handle("sources")?,
            offload_used: handle("offload_used")?,
            exits: handle("exits")?,
            cache: handle("cache")?,
        })
    }

    /// Make `generation` use these maps rather than make its own.
    pub(super) fn lend(&self, generation: &mut OpenObject) -> Result<(), BpfError> {
        for mut map in generation.maps_mut() {
            let handle = match map.name().to_str() {
                Some("programs") => &self.programs,
                Some("xsks") => &self.xsks,
                Some("ports") => &self.ports,
                Some("services") => &self.services,
                Some("rule_counts") => &self.rule_counts,
                Some("actions") => &self.actions,
                Some("events") => &self.events,
                Some("samples") => &self.samples,
                Some("sampled") => &self.sampled,
                Some("flows4") => &self.flows4,
                Some("flows6") => &self.flows6,
                Some("sources") => &self.sources,
                Some("offload_used") => &self.offload_used,
                Some("exits") => &self.exits,
                Some("cache") => &self.cache,
                _ => continue,
            };
            map.reuse_fd(handle.as_fd()).map_err(|error| BpfError::libbpf("sharing a map", &error))?;
        }
        Ok(())
    }
}

/// Give each CPU its lines of the cache.
pub(super) fn size_cache(open: &mut OpenObject) -> Result<(), BpfError> {
    let failed = |error| BpfError::libbpf("sizing the cache of verdicts", &error);
    let cpus = libbpf_rs::num_possible_cpus().map_err(failed)?;
    let entries = u32::try_from(cpus).unwrap_or(u32::MAX).saturating_mul(CacheShape::SXF_CACHE_LINES.0);
    let mut cache = open.maps_mut().find(|map| map.name() == "cache").ok_or_else(|| no_map("cache"))?;
    cache.set_max_entries(entries).map_err(failed)
}
