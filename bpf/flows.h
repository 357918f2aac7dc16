/* SPDX-License-Identifier: GPL-2.0 */
/* Offload: flows that a chain cleared or condemned, and sources that a module blocked, are dealt with before the rules.
 *
 * An entry stands for what the rules would say of the packet: it counts only in the generation that found its rule, and
 * for packets that have nothing which that rule's match may have rested on beside the key. docs/offload.md. */
#ifndef SXF_FLOWS_H
#define SXF_FLOWS_H

/* Before the helpers, which use its types. */
#include <linux/bpf.h>

#include "common.h"
#include "maps.h"
#include "parse.h"
#include "tables.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
        /* Answer of flow_action(), besides an XDP action. */
        TO_RULES = -1,
        TCP_SYN = 2,
        /* Where TCP and UDP headers have their checksum. */
        TCP_CHECK_AT = 16,
        UDP_CHECK_AT = 6,
        MULTICAST = 1,
        /* One TTL less in a header checksum, RFC 1624: TTL is the high byte of its word. */
        ONE_HOP = 0x0100,
};

static __always_inline bool is_used(__u32 table) {
        __u32 *used = bpf_map_lookup_elem(&offload_used, &table);

        return used && *used;
}

/* Folded sum of 16-bit words. */
static __always_inline __u16 fold(__u64 sum) {
        sum = (sum >> 32) + (sum & 0xffffffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        return sum;
}

/* Whether the transport checksum is only the pseudo-header's, as a local sender leaves it for the network card: the
 * worker completes it. `at` is the transport header, `length` what the IP header says follows it. */
static __always_inline bool is_partial(struct xdp_md *ctx, const struct packet *packet, __u32 at, __u16 length) {
        __u32 field = packet->protocol == IPPROTO_TCP ? TCP_CHECK_AT : UDP_CHECK_AT;
        void *here = (void *)(long)ctx->data + at;
        __u64 sum = bpf_htons(length) + bpf_htons(packet->protocol);
        int words = packet->v6 ? 4 : 1;

        if (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP)
                return false;
        if (here + TCP_CHECK_AT + sizeof(__u16) > (void *)(long)ctx->data_end)
                /* A datagram shorter than a TCP header: let the worker see. */
                return true;
#pragma unroll
        for (int i = 0; i < 4; i++)
                if (i < words)
                        sum += (__u64)packet->src[i] + packet->dst[i];
        return *(__u16 *)(here + field) == fold(sum);
}

static __always_inline bool same_mac(const __u8 *a, const __u8 *b) {
        return *(__u32 *)a == *(__u32 *)b && *(__u16 *)(a + 4) == *(__u16 *)(b + 4);
}

/* The way to the flow's service, where the packet fits through it. */
static __always_inline const struct sxf_exit *exit_of(struct xdp_md *ctx, const struct packet *packet,
                                                      const struct sxf_flow *flow) {
        __u32 service = flow->service;
        const struct sxf_exit *way = bpf_map_lookup_elem(&exits, &service);
        const __be32 *is;

        if (!way || !way->ifindex || frame_length(ctx) > sizeof(struct ethhdr) + way->mtu)
                return NULL;
        if (config.split && !way->split && frame_length(ctx) > ctx->data_end - ctx->data)
                return NULL;
        is = (const __be32 *)&way->address;
        if (packet->v6)
                return is[0] == packet->dst[0] && is[1] == packet->dst[1] && is[2] == packet->dst[2] &&
                                       is[3] == packet->dst[3]
                               ? way
                               : NULL;
        return is[3] == packet->dst[0] && is[2] == bpf_htonl(0xffff) ? way : NULL;
}

/* One hop less, and the service's MAC; as the worker does it. False, and nothing changed, for what the worker has to do. */
static __always_inline bool readdress(struct xdp_md *ctx, const struct packet *packet, const struct sxf_exit *way) {
        void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
        struct ethhdr *eth = data;
        struct ipv6hdr *ip6 = data + sizeof(*eth);
        struct iphdr *ip = data + sizeof(*eth);
        __u32 sum;

        if ((void *)(ip + 1) > end || eth->h_dest[0] & MULTICAST)
                return false;
        if (packet->v6 && (void *)(ip6 + 1) > end)
                return false;
        if (packet->v6 ? is_partial(ctx, packet, sizeof(*eth) + sizeof(*ip6), bpf_ntohs(ip6->payload_len))
                       : is_partial(ctx, packet, sizeof(*eth) + sizeof(*ip), bpf_ntohs(ip->tot_len) - sizeof(*ip)))
                return false;
        if (same_mac(eth->h_dest, way->dst_mac))
                return true;
        if (packet->v6) {
                if (ip6->hop_limit <= 1)
                        return false;
                ip6->hop_limit--;
        } else {
                if (ip->ttl <= 1)
                        return false;
                ip->ttl--;
                sum = ip->check + bpf_htons(ONE_HOP);
                ip->check = sum + (sum >= 0xffff);
        }
        /* Both addresses, the source's behind the destination's in either. */
        ((__u64 *)data)[0] = *(const __u64 *)way->dst_mac;
        ((__u32 *)data)[2] = *(const __u32 *)(way->dst_mac + sizeof(__u64));
        return true;
}

/* The key of a packet, and what is known of its direction. Deletes it when `forget` is set: the answer is then NULL. */
static __always_inline struct sxf_flow *flow4(const struct packet *packet, bool forget) {
        struct sxf_flow4_key key = {
            .src = packet->src[0],
            .dst = packet->dst[0],
            .sport = packet->sport,
            .port = packet->port,
            .protocol = packet->protocol,
            .tcp_flags = config.uses & SXF_USES_TCP_FLAGS ? packet->tcp_flags : 0,
        };

        if (!forget)
                return bpf_map_lookup_elem(&flows4, &key);
        bpf_map_delete_elem(&flows4, &key);
        return NULL;
}

static __always_inline struct sxf_flow *flow6(const struct packet *packet, bool forget) {
        struct sxf_flow6_key key = {
            .sport = packet->sport,
            .port = packet->port,
            .protocol = packet->protocol,
            .tcp_flags = config.uses & SXF_USES_TCP_FLAGS ? packet->tcp_flags : 0,
        };

        __builtin_memcpy(&key.src, packet->src, sizeof(key.src));
        __builtin_memcpy(&key.dst, packet->dst, sizeof(key.dst));
        if (!forget)
                return bpf_map_lookup_elem(&flows6, &key);
        bpf_map_delete_elem(&flows6, &key);
        return NULL;
}

/* What becomes of a packet of a cleared flow: the XDP action, or TO_RULES. */
static __always_inline int let_go(struct xdp_md *ctx, const struct packet *packet, const struct sxf_flow *flow) {
        const struct sxf_exit *way;

        /* A new connection: it is inspected again. */
        if (packet->protocol == IPPROTO_TCP && packet->tcp_flags & TCP_SYN) {
                packet->v6 ? flow6(packet, true) : flow4(packet, true);
                return TO_RULES;
        }
        if (!(config.offload & SXF_OFFLOAD_FORWARD))
                return XDP_PASS;
        way = exit_of(ctx, packet, flow);
        if (!way || !readdress(ctx, packet, way))
                return TO_RULES;
        return bpf_redirect(way->ifindex, 0);
}

static __always_inline void count_flow(struct sxf_flow *flow, int action, __u64 bytes, __u64 now) {
        flow->packets += 1;
        flow->bytes += bytes;
        flow->last = now;
        if (flow->slot != SXF_NO_SLOT)
                count_rule(flow->slot, bytes);
        count_event(action == XDP_DROP ? SXF_CONDEMNED : SXF_CLEARED);
        count_action(action == XDP_PASS ? SXF_PASS : action == XDP_DROP ? SXF_DROP : SXF_FORWARD, bytes);
}

/* The XDP action for a packet of a flow that a chain has spoken on, counted; TO_RULES for every other. Global, as are the
 * two below, so that the verifier checks it once. */
__noinline int take_flow(struct xdp_md *ctx, const struct packet *packet, struct sxf_flow *flow) {
        __u64 now;
        int action;

        if (!packet || !flow || flow->generation != config.generation)
                return TO_RULES;
        now = bpf_ktime_get_coarse_ns();
        if (now >= flow->expires)
                return TO_RULES;
        action = flow->verdict == SXF_FLOW_CONDEMNED ? XDP_DROP : let_go(ctx, packet, flow);
        if (action != TO_RULES)
                count_flow(flow, action, frame_length(ctx), now);
        return action;
}

__noinline int take_offload(struct xdp_md *ctx, const struct packet *packet) {
        struct sxf_flow *flow;

        if (!packet)
                return TO_RULES;
        flow = packet->v6 ? flow6(packet, false) : flow4(packet, false);
        return flow ? take_flow(ctx, packet, flow) : TO_RULES;
}

/* Whether a module has blocked the source, for now. Counts and drops. */
__noinline int drop_source(struct xdp_md *ctx, const struct packet *packet) {
        struct sxf_address address = {};
        struct sxf_source *source;
        __u64 bytes;

        if (!packet)
                return 0;
        write_address(&address, packet, packet->src);
        source = bpf_map_lookup_elem(&sources, &address);
        if (!source || bpf_ktime_get_coarse_ns() >= source->expires)
                return 0;
        bytes = frame_length(ctx);
        source->packets += 1;
        source->bytes += bytes;
        count_event(SXF_SOURCE_BLOCKED);
        count_action(SXF_DROP, bytes);
        return 1;
}

static __always_inline bool is_source_blocked(struct xdp_md *ctx, const struct packet *packet) {
        return config.offload & SXF_OFFLOAD_SOURCES && is_used(SXF_SOURCE_TABLE) && drop_source(ctx, packet);
}

static __always_inline bool flows_wanted(void) {
        return config.offload & SXF_OFFLOAD_FLOWS && is_used(SXF_FLOW_TABLE);
}

/* What a chain decided of the packet's flow before: the XDP action, or TO_RULES. */
static __always_inline int flow_action(struct xdp_md *ctx, const struct packet *packet) {
        return packet->plain && flows_wanted() ? take_offload(ctx, packet) : TO_RULES;
}

/* The same for a plain IPv4 packet. A lookup of one table only is compiled in place, where one of two is a call by its
 * address, which processors are kept from predicting. */
static __always_inline int flow4_action(struct xdp_md *ctx, const struct packet *packet) {
        struct sxf_flow *flow = flows_wanted() ? flow4(packet, false) : NULL;

        return flow ? take_flow(ctx, packet, flow) : TO_RULES;
}

#endif
