// SPDX-License-Identifier: GPL-2.0
/* One generation: its own rule tables and constants over the shared maps. Parse, find the first rule, count, act.
 *
 * The tables are linear and walked with bpf_loop(), so a generation needs Linux 5.17. */
#include "maps.h"
#include "parse.h"

char LICENSE[] SEC("license") = "GPL";

/* Written before the program is loaded. Not a constant: where one shows that a table is empty, some kernels remove the
 * table's callback and then fail to compile it. */
struct sxf_config config = {.fail_closed = 1};

/* User space shrinks both tables to the rules there are, one entry at least. */
struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, SXF_MAX_RULES);
        __type(key, __u32);
        __type(value, struct sxf_rule4);
} rules4 SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, SXF_MAX_RULES);
        __type(key, __u32);
        __type(value, struct sxf_rule6);
} rules6 SEC(".maps");

/* Carries the types that no map holds into the skeleton; never read. */
struct sxf_types {
        struct sxf_metadata metadata;
        enum sxf_limits limits;
        enum sxf_action action;
        enum sxf_event event;
        enum sxf_magic magic;
};
struct sxf_types *sxf_types __attribute__((unused));

enum match {
        MATCH_NO,
        MATCH_YES,
        /* A later fragment: the rule fits as far as can be seen, the rest was in the first fragment. */
        MATCH_UNKNOWN,
};

struct walk {
        const struct packet *packet;
        struct sxf_verdict verdict;
};

/* Answers with a value of enum match. In a later fragment no port can be seen, and behind IPv6 extension headers no
 * protocol either. Global, so that the verifier checks it once. */
__noinline int match_l4(const struct sxf_l4_match *rule, const struct packet *packet) {
        bool later, hidden;

        if (!rule || !packet)
                return MATCH_NO;
        later = packet->fragment == FRAGMENT_LATER;
        hidden = later && packet->v6 && is_extension(packet->protocol);
        if (!rule->any_protocol && rule->protocol != packet->protocol)
                return hidden ? MATCH_UNKNOWN : MATCH_NO;
        if (!rule->needs_ports)
                return MATCH_YES;
        if (hidden)
                return MATCH_UNKNOWN;
        if (!has_ports(packet->protocol))
                return MATCH_NO;
        if (later)
                return MATCH_UNKNOWN;
        return packet->sport >= rule->sport_first && packet->sport <= rule->sport_last &&
                       packet->port >= rule->port_first && packet->port <= rule->port_last
                   ? MATCH_YES
                   : MATCH_NO;
}

static __always_inline long decide(struct walk *walk, const struct sxf_l4_match *l4,
                                   const struct sxf_verdict *verdict) {
        int match = match_l4(l4, walk->packet);

        if (match == MATCH_NO)
                return 0;
        if (match == MATCH_YES) {
                walk->verdict = *verdict;
        } else {
                walk->verdict = (struct sxf_verdict){.slot = SXF_NO_SLOT, .action = SXF_INSPECT};
        }
        return 1;
}

static long match4(__u32 index, void *context) {
        struct sxf_rule4 *rule = bpf_map_lookup_elem(&rules4, &index);
        struct walk *walk = context;

        if (!rule)
                return 1;
        if ((walk->packet->src[0] & rule->src_mask) != rule->src ||
            (walk->packet->dst[0] & rule->dst_mask) != rule->dst)
                return 0;
        return decide(walk, &rule->l4, &rule->verdict);
}

static long match6(__u32 index, void *context) {
        struct sxf_rule6 *rule = bpf_map_lookup_elem(&rules6, &index);
        struct walk *walk = context;
        __u32 differ = 0;

        if (!rule)
                return 1;
#pragma unroll
        for (int i = 0; i < 4; i++) {
                differ |= (walk->packet->src[i] & rule->src_mask[i]) ^ rule->src[i];
                differ |= (walk->packet->dst[i] & rule->dst_mask[i]) ^ rule->dst[i];
        }
        return differ ? 0 : decide(walk, &rule->l4, &rule->verdict);
}

static __always_inline bool service_up(const struct packet *packet) {
        struct sxf_address address = {};
        struct sxf_service *service;

        if (packet->v6) {
                __builtin_memcpy(address.bytes, packet->dst, sizeof(address.bytes));
        } else {
                address.bytes[10] = 0xff;
                address.bytes[11] = 0xff;
                __builtin_memcpy(address.bytes + 12, packet->dst, 4);
        }
        service = bpf_map_lookup_elem(&services, &address);
        return service && service->up;
}

/* Write the verdict in front of the packet. Without it the worker classifies the packet itself. */
static __always_inline void attach_metadata(struct xdp_md *ctx, const struct sxf_verdict *verdict) {
        struct sxf_metadata *metadata;

        if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*metadata))) {
                count_event(SXF_NO_METADATA);
                return;
        }
        metadata = (void *)(long)ctx->data_meta;
        if ((void *)(metadata + 1) > (void *)(long)ctx->data)
                return;
        metadata->magic = SXF_MAGIC;
        metadata->chain = verdict->chain;
        metadata->rule = verdict->rule;
}

static __always_inline int inspect(struct xdp_md *ctx, const struct packet *packet, const struct sxf_verdict *verdict,
                                   __u64 bytes) {
        __u32 ifindex = ctx->ingress_ifindex;
        __u32 queue = ctx->rx_queue_index;
        struct sxf_port *port;
        __u32 socket;

        if (!service_up(packet)) {
                count_event(SXF_NO_SERVICE);
                return fail(config.fail_closed, bytes);
        }
        port = bpf_map_lookup_elem(&ports, &ifindex);
        if (!port || queue >= SXF_QUEUES)
                return fail(config.fail_closed, bytes);
        socket = port->first_socket + queue;
        /* A redirect to a missing socket takes the fallback without a word: look first, so that it is counted. */
        if (!bpf_map_lookup_elem(&xsks, &socket))
                return fail(config.fail_closed, bytes);
        attach_metadata(ctx, verdict);
        if (bpf_redirect_map(&xsks, socket, config.fail_closed ? XDP_DROP : XDP_PASS) != XDP_REDIRECT)
                return fail(config.fail_closed, bytes);
        count_action(SXF_INSPECT, bytes);
        return XDP_REDIRECT;
}

static __always_inline int act(struct xdp_md *ctx, const struct packet *packet, const struct sxf_verdict *verdict,
                               __u64 bytes) {
        switch (verdict->action) {
        case SXF_PASS:
                count_action(SXF_PASS, bytes);
                return XDP_PASS;
        case SXF_INSPECT:
                return inspect(ctx, packet, verdict, bytes);
        default:
                count_action(SXF_DROP, bytes);
                return XDP_DROP;
        }
}

static __always_inline int classify(struct xdp_md *ctx, const struct packet *packet, __u64 bytes) {
        struct walk walk = {.packet = packet, .verdict = config.default_verdict};

        if (packet->fragment == FRAGMENT_LATER)
                count_event(SXF_LATER_FRAGMENT);
        if (packet->v6)
                bpf_loop(config.rules6, match6, &walk, 0);
        else
                bpf_loop(config.rules4, match4, &walk, 0);
        if (walk.verdict.slot != SXF_NO_SLOT)
                count_rule(walk.verdict.slot, bytes);
        return act(ctx, packet, &walk.verdict, bytes);
}

SEC("xdp")
int sxf_generation(struct xdp_md *ctx) {
        const struct sxf_verdict undecided = {.slot = SXF_NO_SLOT, .action = SXF_INSPECT};
        __u64 bytes = ctx->data_end - ctx->data;
        struct packet packet = {};

        switch (parse(ctx, &packet)) {
        case KIND_IP:
                return classify(ctx, &packet, bytes);
        case KIND_NEIGHBOUR:
                count_event(SXF_NEIGHBOUR);
                break;
        case KIND_NON_IP:
                count_event(SXF_NON_IP);
                break;
        case KIND_UNDECIDABLE:
                count_event(SXF_UNDECIDABLE);
                if (!packet.addressed)
                        return fail(config.fail_closed, bytes);
                return inspect(ctx, &packet, &undecided, bytes);
        }
        count_action(SXF_PASS, bytes);
        return XDP_PASS;
}
