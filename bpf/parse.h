/* SPDX-License-Identifier: GPL-2.0 */
/* One pass over a frame. Makes the decisions of dataplane/wire/headers.rs in the same order; the tests hold the two
 * together. Every function here advances a cursor and fails when the frame ends first. */
#ifndef SXF_PARSE_H
#define SXF_PARSE_H

/* Before the helpers, which use its types. */
#include <linux/bpf.h>

#include "common.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>
#include <stddef.h>

enum {
        MAX_VLAN_TAGS = 2,
        VLAN_ID = 0xfff,
        /* Where a TCP header has its flags. */
        TCP_FLAGS_AT = 13,
        MAX_EXT_HEADERS = 8,
        /* Version and length of an IPv4 header without options. */
        PLAIN_IPV4 = 0x45,
        /* More fragments, and the offset. */
        FRAGMENTED = 0x3fff,
        /* Shortest headers. */
        LEAST_TCP = 20,
        LEAST_UDP = 8,
        PROTO_SCTP = 132,
        PROTO_ICMPV6 = 58,
        /* Router solicitation to redirect, RFC 4861. */
        NDISC_FIRST = 133,
        NDISC_LAST = 137,
        /* Of a packet that no router has forwarded; others are no neighbour discovery, RFC 4861. */
        NDISC_HOPS = 255,
        /* Larger than any offset that the bounded loops can reach; tells the verifier so. */
        OFFSET_MASK = 0x7fff,
};

enum kind {
        KIND_IP,
        KIND_NEIGHBOUR,
        KIND_NON_IP,
        KIND_UNDECIDABLE,
};

enum fragment {
        FRAGMENT_NONE,
        FRAGMENT_FIRST,
        FRAGMENT_LATER,
};

/* What classification needs of a packet. Addresses as on the wire, IPv4 in the first word; all else in host order. */
struct packet {
        __be32 src[4];
        __be32 dst[4];
        /* The bit vector of the rules whose source set, if they have one, holds the source: see sets.h. */
        __u32 src_set_row;
        __u16 sport;
        __u16 port;
        /* Of the outermost tag, 0 without one. */
        __u16 vlan;
        __u8 protocol;
        /* Of a TCP header that is there. */
        __u8 tcp_flags;
        __u8 fragment;
        __u8 v6;
        /* The addresses are known: the IP header was whole. */
        __u8 addressed;
        /* Nothing between the Ethernet, IP and transport headers, and no fragment. */
        __u8 plain;
        /* Hop limit of an IPv6 packet. */
        __u8 hops;
        /* Why it is undecidable, enum sxf_event; 0 where the frame ends inside a header. */
        __u8 why;
        __u8 reserved[6];
};

/* Write an address of `packet`, which must be zero before. */
static __always_inline void write_address(struct sxf_address *address, const struct packet *packet,
                                          const __be32 *words) {
        if (packet->v6) {
                __builtin_memcpy(address->bytes, words, sizeof(address->bytes));
        } else {
                address->bytes[10] = 0xff;
                address->bytes[11] = 0xff;
                __builtin_memcpy(address->bytes + 12, words, 4);
        }
}

struct cursor {
        void *data;
        void *end;
        __u32 at;
        /* Where the IP length field says the packet ends, as offset from data. */
        __u32 ip_end;
};

struct vlan_tag {
        __be16 tci;
        __be16 proto;
};

struct ext_header {
        __u8 next;
        __u8 length;
        __be16 fragment;
        __be32 rest;
};

/* The next `size` bytes, or NULL when the frame ends before. Does not advance. */
static __always_inline void *look(struct cursor *cursor, __u32 size) {
        void *here = cursor->data + (cursor->at & OFFSET_MASK);

        return here + size > cursor->end ? NULL : here;
}

/* Masks rather than comparisons, each of which would double the paths that the verifier walks. */
static __always_inline bool is_extension(__u8 protocol) {
        const __u64 extensions = 1ULL << IPPROTO_HOPOPTS | 1ULL << IPPROTO_ROUTING | 1ULL << IPPROTO_FRAGMENT |
                                 1ULL << IPPROTO_AH | 1ULL << IPPROTO_DSTOPTS;

        return protocol < 64 && (extensions >> protocol & 1);
}

static __always_inline bool has_ports(__u8 protocol) {
        const __u64 with_ports = 1ULL << IPPROTO_TCP | 1ULL << IPPROTO_UDP;

        return protocol < 64 ? with_ports >> protocol & 1 : protocol == PROTO_SCTP;
}

/* Shortest transport header that the protocol allows. */
static __always_inline __u32 least_transport(__u8 protocol) {
        switch (protocol) {
        case IPPROTO_TCP:
                return LEAST_TCP;
        case IPPROTO_UDP:
        case IPPROTO_ICMP:
        case PROTO_ICMPV6:
                return LEAST_UDP;
        case PROTO_SCTP:
                return 12;
        default:
                return 0;
        }
}

static __always_inline enum kind undecidable(struct packet *packet, enum sxf_event why) {
        packet->why = why;
        return KIND_UNDECIDABLE;
}

static __always_inline enum kind parse_transport(struct cursor *cursor, struct packet *packet) {
        __u32 least = least_transport(packet->protocol);
        __u8 *here;

        if (packet->fragment == FRAGMENT_LATER || !least)
                return KIND_IP;
        /* Both bounds count: link-layer padding behind the IP packet is not part of it. */
        here = look(cursor, 4);
        if (!here || cursor->at + least > cursor->ip_end || cursor->at + least > cursor->end - cursor->data)
                return KIND_UNDECIDABLE;
        if (packet->protocol == PROTO_ICMPV6 && packet->v6 && packet->fragment == FRAGMENT_NONE &&
            packet->hops == NDISC_HOPS && here[0] >= NDISC_FIRST && here[0] <= NDISC_LAST)
                return KIND_NEIGHBOUR;
        if (has_ports(packet->protocol)) {
                packet->sport = bpf_ntohs(*(__be16 *)here);
                packet->port = bpf_ntohs(*(__be16 *)(here + 2));
        }
        if (packet->protocol == IPPROTO_TCP) {
                /* The header is there, but the verifier wants to see it. */
                here = look(cursor, TCP_FLAGS_AT + 1);
                if (!here)
                        return KIND_UNDECIDABLE;
                packet->tcp_flags = here[TCP_FLAGS_AT];
        }
        return KIND_IP;
}

static __always_inline enum kind parse_ipv4(struct cursor *cursor, struct packet *packet) {
        struct iphdr *ip = look(cursor, sizeof(*ip));
        __u16 flags;

        if (!ip)
                return KIND_UNDECIDABLE;
        if (ip->version != 4 || ip->ihl < 5)
                return undecidable(packet, SXF_BAD_HEADER);
        packet->src[0] = ip->saddr;
        packet->dst[0] = ip->daddr;
        packet->protocol = ip->protocol;
        packet->addressed = 1;
        flags = bpf_ntohs(ip->frag_off) & FRAGMENTED;
        packet->fragment = flags == 0 ? FRAGMENT_NONE : flags == 0x2000 ? FRAGMENT_FIRST : FRAGMENT_LATER;
        packet->plain = cursor->at == sizeof(struct ethhdr) && ip->ihl == 5 && packet->fragment == FRAGMENT_NONE;
        cursor->ip_end = cursor->at + bpf_ntohs(ip->tot_len);
        cursor->at += ip->ihl * 4;
        return parse_transport(cursor, packet);
}

static __always_inline enum fragment ipv6_fragment(__be16 field) {
        /* Offset 0 with M set is a first fragment; offset 0 without M is an atomic one, RFC 6946. */
        __u16 value = bpf_ntohs(field) & 0xfff9;

        return value == 0 ? FRAGMENT_NONE : value == 1 ? FRAGMENT_FIRST : FRAGMENT_LATER;
}

struct ext_walk {
        struct cursor cursor;
        struct packet *packet;
        /* The frame ended inside a header. */
        bool cut;
};

/* Step over one extension header. Called by bpf_loop(): unrolled, the verifier would try every mix of headers. */
static long skip_extension(__u32 index, void *context) {
        struct ext_walk *walk = context;
        struct packet *packet = walk->packet;
        struct ext_header *ext;

        (void)index;
        if (!is_extension(packet->protocol) || packet->fragment == FRAGMENT_LATER)
                return 1;
        ext = look(&walk->cursor, sizeof(*ext));
        if (!ext) {
                walk->cut = true;
                return 1;
        }
        if (packet->protocol == IPPROTO_FRAGMENT) {
                packet->fragment = ipv6_fragment(ext->fragment);
                walk->cursor.at += sizeof(*ext);
        } else if (packet->protocol == IPPROTO_AH) {
                walk->cursor.at += (ext->length + 2) * 4;
        } else {
                walk->cursor.at += (ext->length + 1) * 8;
        }
        packet->protocol = ext->next;
        return 0;
}

static __always_inline enum kind parse_ipv6(struct cursor *cursor, struct packet *packet) {
        struct ipv6hdr *ip = look(cursor, sizeof(*ip));
        struct ext_walk walk = {};

        if (!ip)
                return KIND_UNDECIDABLE;
        if (ip->version != 6)
                return undecidable(packet, SXF_BAD_HEADER);
        __builtin_memcpy(packet->src, &ip->saddr, sizeof(packet->src));
        __builtin_memcpy(packet->dst, &ip->daddr, sizeof(packet->dst));
        packet->v6 = 1;
        packet->addressed = 1;
        packet->protocol = ip->nexthdr;
        packet->hops = ip->hop_limit;
        packet->plain = cursor->at == sizeof(struct ethhdr) && !is_extension(packet->protocol);
        cursor->at += sizeof(*ip);
        cursor->ip_end = cursor->at + bpf_ntohs(ip->payload_len);
        if (!is_extension(packet->protocol))
                return parse_transport(cursor, packet);
        walk.cursor = *cursor;
        walk.packet = packet;
        bpf_loop(MAX_EXT_HEADERS, skip_extension, &walk, 0);
        if (walk.cut)
                return KIND_UNDECIDABLE;
        if (is_extension(packet->protocol) && packet->fragment != FRAGMENT_LATER)
                return undecidable(packet, SXF_LONG_CHAIN);
        return parse_transport(&walk.cursor, packet);
}

static __always_inline bool is_vlan(__be16 proto) {
        return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

/* Fill `packet`, which must be zero, and say what the frame carries: a value of enum kind.
 *
 * Global, so that the verifier checks it once by itself and not again for every way in which it can end. */
__noinline int parse(struct xdp_md *ctx, struct packet *packet) {
        struct cursor cursor = {.data = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end};
        struct ethhdr *eth = look(&cursor, sizeof(*eth));
        struct vlan_tag *tag;
        __be16 proto;

        if (!packet || !eth)
                return KIND_UNDECIDABLE;
        proto = eth->h_proto;
        cursor.at = sizeof(*eth);
#pragma unroll
        for (int i = 0; i < MAX_VLAN_TAGS; i++) {
                if (!is_vlan(proto))
                        break;
                tag = look(&cursor, sizeof(*tag));
                if (!tag)
                        return KIND_UNDECIDABLE;
                if (i == 0)
                        packet->vlan = bpf_ntohs(tag->tci) & VLAN_ID;
                proto = tag->proto;
                cursor.at += sizeof(*tag);
        }
        if (proto == bpf_htons(ETH_P_IP))
                return parse_ipv4(&cursor, packet);
        if (proto == bpf_htons(ETH_P_IPV6))
                return parse_ipv6(&cursor, packet);
        if (proto == bpf_htons(ETH_P_ARP))
                return KIND_NEIGHBOUR;
        /* More tags than are looked behind may hide an IP packet. */
        return is_vlan(proto) ? undecidable(packet, SXF_LONG_CHAIN) : KIND_NON_IP;
}

#endif
