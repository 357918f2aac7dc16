/* SPDX-License-Identifier: GPL-2.0 */
/* The first rule that matches: aggregated bit vectors over multibit tries, drawn in docs/classifier.md.
 *
 * Addresses, ports and protocol each lead to a bit vector of the rules that they satisfy, in the order of precedence.
 * The lowest bit that is set in all of them is the rule. */
#ifndef SXF_CLASSIFY_H
#define SXF_CLASSIFY_H

/* Before the helpers, which use its types. */
#include <linux/bpf.h>

#include "common.h"
#include "parse.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* User space maps the tables to fill them, and sizes those with one entry here to the rules there are. */
#define TABLE(name, entries, entry)                                                                                    \
        struct {                                                                                                       \
                __uint(type, BPF_MAP_TYPE_ARRAY);                                                                      \
                __uint(map_flags, BPF_F_MMAPABLE);                                                                     \
                __uint(max_entries, entries);                                                                          \
                __type(key, __u32);                                                                                    \
                __type(value, entry);                                                                                  \
        } name SEC(".maps")

TABLE(roots, SXF_TRIES, struct sxf_root);
TABLE(nodes, 1, struct sxf_node);
TABLE(skips, 1, struct sxf_skip);
TABLE(port_rows, SXF_PORT_TABLES, struct sxf_ports);
TABLE(protocol_rows, 1, struct sxf_protocols);
TABLE(lines, 1, struct sxf_line);
TABLE(rules, 1, struct sxf_rule);

enum {
        /* No table has this line, so that looking it up fails. */
        NO_LINE = SXF_INDEX,
        /* Answers of first_rule(), besides a rule's number. */
        RULE_NONE = -1,
        RULE_UNKNOWN = -2,
        ADDRESS_BYTES = 16,
        /* The root decides on two bytes; behind it every step takes one byte at least. */
        ROOT_BYTES = 2,
};

/* Number of the lowest bit that is set; `word` is not 0. BPF has no instruction for it: a de Bruijn sequence has every
 * six bits once, so that its top bits, shifted by the answer, tell the answer. */
static __always_inline __u32 lowest_bit(__u64 word) {
        static const __u8 numbers[64] = {
            0,  1,  2,  53, 3,  7,  54, 27, 4,  38, 41, 8,  34, 55, 48, 28, 62, 5,  39, 46, 44, 42,
            22, 9,  24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
            23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
        };

        return numbers[(word & -word) * 0x022fdd63cc95386dULL >> 58] & 63;
}

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

static __always_inline const struct sxf_line *line(__u32 index) {
        return bpf_map_lookup_elem(&lines, &index);
}

/* The lowest rule that is set in four bit vectors, each given by its first line. Global, so that the verifier checks
 * the loops once. */
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

/* Replace the default action by what the first rule says that matches. */
static __always_inline void find_verdict(const struct packet *packet, struct sxf_verdict *verdict) {
        bool later = packet->fragment == FRAGMENT_LATER;
        bool ports = !later && has_ports(packet->protocol);
        __u32 sport = ports ? port_row(SXF_SPORT, packet->sport) : SXF_EVERY_RULE;
        struct sxf_rule *rule;
        __u32 src, dst;
        int first;

        if (packet->v6) {
                src = row6(SXF_SRC6, word64(packet->src), word64(packet->src + 2), ROOT_BYTES);
                dst = row6(SXF_DST6, word64(packet->dst), word64(packet->dst + 2), ROOT_BYTES);
        } else {
                src = row4(SXF_SRC4, packet->src[0]);
                dst = row4(SXF_DST4, packet->dst[0]);
        }
        first = first_rule(src, dst, protocol_row(packet, ports), sport);
        if (first == RULE_NONE)
                return;
        rule = bpf_map_lookup_elem(&rules, &first);
        /* A later fragment may only seem to match. And a table without its line is none to decide by. */
        if (!rule || (later && (rule->needs_ports || (!rule->any_protocol && rule->protocol != packet->protocol)))) {
                *verdict = (struct sxf_verdict){.slot = SXF_NO_SLOT, .action = SXF_INSPECT};
                return;
        }
        *verdict = rule->verdict;
}

#endif
