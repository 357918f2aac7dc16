/* SPDX-License-Identifier: GPL-2.0 */
/* What every peer of ours does around its lookup, as the dataplane does: parse with the same parser, count, act. So a
 * difference in cost is one of the lookup. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "parse.h"

enum {
        PEER_PASS,
        PEER_DROP,
        PEER_ACTIONS,
};

struct peer_count {
        __u64 packets;
        __u64 bytes;
};

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, PEER_ACTIONS);
        __type(key, __u32);
        __type(value, struct peer_count);
} actions SEC(".maps");

static __always_inline void count(void *map, __u32 index, __u64 bytes) {
        struct peer_count *count = bpf_map_lookup_elem(map, &index);

        if (!count)
                return;
        count->packets += 1;
        count->bytes += bytes;
}

static __always_inline int act(__u32 action, __u64 bytes) {
        if (action != PEER_PASS) {
                count(&actions, PEER_DROP, bytes);
                return XDP_DROP;
        }
        count(&actions, PEER_PASS, bytes);
        return XDP_PASS;
}

struct key4 {
        __u32 length;
        __be32 address;
};

struct key6 {
        __u32 length;
        __be32 address[4];
};

#define PREFIXES(name, key_type, size)                                                                                 \
        struct {                                                                                                       \
                __uint(type, BPF_MAP_TYPE_LPM_TRIE);                                                                   \
                __uint(map_flags, BPF_F_NO_PREALLOC);                                                                  \
                __uint(max_entries, 1);                                                                                \
                __uint(key_size, sizeof(key_type));                                                                    \
                __uint(value_size, size);                                                                              \
        } name SEC(".maps")

#endif
