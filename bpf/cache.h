/* SPDX-License-Identifier: GPL-2.0 */
/* The exact-match cache: what a generation found for a packet, for the next packet with the same fields. Drawn in
 * docs/classifier.md. Each CPU has entries of its own, so that none is read while another CPU writes it. */
#ifndef SXF_CACHE_H
#define SXF_CACHE_H

/* Before the helpers, which use its types. */
#include <linux/bpf.h>

#include "common.h"
#include "maps.h"
#include "parse.h"
#include "tables.h"
#include <bpf/bpf_helpers.h>

enum {
        CACHE_BITS = 12,
        /* Fields behind ports and protocol in the last word of a key. */
        CACHE_FLAGS_AT = 8,
        CACHE_VLAN_AT = 16,
        CACHE_V6_AT = 31,
};
_Static_assert(1 << CACHE_BITS == SXF_CACHE_ENTRIES, "the hash has as many values as there are entries");

/* All that a verdict may depend on. An IPv4 packet has its addresses in the first word and leaves three as they are. */
struct cache_key {
        __u64 words[SXF_KEY_WORDS];
};

static __always_inline __u64 two_words(const __be32 *words) {
        __u64 both;

        __builtin_memcpy(&both, words, sizeof(both));
        return both;
}

static __always_inline void fill_key(struct cache_key *key, const struct packet *packet) {
        __u32 fields = packet->protocol | (__u32)packet->vlan << CACHE_VLAN_AT | (__u32)packet->v6 << CACHE_V6_AT;

        /* Else the packets of one connection would have several entries. */
        if (config.uses & SXF_USES_TCP_FLAGS)
                fields |= (__u32)packet->tcp_flags << CACHE_FLAGS_AT;
        key->words[0] = (__u64)packet->sport << 48 | (__u64)packet->port << 32 | fields;
        if (packet->v6) {
                key->words[1] = two_words(packet->src);
                key->words[2] = two_words(packet->src + 2);
                key->words[3] = two_words(packet->dst);
                key->words[4] = two_words(packet->dst + 2);
        } else {
                key->words[1] = (__u64)packet->src[0] << 32 | packet->dst[0];
        }
}

/* Multiplicative, by odd numbers that are as good as random: the high bits depend on all of the words. */
static __always_inline __u32 cache_hash(const struct cache_key *key, bool v6) {
        __u64 hash = (key->words[0] ^ key->words[1] * 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;

        if (v6)
                hash ^= (key->words[2] * 0x94d049bb133111ebULL ^ key->words[3]) * 0xd6e8feb86659fd93ULL ^
                        key->words[4] * 0xa0761d6478bd642fULL;
        hash ^= hash >> 32;
        return hash * 0xe7037ed1a0b428dbULL >> (64 - CACHE_BITS);
}

/* Where the verdict of a packet is, or will be. Fills `key`. NULL where there is no cache. */
static __always_inline struct sxf_cached *cache_entry(const struct packet *packet, struct cache_key *key) {
        __u32 index;

        if (!config.cached)
                return NULL;
        fill_key(key, packet);
        index = bpf_get_smp_processor_id() * SXF_CACHE_ENTRIES + cache_hash(key, packet->v6);
        return bpf_map_lookup_elem(&cache, &index);
}

static __always_inline bool is_cached(const struct sxf_cached *entry, const struct cache_key *key, bool v6) {
        if (entry->words[0] != key->words[0] || entry->words[1] != key->words[1] ||
            entry->generation != config.generation)
                return false;
        return !v6 || !((entry->words[2] ^ key->words[2]) | (entry->words[3] ^ key->words[3]) |
                        (entry->words[4] ^ key->words[4]));
}

static __always_inline void store(struct sxf_cached *entry, const struct cache_key *key, bool v6,
                                  const struct sxf_verdict *verdict, bool blocked) {
        entry->words[0] = key->words[0];
        entry->words[1] = key->words[1];
        if (v6) {
                entry->words[2] = key->words[2];
                entry->words[3] = key->words[3];
                entry->words[4] = key->words[4];
        }
        entry->verdict = *verdict;
        entry->blocked = blocked;
        entry->generation = config.generation;
}

#endif
