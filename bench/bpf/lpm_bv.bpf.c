// SPDX-License-Identifier: GPL-2.0
/* The first rule that matches as bpf-iptables finds it: the kernel's LPM_TRIE gives each address a bit vector of the
 * rules that it satisfies, tables give one for the ports and the protocol, and all words are ANDed until one is not
 * empty.
 *
 * Better than its model where that costs nothing: ports are looked up in arrays, not in hash maps; protocol and
 * destination port have one vector together; all is one program, without tail calls between fields. */
#include "../../bpf/bits.h"
#include "peer.h"

char LICENSE[] SEC("license") = "GPL";

enum {
        MAX_WORDS = 256,
        PORTS = 65536,
        PROTOCOLS = 256,
        /* Tables of destination ports by protocol, and of source ports of all. */
        TCP_PORT = 0,
        UDP_PORT,
        SCTP_PORT,
        SOURCE_PORT,
        PORT_TABLES,
        /* Row of the vector in which every rule is set. */
        EVERY_RULE = 0,
};

/* Bit n % 64 of word n / 64 is rule n, in the order of precedence. */
struct vector {
        __u64 words[MAX_WORDS];
};

struct port_table {
        __u32 rows[PORTS];
};

struct protocol_table {
        __u32 rows[PROTOCOLS];
};

/* Set before the program is loaded, so that the verifier sees loops of a known length, and no more than is needed. */
const volatile struct {
        /* Words of a vector that hold rules; the sizes of the maps follow it. */
        __u32 words;
        /* Number of the default action, which is no rule's: it lies behind the last rule. */
        __u32 fallback;
} config SEC(".rodata.config") = {.words = MAX_WORDS};

PREFIXES(src4, struct key4, sizeof(struct vector));
PREFIXES(dst4, struct key4, sizeof(struct vector));
PREFIXES(src6, struct key6, sizeof(struct vector));
PREFIXES(dst6, struct key6, sizeof(struct vector));

#define TABLE(name, entries, size)                                                                                     \
        struct {                                                                                                       \
                __uint(type, BPF_MAP_TYPE_ARRAY);                                                                      \
                __uint(max_entries, entries);                                                                          \
                __uint(key_size, sizeof(__u32));                                                                       \
                __uint(value_size, size);                                                                              \
        } name SEC(".maps")

TABLE(vectors, 1, sizeof(struct vector));
TABLE(port_rows, PORT_TABLES, sizeof(struct port_table));
TABLE(protocol_rows, 1, sizeof(struct protocol_table));
/* What each rule does: enum of peer.h. */
TABLE(verdicts, 1, sizeof(__u32));

struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct peer_count);
} rule_counts SEC(".maps");

static __always_inline const struct vector *vector(__u32 row) {
        return bpf_map_lookup_elem(&vectors, &row);
}

static __always_inline const struct vector *port_vector(__u32 table, __u16 port) {
        struct port_table *ports = bpf_map_lookup_elem(&port_rows, &table);

        return ports ? vector(ports->rows[port]) : NULL;
}

/* The rules that protocol and destination port satisfy. */
static __always_inline const struct vector *protocol_vector(const struct packet *packet) {
        struct protocol_table *protocols;
        __u32 zero = 0;

        switch (packet->protocol) {
        case IPPROTO_TCP:
                return port_vector(TCP_PORT, packet->port);
        case IPPROTO_UDP:
                return port_vector(UDP_PORT, packet->port);
        case PROTO_SCTP:
                return port_vector(SCTP_PORT, packet->port);
        }
        protocols = bpf_map_lookup_elem(&protocol_rows, &zero);
        return protocols ? vector(protocols->rows[packet->protocol]) : NULL;
}

/* Number of the first rule that is set in four vectors. Every trie has the empty prefix: a vector is always found. */
static __always_inline __u32 first_rule(const struct packet *packet, const struct vector *src,
                                        const struct vector *dst) {
        const struct vector *protocol = protocol_vector(packet);
        const struct vector *sport =
            has_ports(packet->protocol) ? port_vector(SOURCE_PORT, packet->sport) : vector(EVERY_RULE);

        const __u32 words = config.words;

        if (!src || !dst || !protocol || !sport)
                return config.fallback;
        /* Unrolled it is no faster: it waits for memory. */
        for (__u32 i = 0; i < words; i++) {
                __u64 word = src->words[i] & dst->words[i] & protocol->words[i] & sport->words[i];

                if (word)
                        return i * 64 + lowest_bit(word);
        }
        return config.fallback;
}

static __always_inline __u32 classify(const struct packet *packet) {
        const struct vector *src, *dst;

        if (packet->v6) {
                struct key6 key = {.length = 128};

                __builtin_memcpy(key.address, packet->src, sizeof(key.address));
                src = bpf_map_lookup_elem(&src6, &key);
                __builtin_memcpy(key.address, packet->dst, sizeof(key.address));
                dst = bpf_map_lookup_elem(&dst6, &key);
        } else {
                struct key4 key = {.length = 32, .address = packet->src[0]};

                src = bpf_map_lookup_elem(&src4, &key);
                key.address = packet->dst[0];
                dst = bpf_map_lookup_elem(&dst4, &key);
        }
        return first_rule(packet, src, dst);
}

SEC("xdp")
int bench_lpm_bv(struct xdp_md *ctx) {
        __u64 bytes = ctx->data_end - ctx->data;
        struct packet packet = {};
        __u32 rule, *action;

        /* Fragments and what is not IP are not what is compared here. */
        if (parse(ctx, &packet) != KIND_IP)
                return act(PEER_PASS, bytes);
        rule = classify(&packet);
        count(&rule_counts, rule, bytes);
        action = bpf_map_lookup_elem(&verdicts, &rule);
        return act(action ? *action : PEER_DROP, bytes);
}
