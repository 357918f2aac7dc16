/* SPDX-License-Identifier: GPL-2.0 */
/* Maps that every generation shares. The entry object creates them; a generation is given them before it is loaded. */
#ifndef SXF_MAPS_H
#define SXF_MAPS_H

/* Before the helpers, which use its types. */
#include <linux/bpf.h>

#include "common.h"
#include <bpf/bpf_helpers.h>

struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
} programs SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_XSKMAP);
        __uint(max_entries, SXF_SOCKETS);
        __type(key, __u32);
        __type(value, __u32);
} xsks SEC(".maps");

/* By ifindex. */
struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, SXF_INTERFACES);
        __type(key, __u32);
        __type(value, struct sxf_port);
} ports SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, SXF_SERVICES);
        __type(key, struct sxf_address);
        __type(value, struct sxf_service);
} services SEC(".maps");

/* By CPU, then by slot. One array rather than one for each CPU, which is looked up by way of a table of pointers: with
 * many rules that is a cache miss more. User space sizes it to the CPUs, and reads it through a mapping. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, SXF_COUNT_STRIDE);
        __type(key, __u32);
        __type(value, struct sxf_count);
} rule_counts SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, SXF_ACTIONS);
        __type(key, __u32);
        __type(value, struct sxf_count);
} actions SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, SXF_EVENTS);
        __type(key, __u32);
        __type(value, __u64);
} events SEC(".maps");

/* What monitor mode let through: struct sxf_sample. */
struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, SXF_SAMPLE_BYTES);
} samples SEC(".maps");

/* When the last sample of a slot was taken, nanoseconds since boot. */
struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, SXF_SLOTS);
        __type(key, __u32);
        __type(value, __u64);
} sampled SEC(".maps");

/* What chains said of flows; the oldest makes room. User space sizes these and sources. */
struct {
        __uint(type, BPF_MAP_TYPE_LRU_HASH);
        __uint(max_entries, SXF_FLOWS);
        __type(key, struct sxf_flow4_key);
        __type(value, struct sxf_flow);
} flows4 SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_LRU_HASH);
        __uint(max_entries, SXF_FLOWS);
        __type(key, struct sxf_flow6_key);
        __type(value, struct sxf_flow);
} flows6 SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_LRU_HASH);
        __uint(max_entries, SXF_SOURCES);
        __type(key, struct sxf_address);
        __type(value, struct sxf_source);
} sources SEC(".maps");

/* By enum sxf_offload_table. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, SXF_OFFLOAD_TABLES);
        __type(key, __u32);
        __type(value, __u32);
} offload_used SEC(".maps");

/* By the index of a service. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, SXF_SERVICES);
        __type(key, __u32);
        __type(value, struct sxf_exit);
} exits SEC(".maps");

/* By CPU, then by hash. User space sizes it to the CPUs. Mappable only because that aligns it to cache lines. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, SXF_CACHE_LINES);
        __type(key, __u32);
        __type(value, struct sxf_cached);
} cache SEC(".maps");

static __always_inline void count_event(__u32 event) {
        __u64 *count = bpf_map_lookup_elem(&events, &event);

        if (count)
                *count += 1;
}

static __always_inline void count_action(__u32 action, __u64 bytes) {
        struct sxf_count *count = bpf_map_lookup_elem(&actions, &action);

        if (!count)
                return;
        count->packets += 1;
        count->bytes += bytes;
}

static __always_inline void count_rule(__u32 slot, __u64 bytes) {
        __u32 index = bpf_get_smp_processor_id() * SXF_COUNT_STRIDE + slot;
        struct sxf_count *count = bpf_map_lookup_elem(&rule_counts, &index);

        if (!count)
                return;
        count->packets += 1;
        count->bytes += bytes;
}

/* What the fail policy does with a packet, counted. */
static __always_inline int fail(__u32 fail_closed, __u64 bytes) {
        count_event(fail_closed ? SXF_FAIL_CLOSED : SXF_FAIL_OPEN);
        count_action(fail_closed ? SXF_DROP : SXF_PASS, bytes);
        return fail_closed ? XDP_DROP : XDP_PASS;
}

#endif
