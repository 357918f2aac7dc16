/* SPDX-License-Identifier: GPL-2.0 */
/* Sets of prefixes: an address leads to its class, which says what the sets that hold it mean to the rules. Drawn in
 * docs/set-tables.md. The tries outlive a generation; the classes are its own. */
#ifndef SXF_SETS_H
#define SXF_SETS_H

/* Before the helpers, which use its types. */
#include <linux/bpf.h>

#include "bits.h"
#include "common.h"
#include "parse.h"
#include "tables.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Both tries, in cache lines: each is entries, a node or a skip. */
TABLE(set_lines, 1, struct sxf_line);
TABLE(classes, 1, struct sxf_class);

enum {
        /* A trie's root decides on two bytes; behind it every step takes one byte at least. */
        SET_ROOT_BYTES = 2,
        SET_ADDRESS_BYTES = 16,
};

static __always_inline void *set_line(__u32 index) {
        return bpf_map_lookup_elem(&set_lines, &index);
}

static __always_inline __u32 set_root(__u32 family, __u16 high) {
        struct sxf_entries *line = set_line(family * SXF_SET_ROOT_LINES + high / SXF_LINE_ENTRIES);

        return line ? line->entries[high % SXF_LINE_ENTRIES] : NO_LINE;
}

/* The entry of the run that the low byte of `address` lies in: as many runs come before it as begin up to there. Global,
 * as are those below, so that the verifier checks it once. */
__noinline __u32 run_entry(__u32 entry, __u64 address) {
        __u32 index = entry & SXF_INDEX;
        struct sxf_runs *node = set_line(index);
        struct sxf_entries *more;
        __u32 word = address / 64 % 4, run;

        if (!node)
                return NO_LINE;
        run = node->before[word] + bits_set(node->begins[word] << (63 - address % 64));
        if (run < SXF_NODE_RUNS)
                return node->entries[run];
        run -= SXF_NODE_RUNS;
        more = set_line(index + 1 + run / SXF_LINE_ENTRIES);
        return more ? more->entries[run % SXF_LINE_ENTRIES] : NO_LINE;
}

/* The class of an IPv4 address: 16 bits, 8 bits, 8 bits. */
__noinline __u32 set_class4(__u32 address) {
        __u32 entry = set_root(SXF_SET_V4, address >> 16);

        if (entry & SXF_TO_NODE)
                entry = run_entry(entry, address >> 8);
        if (entry & SXF_TO_NODE)
                entry = run_entry(entry, address);
        return entry;
}

/* One step of an IPv6 address, whose byte `at` is the next: the entry that follows, and in the high half the byte that a
 * node behind it decides on. */
__noinline __u64 set_step6(__u32 entry, __u64 high, __u64 low, __u32 at) {
        struct sxf_skip *skip;

        if (entry & SXF_TO_NODE)
                return run_entry(entry, (at < 8 ? high : low) >> (56 - at % 8 * 8)) | (__u64)(at + 1) << 32;
        skip = set_line(entry & SXF_INDEX);
        if (!skip)
                return NO_LINE;
        if ((high & skip->mask[0]) == skip->key[0] && (low & skip->mask[1]) == skip->key[1])
                return skip->hit | (__u64)skip->next << 32;
        return skip->miss;
}

/* The class of an IPv6 address: 16 bits, then a byte or more at a step. */
__noinline __u32 set_class6(__u64 high, __u64 low) {
        __u64 entry = set_root(SXF_SET_V6, high >> 48) | (__u64)SET_ROOT_BYTES << 32;

        for (int step = SET_ROOT_BYTES; step < SET_ADDRESS_BYTES; step++) {
                if (!(entry & (SXF_TO_NODE | SXF_TO_SKIP)))
                        break;
                entry = set_step6(entry, high, low, entry >> 32);
        }
        return entry;
}

static __always_inline __u64 set_word(const __be32 *words) {
        return (__u64)bpf_ntohl(words[0]) << 32 | bpf_ntohl(words[1]);
}

static __always_inline const struct sxf_class *class_of(const struct packet *packet, const __be32 *address) {
        __u32 number = packet->v6 ? set_class6(set_word(address), set_word(address + 2))
                                  : set_class4(bpf_ntohl(address[0]));

        return bpf_map_lookup_elem(&classes, &number);
}

/* Whether a blocklist or a rule asks for the source. */
static __always_inline bool source_wanted(void) {
        return config.blocklists != SXF_NO_BLOCKLIST || config.uses & SXF_USES_SRC_SETS;
}

/* Look the source up. The answer is whether it is in a blocklist. */
__noinline int find_source(struct packet *packet) {
        const struct sxf_class *class;

        if (!packet)
                return 0;
        class = class_of(packet, packet->src);
        packet->src_set_row = class ? class->src : NO_LINE;
        return class && class->blocked;
}

/* The bit vector of the rules whose destination set, if they have one, holds the destination. */
static __always_inline __u32 dst_set_row(const struct packet *packet) {
        const struct sxf_class *class = class_of(packet, packet->dst);

        return class ? class->dst : NO_LINE;
}

#endif
