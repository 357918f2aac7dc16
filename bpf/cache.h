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
_Static_assert(1 << CACHE_BITS == SXF_CACHE_LINES, "the hash has as many values as there are lines");

/* All that a verdict may depend on. An IPv4 packet has its addresses in the first word and leaves three as they are. */
struct cache_key {
        __u64 words[SXF_KEY_WORDS];
};

static __always_inline __u64 two_words(const __be32 *words) {
        __u64 both;

        __builtin_memcpy(&both, words, sizeof(both));
        return both;
}

/* The first word. `ports` are the source port, then the other one; TCP flags count where a rule looks at them: else the
 * packets of one connection would have several entries. */
static __always_inline __u64 first_word(__u32 ports, __u8 protocol, __u8 tcp_flags, __u16 vlan, bool v6) {
        __u32 fields = protocol | (__u32)vlan << CACHE_VLAN_AT | (__u32)v6 << CACHE_V6_AT;

        if (config.uses & SXF_USES_TCP_FLAGS)
                fields |= (__u32)tcp_flags << CACHE_FLAGS_AT;
        return (__u64)ports << 32 | fields;
}

static __always_inline void fill_key(struct cache_key *key, const struct packet *packet) {
        const __be32 addresses[] = {packet->src[0], packet->dst[0]};
        __u32 ports = (__u32)packet->sport << 16 | packet->port;

        key->words[0] = first_word(ports, packet->protocol, packet->tcp_flags, packet->vlan, packet->v6);
        if (packet->v6) {
                key->words[1] = two_words(packet->src);
                key->words[2] = two_words(packet->src + 2);
                key->words[3] = two_words(packet->dst);
                key->words[4] = two_words(packet->dst + 2);
        } else {
                /* As they follow one another in the header. */
                key->words[1] = two_words(addresses);
        }
}

/* The key without the parser, as parser and fill_key() would make it. False for packets that are not plain, not of IPv4
 * with TCP or UDP, or so short that they want a closer look. */
static __always_inline bool plain_key(struct xdp_md *ctx, struct cache_key *key, __u8 *tcp_flags) {
        void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
        struct iphdr *ip = data + sizeof(struct ethhdr);
        __u8 *transport = (void *)(ip + 1);
        __u16 least = sizeof(*ip) + LEAST_UDP;
        __u8 protocol;

        *tcp_flags = 0;
        /* Whole words: of a packed header every byte would be read by itself. */
        if ((void *)transport + LEAST_TCP > end ||
            *(__be16 *)(data + offsetof(struct ethhdr, h_proto)) != bpf_htons(ETH_P_IP) || *(__u8 *)ip != PLAIN_IPV4 ||
            ip->frag_off & bpf_htons(FRAGMENTED))
                return false;
        /* The line in front, asked for together with this one: a cleared packet gets other addresses. */
        if (config.offload & SXF_OFFLOAD_FORWARD)
                (void)*(volatile __u8 *)data;
        protocol = ip->protocol;
        if (protocol == IPPROTO_TCP) {
                least = sizeof(*ip) + LEAST_TCP;
                *tcp_flags = transport[TCP_FLAGS_AT];
        } else if (protocol != IPPROTO_UDP) {
                return false;
        }
        if (bpf_ntohs(ip->tot_len) < least)
                return false;
        /* It lies in several buffers, or was cut. */
        if (config.split && sizeof(struct ethhdr) + bpf_ntohs(ip->tot_len) > (__u64)(end - data))
                return false;
        key->words[0] = first_word(bpf_ntohl(*(__be32 *)transport), protocol, *tcp_flags, 0, false);
        key->words[1] = *(__u64 *)&ip->saddr;
        return true;
}

/* What the parser would have made of it; `packet` must be zero. */
static __always_inline void plain_packet(const struct cache_key *key, __u8 tcp_flags, struct packet *packet) {
        __be32 addresses[2];

        __builtin_memcpy(addresses, &key->words[1], sizeof(addresses));
        packet->src[0] = addresses[0];
        packet->dst[0] = addresses[1];
        packet->sport = key->words[0] >> 48;
        packet->port = key->words[0] >> 32;
        packet->protocol = key->words[0];
        packet->tcp_flags = tcp_flags;
        packet->addressed = 1;
        packet->plain = 1;
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

/* Where the verdict on packets with this key is, or will be. */
static __always_inline struct sxf_cached *cache_line(const struct cache_key *key, bool v6) {
        __u32 index = bpf_get_smp_processor_id() * SXF_CACHE_LINES + cache_hash(key, v6);

        return bpf_map_lookup_elem(&cache, &index);
}

static __always_inline struct sxf_found *cached4(struct sxf_cached *line, const struct cache_key *key) {
#pragma unroll
        for (int i = 0; i < SXF_CACHE_WAYS; i++) {
                struct sxf_cached4 *entry = &line->v4[i];

                if (entry->words[0] == key->words[0] && entry->words[1] == key->words[1] &&
                    entry->found.generation == config.generation)
                        return &entry->found;
        }
        return NULL;
}

static __always_inline struct sxf_found *cached6(struct sxf_cached *line, const struct cache_key *key) {
        struct sxf_cached6 *entry = &line->v6;
        __u64 differ = 0;

        if (entry->found.generation != config.generation)
                return NULL;
#pragma unroll
        for (int i = 0; i < SXF_KEY_WORDS; i++)
                differ |= entry->words[i] ^ key->words[i];
        return differ ? NULL : &entry->found;
}

/* The newer of two IPv4 entries is the first. */
static __always_inline void store(struct sxf_cached *line, const struct cache_key *key, bool v6,
                                  const struct sxf_found *found) {
        if (v6) {
                __builtin_memcpy(line->v6.words, key->words, sizeof(line->v6.words));
                line->v6.found = *found;
                line->v6.none = 0;
        } else {
                line->v4[1] = line->v4[0];
                __builtin_memcpy(line->v4[0].words, key->words, sizeof(line->v4[0].words));
                line->v4[0].found = *found;
        }
}

#endif
