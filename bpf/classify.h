/* SPDX-License-Identifier: GPL-2.0 */
/* The first rule that matches: aggregated bit vectors over multibit tries, drawn in docs/classifier.md.
 *
 * Addresses, ports and protocol each lead to a bit vector of the rules that they satisfy, in the order of precedence.
 * The lowest bit that is set in all of them is the rule. */
#ifndef SXF_CLASSIFY_H
#define SXF_CLASSIFY_H

/* Before the helpers, which use its types. */
#include <linux/bpf.h>

#include "bits.h"
#include "common.h"
#include "extras.h"
#include "monitor.h"
#include "parse.h"
#include "tables.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
        /* Answers of first_rule(), besides a rule's number. */
        RULE_NONE = -1,
        RULE_UNKNOWN = -2,
        ADDRESS_BYTES = 16,
        /* The root decides on two bytes; behind it every step takes one byte at least. */
        ROOT_BYTES = 2,
};

static __always_inline __u32 root_entry(__u32 trie, __u16 high) {
        struct sxf_root *root = bpf_map_lookup_elem(&roots, &trie);

        return root ? root->entries[high] : NO_LINE;
}

static __always_inline __u32 node_entry(__u32 entry, __u8 byte) {
        __u32 index = entry & SXF_INDEX;
        struct sxf_node *node = bpf_map_lookup_elem(&nodes, &index);

        return node ? node->entries[byte] : NO_LINE;
}

/* The bit vector of an IPv4 address: 16 bits, 8 bits, 8 bits. */
static __always_inline __u32 row4(__u32 trie, __be32 wire) {
        __u32 address = bpf_ntohl(wire);
        __u32 entry = root_entry(trie, address >> 16);

        if (entry & SXF_TO_NODE)
                entry = node_entry(entry, address >> 8);
        if (entry & SXF_TO_NODE)
                entry = node_entry(entry, address);
        return entry;
}

/* The bit vector of an IPv6 address: 16 bits, then a byte or more at a step. Global, so that the verifier checks the
 * loop once. `at` is ROOT_BYTES: given as an argument, the verifier takes it for any number, and so one turn of the
 * loop for like another. */
__noinline __u32 row6(__u32 trie, __u64 high, __u64 low, __u32 at) {
        __u32 entry = root_entry(trie, high >> 48);

        for (int step = ROOT_BYTES; step < ADDRESS_BYTES; step++) {
                if (entry & SXF_TO_NODE) {
                        entry = node_entry(entry, (at < 8 ? high : low) >> (56 - at % 8 * 8));
                        at++;
                } else if (entry & SXF_TO_SKIP) {
                        __u32 index = entry & SXF_INDEX;
                        struct sxf_skip *skip = bpf_map_lookup_elem(&skips, &index);

                        if (!skip)
                                return NO_LINE;
                        at = skip->next;
                        entry = (high & skip->mask[0]) == skip->key[0] && (low & skip->mask[1]) == skip->key[1]
                                    ? skip->hit
                                    : skip->miss;
                } else {
                        break;
                }
        }
        return entry;
}

static __always_inline __u64 word64(const __be32 *words) {
        return (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]);
}

static __always_inline __u32 port_row(__u32 table, __u16 port) {
        struct sxf_ports *ports = bpf_map_lookup_elem(&port_rows, &table);

        return ports ? ports->rows[port] : NO_LINE;
}

static __always_inline __u32 port_table(__u8 protocol) {
        return protocol == IPPROTO_TCP ? SXF_TCP_PORT : protocol == IPPROTO_UDP ? SXF_UDP_PORT : SXF_SCTP_PORT;
}

/* In a later fragment no port can be seen, and behind IPv6 extension headers no protocol either. The bit vectors are
 * then of the rules that could match. */
static __always_inline bool is_hidden(const struct packet *packet) {
        return packet->fragment == FRAGMENT_LATER && packet->v6 && is_extension(packet->protocol);
}

/* The bit vector of protocol and destination port. */
static __always_inline __u32 protocol_row(const struct packet *packet, bool ports) {
        __u32 zero = 0;
        struct sxf_protocols *protocols;

        if (ports)
                return port_row(port_table(packet->protocol), packet->port);
        if (is_hidden(packet))
                return SXF_EVERY_RULE;
        protocols = bpf_map_lookup_elem(&protocol_rows, &zero);
        return protocols ? protocols->rows[packet->protocol] : NO_LINE;
}

/* The lowest rule that is set in the four bit vectors of every packet. Global, so that the verifier checks the loops
 * once. */
__noinline int first_rule(__u32 src, __u32 dst, __u32 protocol, __u32 sport) {
        const struct sxf_line *a = line(src), *b = line(dst), *c = line(protocol), *d = line(sport);
        __u64 summary[SXF_SUMMARY_WORDS];

        if (!a || !b || !c || !d)
                return RULE_UNKNOWN;
#pragma unroll
        for (int i = 0; i < SXF_SUMMARY_WORDS; i++)
                summary[i] = a->words[i] & b->words[i] & c->words[i] & d->words[i];
#pragma unroll
        for (int i = 0; i < SXF_SUMMARY_WORDS; i++) {
                __u64 left = summary[i];

                for (int bit = 0; bit < 64 && left; bit++) {
                        __u32 word = i * 64 + lowest_bit(left);
                        __u32 at = (SXF_SUMMARY_WORDS + word) % SXF_LINE_WORDS;
                        __u32 offset = (SXF_SUMMARY_WORDS + word) / SXF_LINE_WORDS;
                        __u64 rules;

                        a = line(src + offset);
                        b = line(dst + offset);
                        c = line(protocol + offset);
                        d = line(sport + offset);
                        if (!a || !b || !c || !d)
                                return RULE_UNKNOWN;
                        rules = a->words[at] & b->words[at] & c->words[at] & d->words[at];
                        if (rules)
                                return word * 64 + lowest_bit(rules);
                        left &= left - 1;
                }
        }
        return RULE_NONE;
}

/* The same for any number of bit vectors; it says nothing where they are lost. */
__noinline int first_rule_of(struct vectors *vectors) {
        if (!vectors)
                return RULE_UNKNOWN;
        for (int i = 0; i < SXF_SUMMARY_WORDS; i++) {
                __u64 left = and_word(vectors, i);

                for (int bit = 0; bit < 64 && left; bit++) {
                        __u32 word = i * 64 + lowest_bit(left);
                        __u64 rules = and_word(vectors, SXF_SUMMARY_WORDS + word);

                        if (rules)
                                return word * 64 + lowest_bit(rules);
                        left &= left - 1;
                }
        }
        return RULE_NONE;
}

/* Whether a rule that was found does match: of a later fragment it may only seem so. */
static __always_inline bool is_sure(const struct packet *packet, const struct sxf_rule *rule) {
        return packet->fragment != FRAGMENT_LATER ||
               !(rule->needs_transport || (!rule->any_protocol && rule->protocol != packet->protocol));
}

/* Replace the default action by what rule `first` says. */
static __always_inline void decide(int first, const struct packet *packet, struct sxf_verdict *verdict) {
        struct sxf_rule *rule;

        if (first == RULE_NONE)
                return;
        rule = bpf_map_lookup_elem(&rules, &first);
        if (rule && is_sure(packet, rule)) {
                *verdict = rule->verdict;
        } else if (rule && rule->verdict.monitored) {
                verdict->slot = SXF_NO_SLOT;
                verdict->monitored = 1;
        } else {
                /* A table without its line is none to decide by either. */
                *verdict = (struct sxf_verdict){.slot = SXF_NO_SLOT, .action = SXF_INSPECT};
        }
}

/* The first rule that is set in `vectors`. */
static __always_inline int look_up(struct vectors *vectors) {
        int first = first_rule_of(vectors);

        return vectors->lost ? RULE_UNKNOWN : first;
}

enum found {
        /* Nothing about the verdict is monitored. */
        FOUND_PLAIN,
        /* Something is, and it was told of, */
        FOUND_TOLD,
        /* or nothing was certain enough to be told. */
        FOUND_UNTOLD,
};

static __always_inline enum found monitored(struct xdp_md *ctx, const struct packet *packet,
                                            const struct sxf_verdict *verdict) {
        return tell(ctx, packet, verdict) ? FOUND_TOLD : FOUND_UNTOLD;
}

/* The bit vectors of a packet. */
static __always_inline struct vectors vectors_of(const struct packet *packet) {
        bool ports = packet->fragment != FRAGMENT_LATER && has_ports(packet->protocol);
        __u32 protocol = protocol_row(packet, ports);
        __u32 sport = ports ? port_row(SXF_SPORT, packet->sport) : SXF_EVERY_RULE;
        __u32 src, dst;

        if (packet->v6) {
                src = row6(SXF_SRC6, word64(packet->src), word64(packet->src + 2), ROOT_BYTES);
                dst = row6(SXF_DST6, word64(packet->dst), word64(packet->dst + 2), ROOT_BYTES);
        } else {
                src = row4(SXF_SRC4, packet->src[0]);
                dst = row4(SXF_DST4, packet->dst[0]);
        }
        struct vectors vectors = {.lines = {src, dst, protocol, sport}, .count = BASE_VECTORS};

        if (config.uses)
                add_extras(packet, &vectors);
        return vectors;
}

/* Whether the rules drop a packet that cannot be decided on: one that it may match does, before any that it certainly
 * matches, or the default action. Its transport header counts as not seen, whatever there is of it. Global, so that the
 * verifier checks it once. */
__noinline int must_drop(struct packet *packet, struct sxf_verdict *verdict) {
        struct sxf_rule *rule;
        int first;

        if (!packet || !verdict)
                return 0;
        packet->fragment = FRAGMENT_LATER;
        struct vectors vectors = vectors_of(packet);

        add_vector(&vectors, config.strict);
        first = look_up(&vectors);
        if (first == RULE_NONE)
                return config.default_verdict.action == SXF_DROP && !config.default_verdict.monitored;
        rule = bpf_map_lookup_elem(&rules, &first);
        if (!rule || rule->verdict.action != SXF_DROP)
                return 0;
        *verdict = rule->verdict;
        return 1;
}

/* Replace the default action by what the first rule says that matches and is enforced. What monitored rules say is only
 * told of. */
static __always_inline enum found find_verdict(struct xdp_md *ctx, const struct packet *packet,
                                               struct sxf_verdict *verdict) {
        struct vectors vectors = vectors_of(packet);
        const __u32 *lines = vectors.lines;
        enum found found = FOUND_PLAIN;

        decide(config.uses ? look_up(&vectors) : first_rule(lines[0], lines[1], lines[2], lines[3]), packet, verdict);
        if (verdict->monitored && verdict->slot != SXF_DEFAULT_SLOT) {
                found = monitored(ctx, packet, verdict);
                *verdict = config.default_verdict;
                add_vector(&vectors, config.enforced);
                decide(look_up(&vectors), packet, verdict);
        }
        if (verdict->monitored) {
                /* The default action. */
                if (found == FOUND_PLAIN)
                        found = monitored(ctx, packet, verdict);
                verdict->action = SXF_PASS;
        }
        return found;
}

#endif
