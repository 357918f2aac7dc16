/* SPDX-License-Identifier: GPL-2.0 */
/* Everything that the XDP programs and user space both know. Rust takes these types from the generated skeleton.
 *
 * Byte order: __be32 and address bytes are as on the wire; every other field is the host's. No struct has padding that
 * is not named, because user space writes them byte for byte. */
#ifndef SXF_COMMON_H
#define SXF_COMMON_H

#include <linux/types.h>

enum sxf_limits {
        SXF_MAX_RULES = 1024,
        /* Twice the rules, so that a slot which a rule left need not be taken again while the old generation still
           runs. */
        SXF_RULE_SLOTS = 2048,
        /* Slot of the default action. */
        SXF_DEFAULT_SLOT = 2048,
        /* Verdicts that no rule gave are not counted by rule. */
        SXF_NO_SLOT = 0xffffffff,
        SXF_INTERFACES = 16,
        SXF_QUEUES = 64,
        SXF_SOCKETS = 1024,
        SXF_SERVICES = 1024,
};

enum sxf_action {
        SXF_PASS,
        SXF_DROP,
        SXF_INSPECT,
        SXF_ACTIONS,
};

/* Odd things met on the way, each with a counter. */
enum sxf_event {
        SXF_NEIGHBOUR,
        SXF_NON_IP,
        SXF_UNDECIDABLE,
        SXF_LATER_FRAGMENT,
        SXF_NO_SERVICE,
        SXF_NO_GENERATION,
        SXF_NO_METADATA,
        SXF_FAIL_OPEN,
        SXF_FAIL_CLOSED,
        SXF_EVENTS,
};

struct sxf_count {
        __u64 packets;
        __u64 bytes;
};

/* What happens to a packet; of a rule, or of the default action. */
struct sxf_verdict {
        __u32 rule;  /* Number of the rule, 0 for none. */
        __u32 slot;  /* Index into rule_counts, or SXF_NO_SLOT. */
        __u16 chain; /* Index of the chain, for SXF_INSPECT. */
        __u8 action; /* enum sxf_action */
        __u8 reserved;
};

/* The part of a match that both families share. first <= last. */
struct sxf_l4_match {
        __u16 sport_first;
        __u16 sport_last;
        __u16 port_first;
        __u16 port_last;
        __u8 protocol;
        __u8 any_protocol;
        __u8 needs_ports;
        __u8 reserved;
};

/* src and dst have no bits outside their masks. */
struct sxf_rule4 {
        __be32 src;
        __be32 src_mask;
        __be32 dst;
        __be32 dst_mask;
        struct sxf_l4_match l4;
        struct sxf_verdict verdict;
};

struct sxf_rule6 {
        __be32 src[4];
        __be32 src_mask[4];
        __be32 dst[4];
        __be32 dst_mask[4];
        struct sxf_l4_match l4;
        struct sxf_verdict verdict;
};

/* What a generation is told, besides its tables. */
struct sxf_config {
        struct sxf_verdict default_verdict;
        __u32 rules4;
        __u32 rules6;
        __u32 fail_closed;
};

/* An interface whose packets may be inspected. */
struct sxf_port {
        __u32 first_socket; /* Index into xsks of its queue 0. */
        __u32 ingress;      /* Its place in the configuration. */
};

/* An IPv6 address, or an IPv4 address mapped to ::ffff:0:0/96. */
struct sxf_address {
        __u8 bytes[16];
};

struct sxf_service {
        __u32 up;
};

/* Written in front of a packet that goes to inspection. */
struct sxf_metadata {
        __u16 magic; /* SXF_MAGIC */
        __u16 chain;
        __u32 rule; /* 0 for none */
};

enum sxf_magic {
        SXF_MAGIC = 0x5846,
};

#endif
