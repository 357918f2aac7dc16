// SPDX-License-Identifier: GPL-2.0
/* One generation: its own rule tables and constants over the shared maps. Parse, find the first rule, count, act.
 *
 * The parser's bpf_loop() makes a generation need Linux 5.17. */
#include "cache.h"
#include "classify.h"
#include "flows.h"
#include "maps.h"
#include "parse.h"

char LICENSE[] SEC("license") = "GPL";

/* Carries the types that no map holds into the skeleton; never read. */
struct sxf_types {
        struct sxf_metadata metadata;
        struct sxf_sample sample;
        enum sxf_limits limits;
        enum sxf_action action;
        enum sxf_event event;
        enum sxf_magic magic;
        enum sxf_shape shape;
        enum sxf_entry entry;
        enum sxf_every_rule every_rule;
        enum sxf_trie trie;
        enum sxf_port_table port_table;
        enum sxf_uses uses;
        enum sxf_set_shape set_shape;
        enum sxf_set_family set_family;
        enum sxf_blocklists blocklists;
        enum sxf_offload offload;
        enum sxf_offload_table offload_table;
        enum sxf_flow_verdict flow_verdict;
        struct sxf_entries entries;
        struct sxf_runs runs;
        enum sxf_cache_shape cache_shape;
};
struct sxf_types *sxf_types __attribute__((unused));

static __always_inline bool service_up(const struct packet *packet) {
        struct sxf_address address = {};
        struct sxf_service *service;

        write_address(&address, packet, packet->dst);
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
        metadata->generation = config.generation;
        metadata->slot = verdict->slot;
}

/* Global, so that the verifier checks it once. */
__noinline int inspect(struct xdp_md *ctx, const struct packet *packet, const struct sxf_verdict *verdict) {
        __u64 bytes;
        __u32 ifindex = ctx->ingress_ifindex;
        __u32 queue = ctx->rx_queue_index;
        struct sxf_port *port;
        __u32 socket;

        if (!packet || !verdict)
                return XDP_ABORTED;
        bytes = frame_length(ctx);
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
                return inspect(ctx, packet, verdict);
        default:
                count_action(SXF_DROP, bytes);
                return XDP_DROP;
        }
}

/* Whether a blocklist has the source of a packet whose addresses are known. */
static __always_inline bool is_blocked(struct packet *packet) {
        return source_wanted() && find_source(packet);
}

static __always_inline void tell_blocked(struct xdp_md *ctx, const struct packet *packet) {
        const struct sxf_verdict blocked = {.slot = SXF_BLOCKLIST_SLOT, .action = SXF_DROP};

        tell(ctx, packet, &blocked);
}

/* The verdict of the rules and the blocklists on a packet. True where the next packet with the same fields has the same one,
 * and nothing has to be told of it. */
static __always_inline bool find(struct xdp_md *ctx, struct packet *packet, struct sxf_verdict *verdict, bool *blocked) {
        enum found found;

        *blocked = is_blocked(packet);
        if (*blocked && config.blocklists == SXF_BLOCKLIST_DROPS) {
                *verdict = (struct sxf_verdict){.slot = SXF_NO_SLOT, .action = SXF_DROP};
                return true;
        }
        found = find_verdict(ctx, packet, verdict);
        if (*blocked && found != FOUND_TOLD)
                tell_blocked(ctx, packet);
        return found == FOUND_PLAIN && !*blocked;
}

static __always_inline struct sxf_verdict verdict_of(const struct sxf_found *found) {
        return (struct sxf_verdict){
            .rule = found->rule, .slot = found->slot, .chain = found->chain, .action = found->action};
}

static __always_inline struct sxf_found found_of(const struct sxf_verdict *verdict, bool blocked) {
        return (struct sxf_found){
            .rule = verdict->rule,
            .slot = verdict->slot,
            .chain = verdict->chain,
            .action = verdict->action,
            .blocked = blocked,
            .generation = config.generation,
        };
}

/* `looked` says that no chain has spoken of the packet's flow. */
static __always_inline int classify(struct xdp_md *ctx, struct packet *packet, __u64 bytes, bool looked) {
        struct sxf_verdict verdict = config.default_verdict;
        const struct sxf_found *cached = NULL;
        struct sxf_cached *line = NULL;
        /* Whole, for before Linux 6.3 the verifier takes no word that may not be there, as three of IPv4 are not. */
        struct cache_key key = {};
        bool blocked, sure = true;
        int action;

        if (packet->fragment == FRAGMENT_LATER) {
                count_event(SXF_LATER_FRAGMENT);
        } else if (config.cached) {
                fill_key(&key, packet);
                line = cache_line(&key, packet->v6);
                if (line)
                        cached = packet->v6 ? cached6(line, &key) : cached4(line, &key);
        }
        /* No chain has spoken of flows that the rules pass or drop. */
        if (!looked && (!cached || cached->action == SXF_INSPECT)) {
                action = flow_action(ctx, packet);
                if (action != TO_RULES)
                        return action;
        }
        if (cached) {
                verdict = verdict_of(cached);
                blocked = cached->blocked;
        } else {
                sure = find(ctx, packet, &verdict, &blocked);
                if (sure && line) {
                        struct sxf_found found = found_of(&verdict, blocked);

                        store(line, &key, packet->v6, &found);
                }
        }
        if (blocked)
                count_event(SXF_BLOCKED);
        if (verdict.slot != SXF_NO_SLOT)
                count_rule(verdict.slot, bytes);
        /* What is told of has to be told of again: the flow must not be offloaded. */
        if (!sure || blocked)
                verdict.slot = SXF_NO_SLOT;
        return act(ctx, packet, &verdict, bytes);
}

/* What a chain said of the flow, or a cached verdict, carried out without the parser; for the most frequent packets: plain
 * ones of IPv4, TCP or UDP, at least as long as a TCP header would end. TO_RULES, and nothing done, for all others; `looked` is
 * then whether the flow was looked for. */
static __always_inline int shortcut(struct xdp_md *ctx, bool *looked) {
        /* Such a packet lies in one buffer. */
        __u64 bytes = ctx->data_end - ctx->data;
        const struct sxf_found *found;
        struct sxf_verdict verdict;
        struct packet packet = {};
        struct sxf_cached *line;
        struct cache_key key;
        __u8 tcp_flags;
        int action;

        if (!config.cached || !plain_key(ctx, &key, &tcp_flags))
                return TO_RULES;
        if (config.offload & SXF_OFFLOAD_SOURCES && is_used(SXF_SOURCE_TABLE))
                return TO_RULES;
        line = cache_line(&key, false);
        found = line ? cached4(line, &key) : NULL;
        if (!found || found->action == SXF_INSPECT) {
                plain_packet(&key, tcp_flags, &packet);
                action = flow4_action(ctx, &packet);
                if (action != TO_RULES)
                        return action;
                *looked = true;
        }
        if (!found)
                return TO_RULES;
        verdict = verdict_of(found);
        if (verdict.slot != SXF_NO_SLOT)
                count_rule(verdict.slot, bytes);
        if (found->blocked) {
                count_event(SXF_BLOCKED);
                verdict.slot = SXF_NO_SLOT;
        }
        return act(ctx, &packet, &verdict, bytes);
}

SEC("xdp")
int sxf_generation(struct xdp_md *ctx) {
        /* Of a packet that cannot be decided on. */
        struct sxf_verdict verdict = {.slot = SXF_NO_SLOT, .action = SXF_INSPECT};
        struct packet packet = {};
        enum kind kind;
        __u64 bytes;
        bool looked = false;
        int action = shortcut(ctx, &looked);

        if (action != TO_RULES)
                return action;
        kind = parse(ctx, &packet);
        bytes = frame_length(ctx);
        switch (kind) {
        case KIND_IP:
                if (is_source_blocked(ctx, &packet))
                        return XDP_DROP;
                return classify(ctx, &packet, bytes, looked);
        case KIND_NEIGHBOUR:
                count_event(SXF_NEIGHBOUR);
                break;
        case KIND_NON_IP:
                count_event(SXF_NON_IP);
                break;
        case KIND_UNDECIDABLE:
                count_event(SXF_UNDECIDABLE);
                count_event(packet.why ? packet.why : SXF_TRUNCATED);
                if (!packet.addressed)
                        return fail(config.fail_closed, bytes);
                if (is_source_blocked(ctx, &packet))
                        return XDP_DROP;
                if (is_blocked(&packet)) {
                        count_event(SXF_BLOCKED);
                        if (config.blocklists == SXF_BLOCKLIST_DROPS) {
                                count_action(SXF_DROP, bytes);
                                return XDP_DROP;
                        }
                        tell_blocked(ctx, &packet);
                }
                if (must_drop(&packet, &verdict)) {
                        if (verdict.slot != SXF_NO_SLOT)
                                count_rule(verdict.slot, bytes);
                        count_action(SXF_DROP, bytes);
                        return XDP_DROP;
                }
                return inspect(ctx, &packet, &verdict);
        }
        count_action(SXF_PASS, bytes);
        return XDP_PASS;
}
