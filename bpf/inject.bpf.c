// SPDX-License-Identifier: GPL-2.0
/* Sends packets out of user space's memory, without a socket and without an skb: a worker writes them into its lane, and
 * one BPF_PROG_RUN with live frames runs sxf_inject once for each. Needs Linux 5.18. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#include "common.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

/* Carries the types that no map holds into the skeleton; never read. */
struct sxf_inject_types {
        enum sxf_lane_shape shape;
};
struct sxf_inject_types *sxf_inject_types __attribute__((unused));

/* Device that frames seem to come from. */
const volatile int spare = 0;

/* User space sets the size: one for each worker, and one for probing devices. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(map_flags, BPF_F_MMAPABLE);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct sxf_lane);
} lanes SEC(".maps");

/* Devices that packets may go to, by ifindex. The kernel takes one out that goes away. */
struct {
        __uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
        __uint(max_entries, SXF_SERVICES);
        __type(key, __u32);
        __type(value, __u32);
} devices SEC(".maps");

/* By ifindex; an entry for each of the devices. */
struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, SXF_SERVICES);
        __type(key, __u32);
        __type(value, struct sxf_lane_loss);
} losses SEC(".maps");

/* The lane of the call that this CPU is in. A call stays on its CPU, and nothing else sends on it meanwhile. */
struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
} current SEC(".maps");

static __always_inline void count_loss(struct sxf_lane *lane, __u32 ifindex, __u32 packets, bool refused) {
        struct sxf_lane_loss *loss = bpf_map_lookup_elem(&losses, &ifindex);

        if (refused)
                lane->refused = ifindex;
        if (!loss)
                return;
        __sync_fetch_and_add(&loss->packets, packets);
        if (refused)
                __sync_fetch_and_add(&loss->refusals, 1);
}

/* One run, one packet. */
SEC("xdp")
int sxf_inject(struct xdp_md *ctx) {
        __u32 zero = 0, have = ctx->data_end - ctx->data, number = have - SXF_LANE_CALL;
        struct sxf_lane *lane = bpf_map_lookup_elem(&lanes, &number);
        __u32 at, ifindex, offset, len, *calling;
        volatile struct sxf_lane_slot *slot;
        long action;

        if (!lane)
                return XDP_DROP;
        at = lane->next;
        if (at >= lane->count || at >= SXF_LANE_SLOTS)
                return XDP_DROP;
        lane->next = at + 1;
        if (at == 0) {
                calling = bpf_map_lookup_elem(&current, &zero);
                if (!calling)
                        return XDP_DROP;
                *calling = number;
        }
        slot = &lane->slots[at];
        ifindex = slot->ifindex;
        offset = slot->offset;
        len = slot->len;
        if (len < SXF_LANE_SHORTEST || len > SXF_LANE_LONGEST || offset > SXF_LANE_BYTES - SXF_LANE_LONGEST)
                return XDP_DROP;
        if (bpf_xdp_adjust_tail(ctx, (int)len - (int)have))
                return XDP_DROP;
        if (bpf_xdp_store_bytes(ctx, 0, lane->bytes + offset, len))
                return XDP_DROP;
        action = bpf_redirect_map(&devices, ifindex, XDP_DROP);
        if (action != XDP_REDIRECT)
                count_loss(lane, ifindex, 1, true);
        return action;
}

struct net_device {
        int ifindex;
} __attribute__((preserve_access_index));

/* The kernel's number for a packet that is longer than the device's MTU. */
enum {
        TOO_LONG = -90,
};

/* The lane whose call a frame belongs to that seems to come from `from`; none when it is no frame of ours. */
static __always_inline struct sxf_lane *lane_of(const struct net_device *from) {
        __u32 zero = 0, *calling;

        if (from->ifindex != spare)
                return NULL;
        calling = bpf_map_lookup_elem(&current, &zero);
        return calling ? bpf_map_lookup_elem(&lanes, calling) : NULL;
}

/* Told of every burst that a device took or did not take: no receive queue (kernels before 6.3), or a full one. */
SEC("tp_btf/xdp_devmap_xmit")
int BPF_PROG(sxf_injected, const struct net_device *from, const struct net_device *to, int sent, int drops, int err) {
        struct sxf_lane *lane = lane_of(from);

        (void)ctx;
        if (!lane)
                return 0;
        lane->sent += sent;
        if (drops > 0)
                count_loss(lane, to->ifindex, drops, err < 0);
        return 0;
}

/* Told of every packet that did not get as far as a burst: no receive queue, device down, or packet too long. */
SEC("tp_btf/xdp_redirect_err")
int BPF_PROG(sxf_not_injected, const struct net_device *from, const void *program, const void *to, int err, int map_type,
             __u32 map, __u32 ifindex) {
        struct sxf_lane *lane = lane_of(from);

        (void)ctx, (void)program, (void)to, (void)map_type, (void)map;
        if (lane)
                count_loss(lane, ifindex, 1, err != TOO_LONG);
        return 0;
}
