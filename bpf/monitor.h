/* SPDX-License-Identifier: GPL-2.0 */
/* Monitor mode: what would have been dropped is counted, and now and then a sample goes to user space. */
#ifndef SXF_MONITOR_H
#define SXF_MONITOR_H

/* Before the helpers, which use its types. */
#include <linux/bpf.h>

#include "common.h"
#include "maps.h"
#include "parse.h"
#include "tables.h"
#include <bpf/bpf_helpers.h>

enum {
        /* Least time between two samples of a slot on one CPU, nanoseconds. */
        SAMPLE_EVERY = 1000000000,
};

static __always_inline bool sample_due(__u32 slot) {
        __u64 *last = bpf_map_lookup_elem(&sampled, &slot);
        __u64 now = bpf_ktime_get_coarse_ns();

        if (!last || now - *last < SAMPLE_EVERY)
                return false;
        *last = now;
        return true;
}

static __always_inline void take_sample(struct xdp_md *ctx, const struct packet *packet,
                                        const struct sxf_verdict *verdict) {
        struct sxf_sample *sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);

        if (!sample) {
                count_event(SXF_SAMPLE_LOST);
                return;
        }
        *sample = (struct sxf_sample){
            .rule = verdict->rule,
            .slot = verdict->slot,
            .ifindex = ctx->ingress_ifindex,
            .bytes = frame_length(ctx),
            .sport = packet->sport,
            .port = packet->port,
            .protocol = packet->protocol,
            .v6 = packet->v6,
        };
        write_address(&sample->src, packet, packet->src);
        write_address(&sample->dst, packet, packet->dst);
        /* User space looks twice a second by itself. */
        bpf_ringbuf_submit(sample, BPF_RB_NO_WAKEUP);
}

/* Tell of a packet that `verdict` would have dropped; not of a later fragment that it only may have, which has no slot.
 * The answer is whether it was told. Global, so that the verifier checks it once. */
__noinline int tell(struct xdp_md *ctx, const struct packet *packet, const struct sxf_verdict *verdict) {
        if (!packet || !verdict || verdict->slot == SXF_NO_SLOT)
                return 0;
        count_event(SXF_MONITORED);
        /* What is not a rule is counted as what is done. */
        if (verdict->rule)
                count_rule(verdict->slot, frame_length(ctx));
        if (sample_due(verdict->slot))
                take_sample(ctx, packet, verdict);
        return 1;
}

#endif
