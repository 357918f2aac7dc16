/* SPDX-License-Identifier: GPL-2.0 */
/* Extras: bit vectors beside the four of every packet, of fields that most rulesets do not use. Where no rule uses any,
 * a packet costs one look at config.uses. */
#ifndef SXF_EXTRAS_H
#define SXF_EXTRAS_H

/* Before the helpers, which use its types. */
#include <linux/bpf.h>

#include "common.h"
#include "parse.h"
#include "sets.h"
#include "tables.h"
#include <bpf/bpf_helpers.h>

enum {
        /* Source, destination, protocol and port, source port. */
        BASE_VECTORS = 4,
        /* And VLAN, TCP flags, sets of the source and of the destination, enforced rules. */
        MAX_VECTORS = 9,
};

/* Any number of bit vectors, each by its first line. */
struct vectors {
        __u32 lines[MAX_VECTORS];
        __u16 count;
        /* A line was missing: what was found is none to decide by. */
        __u16 lost;
};

static __always_inline void add_vector(struct vectors *vectors, __u32 first_line) {
        if (vectors->count < MAX_VECTORS)
                vectors->lines[vectors->count++] = first_line;
        else
                vectors->lost = 1;
}

static __always_inline __u32 vlan_row(__u16 vlan) {
        __u32 zero = 0;
        struct sxf_vlans *vlans = bpf_map_lookup_elem(&vlan_rows, &zero);

        return vlans ? vlans->rows[vlan % SXF_VLANS] : NO_LINE;
}

static __always_inline __u32 tcp_flags_row(__u8 flags) {
        __u32 zero = 0;
        struct sxf_tcp_flags *table = bpf_map_lookup_elem(&tcp_flag_rows, &zero);

        return table ? table->rows[flags] : NO_LINE;
}

/* Add the vectors of the fields that the rules use. Global, as are those below, so that the verifier checks it once. */
__noinline int add_extras(const struct packet *packet, struct vectors *vectors) {
        if (!packet || !vectors)
                return 0;
        if (config.uses & SXF_USES_VLAN)
                add_vector(vectors, vlan_row(packet->vlan));
        /* Rules with flags are of TCP: the vector of protocol and port rules them out for other packets. */
        if (config.uses & SXF_USES_TCP_FLAGS && packet->protocol == IPPROTO_TCP && packet->fragment != FRAGMENT_LATER)
                add_vector(vectors, tcp_flags_row(packet->tcp_flags));
        if (config.uses & SXF_USES_SRC_SETS)
                add_vector(vectors, packet->src_set_row);
        if (config.uses & SXF_USES_DST_SETS)
                add_vector(vectors, dst_set_row(packet));
        return 0;
}

/* The AND of word `at` of all vectors. */
__noinline __u64 and_word(struct vectors *vectors, __u32 at) {
        __u64 word = ~0ULL;

        if (!vectors)
                return 0;
#pragma unroll
        for (int i = 0; i < MAX_VECTORS; i++) {
                const struct sxf_line *found;

                if (i >= vectors->count)
                        break;
                found = line(vectors->lines[i] + at / SXF_LINE_WORDS);
                if (!found) {
                        vectors->lost = 1;
                        return 0;
                }
                word &= found->words[at % SXF_LINE_WORDS];
        }
        return word;
}

#endif
