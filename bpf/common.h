/* SPDX-License-Identifier: GPL-2.0 */
/* Everything that the XDP programs and user space both know. Rust takes these types from the generated skeleton.
 *
 * Byte order: __be32 and address bytes are as on the wire; every other field is the host's. No struct has padding that
 * is not named, because user space writes them byte for byte. */
#ifndef SXF_COMMON_H
#define SXF_COMMON_H

#include <linux/types.h>

enum sxf_limits {
        /* 256 words of 64 rules, a summary bit each: four words of summary. */
        SXF_MAX_RULES = 16384,
        /* Twice the rules, so that a slot which a rule left need not be taken again while the old generation still
           runs. */
        SXF_RULE_SLOTS = 32768,
        /* Slot of the default action. */
        SXF_DEFAULT_SLOT = 32768,
        /* Slot by which samples of blocklists are told apart. */
        SXF_BLOCKLIST_SLOT,
        /* Slots that there are, of rules and of what is not a rule. */
        SXF_SLOTS,
        /* Slots of each CPU, so that no two CPUs share a cache line. */
        SXF_COUNT_STRIDE = 32772,
        /* Verdicts that no rule gave are not counted by rule. */
        SXF_NO_SLOT = 0xffffffff,
        SXF_INTERFACES = 16,
        SXF_QUEUES = 64,
        SXF_SOCKETS = 1024,
        /* Bytes of samples that wait, about a thousand. */
        SXF_SAMPLE_BYTES = 65536,
        SXF_SERVICES = 1024,
        /* Entries of flows and of sources, unless user space sizes them otherwise. */
        SXF_FLOWS = 65536,
        SXF_SOURCES = 16384,
};

enum sxf_action {
        SXF_PASS,
        SXF_DROP,
        SXF_INSPECT,
        /* No action of a rule: a cleared flow's packet, sent straight to its service. */
        SXF_FORWARD,
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
        /* The source is in a blocklist. */
        SXF_BLOCKED,
        /* Would have been dropped, but for monitor mode. */
        SXF_MONITORED,
        /* Of those, samples that found no room. */
        SXF_SAMPLE_LOST,
        /* Of a flow that a chain cleared, or condemned. */
        SXF_CLEARED,
        SXF_CONDEMNED,
        /* From a source that a module blocked. */
        SXF_SOURCE_BLOCKED,
        /* Why a packet was undecidable. */
        SXF_TRUNCATED,
        SXF_BAD_HEADER,
        SXF_LONG_CHAIN,
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
        __u8 monitored; /* The action is a drop that only counts. */
};

/* A rule that was found. The rest of its match is in the bit vectors; this is what a later fragment may hide of it. */
struct sxf_rule {
        struct sxf_verdict verdict;
        __u8 protocol;
        __u8 any_protocol;
        __u8 needs_transport;
        __u8 reserved;
};

/* How the tables are cut. docs/classifier.md draws them. */
enum sxf_shape {
        /* A trie's root decides on 16 bits, its nodes on 8. */
        SXF_ROOT_ENTRIES = 65536,
        SXF_NODE_ENTRIES = 256,
        SXF_PORTS = 65536,
        SXF_PROTOCOLS = 256,
        SXF_VLANS = 4096,
        SXF_TCP_FLAGS = 256,
        /* A bit vector is rounded up to cache lines. It begins with its summary. */
        SXF_LINE_WORDS = 8,
        SXF_SUMMARY_WORDS = 4,
};

/* An entry of a trie is the first line of a bit vector, or it is tagged and leads on. */
enum sxf_entry {
        SXF_TO_NODE = 0x80000000,
        SXF_TO_SKIP = 0x40000000,
        SXF_INDEX = 0x3fffffff,
};

/* The first line of the bit vector in which every rule is set: for what a packet does not have, or does not show. */
enum sxf_every_rule {
        SXF_EVERY_RULE,
};

/* Index into roots. */
enum sxf_trie {
        SXF_SRC4,
        SXF_DST4,
        SXF_SRC6,
        SXF_DST6,
        SXF_TRIES,
};

/* Index into port_rows: destination ports by protocol, source ports of all. */
enum sxf_port_table {
        SXF_TCP_PORT,
        SXF_UDP_PORT,
        SXF_SCTP_PORT,
        SXF_SPORT,
        SXF_PORT_TABLES,
};

struct sxf_root {
        __u32 entries[SXF_ROOT_ENTRIES];
};

struct sxf_node {
        __u32 entries[SXF_NODE_ENTRIES];
};

/* Many bits of an IPv6 address at once, where a trie does not branch. Words in host order, the high one first. */
struct sxf_skip {
        __u64 key[2]; /* No bits outside the mask. */
        __u64 mask[2];
        __u32 hit;  /* Entry for an address that has the key, */
        __u32 miss; /* and for others. */
        __u32 next; /* Which byte of the address a node behind the hit decides on. */
        __u32 reserved[5];
};

struct sxf_ports {
        __u32 rows[SXF_PORTS];
};

/* By protocol: who has ports is looked up here only when they are not seen. */
struct sxf_protocols {
        __u32 rows[SXF_PROTOCOLS];
};

/* By VLAN id of the outermost tag, 0 for none. */
struct sxf_vlans {
        __u32 rows[SXF_VLANS];
};

/* By the flags of a TCP header. */
struct sxf_tcp_flags {
        __u32 rows[SXF_TCP_FLAGS];
};

struct sxf_line {
        __u64 words[SXF_LINE_WORDS];
};

/* Fields that most rulesets do not use. Each that this one does costs a bit vector more; bits of sxf_config.uses. */
enum sxf_uses {
        SXF_USES_VLAN = 1,
        SXF_USES_TCP_FLAGS = 2,
        SXF_USES_SRC_SETS = 4,
        SXF_USES_DST_SETS = 8,
};

/* How the sets' tries are cut, docs/set-tables.md. */
enum sxf_set_shape {
        SXF_LINE_ENTRIES = 16,
        /* Runs in a node's own line. */
        SXF_NODE_RUNS = 7,
        /* Lines of a root. */
        SXF_SET_ROOT_LINES = 4096,
};

/* Roots come first in set_lines, in this order. */
enum sxf_set_family {
        SXF_SET_V4,
        SXF_SET_V6,
        SXF_SET_FAMILIES,
};

/* A line of entries: of a root, or what a node has no room for. An entry is a class, or it is tagged and leads on. */
struct sxf_entries {
        __u32 entries[SXF_LINE_ENTRIES];
};

/* A node: runs of equal entries, each once. Where it has more than SXF_NODE_RUNS, they go on in the lines behind. */
struct sxf_runs {
        __u64 begins[SXF_NODE_ENTRIES / 64]; /* Bit n: a run begins at n. The first, at 0, has no bit. */
        __u8 before[SXF_NODE_ENTRIES / 64];  /* How many bits are set in the words before. */
        __u32 entries[SXF_NODE_RUNS];
};

/* Addresses that the same sets hold. The bit vectors of the rules that they satisfy, by their first lines. */
struct sxf_class {
        __u32 src;
        __u32 dst;
        __u32 blocked; /* A blocklist is among the sets. */
        __u32 reserved;
};

/* What becomes of packets from a blocklist. */
enum sxf_blocklists {
        SXF_NO_BLOCKLIST,
        SXF_BLOCKLIST_COUNTS,
        SXF_BLOCKLIST_DROPS,
};

/* How the exact-match cache is cut. */
enum sxf_cache_shape {
        /* Lines of each CPU. */
        SXF_CACHE_LINES = 4096,
        SXF_KEY_WORDS = 5,
        /* Of those, what an IPv4 packet has. */
        SXF_KEY4_WORDS = 2,
        SXF_CACHE_WAYS = 2,
};

/* What a generation found for a packet. */
struct sxf_found {
        __u32 rule;
        __u32 slot;
        __u16 chain;
        __u8 action;
        __u8 blocked;     /* A blocklist has the source. */
        __u32 generation; /* 0 where nobody wrote. */
};

/* For packets with these fields; bpf/cache.h cuts the words. */
struct sxf_cached4 {
        __u64 words[SXF_KEY4_WORDS];
        struct sxf_found found;
};

struct sxf_cached6 {
        __u64 words[SXF_KEY_WORDS];
        struct sxf_found found;
        __u32 reserved;
        __u32 none; /* Is 0, so that the second IPv4 entry is of no generation. */
};

/* A cache line: two entries of IPv4, or one of IPv6. The first word says of which. */
struct sxf_cached {
        union {
                struct sxf_cached4 v4[SXF_CACHE_WAYS];
                struct sxf_cached6 v6;
        };
};

/* What a generation is told, besides its tables. */
struct sxf_config {
        struct sxf_verdict default_verdict;
        __u32 generation; /* From 1. */
        __u32 cached;     /* Verdicts are cached. */
        __u32 fail_closed;
        __u32 uses;     /* enum sxf_uses */
        __u32 enforced; /* The first line of the bit vector of rules that are not monitored. */
        __u32 strict;   /* Of those that drop, or whose match rests on addresses and VLAN alone. */
        __u32 blocklists; /* enum sxf_blocklists */
        __u32 offload;    /* enum sxf_offload */
        __u32 split;      /* Packets may lie in several buffers, of which a program sees the first. */
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

/* A packet that monitor mode let through, for an alert. */
struct sxf_sample {
        struct sxf_address src;
        struct sxf_address dst;
        __u32 rule; /* 0 for none. */
        __u32 slot; /* Of the rule, or of what is not a rule. */
        __u32 ifindex;
        __u32 bytes;
        __u16 sport;
        __u16 port;
        __u8 protocol;
        __u8 v6;
        __u8 reserved[2];
};

/* Written in front of a packet that goes to inspection. */
struct sxf_metadata {
        __u16 magic; /* SXF_MAGIC */
        __u16 chain;
        __u32 rule;       /* 0 for none */
        __u32 generation; /* Which found the rule. */
        __u32 slot;       /* Of the rule; SXF_NO_SLOT when the next packet like this one must be looked at again. */
};

/* What is looked up before the rules; bits of sxf_config.offload. */
enum sxf_offload {
        SXF_OFFLOAD_FLOWS = 1,
        SXF_OFFLOAD_SOURCES = 2,
        /* Cleared flows go straight to their service, not to the stack. */
        SXF_OFFLOAD_FORWARD = 4,
};

/* Index into offload_used: whether there is anything to be found. */
enum sxf_offload_table {
        SXF_FLOW_TABLE,
        SXF_SOURCE_TABLE,
        SXF_OFFLOAD_TABLES,
};

/* One direction of a flow, as its packets have it, IPv4. */
struct sxf_flow4_key {
        __be32 src;
        __be32 dst;
        __u16 sport;
        __u16 port;
        __u8 protocol;
        __u8 tcp_flags; /* 0 unless rules look at them. */
        __u8 reserved[2];
};

/* The same for IPv6: a hash of an IPv4 key in this form would take half as long again. */
struct sxf_flow6_key {
        struct sxf_address src;
        struct sxf_address dst;
        __u16 sport;
        __u16 port;
        __u8 protocol;
        __u8 tcp_flags;
        __u8 reserved[2];
};

enum sxf_flow_verdict {
        SXF_FLOW_CLEARED,
        SXF_FLOW_CONDEMNED,
};

/* What a chain said of a flow. Counts for the generation that found its rule only. Times are nanoseconds since boot. */
struct sxf_flow {
        __u64 expires;
        __u64 since;
        __u64 last;
        __u64 packets; /* Some are missed when two CPUs deal with one direction at once. */
        __u64 bytes;
        __u32 generation;
        __u32 slot; /* Of the rule, whose counter goes on. */
        __u32 rule; /* 0 for none */
        __u16 chain;
        __u16 service; /* Index into exits. */
        __u32 verdict; /* enum sxf_flow_verdict */
        __u32 reserved;
};

/* A source that is blocked for a time. */
struct sxf_source {
        __u64 expires;
        __u64 since;
        __u64 packets;
        __u64 bytes;
};

/* The way to a service, for flows that are forwarded here. */
struct sxf_exit {
        struct sxf_address address; /* Of the service. */
        __u32 ifindex;              /* 0 for none. */
        __u32 mtu;
        /* As at the beginning of a frame. */
        __u8 dst_mac[6];
        __u8 src_mac[6];
        __u32 split; /* The device takes packets that lie in several buffers. */
};

enum sxf_magic {
        SXF_MAGIC = 0x5846,
};

/* How a lane is cut: packets that a worker has the kernel send without a socket (bpf/inject.bpf.c). */
enum sxf_lane_shape {
        SXF_LANE_SLOTS = 1024,
        SXF_LANE_BYTES = 1048576,
        /* Longest packet: what fits into the page that a live frame is made of. */
        SXF_LANE_LONGEST = 3328,
        SXF_LANE_SHORTEST = 14,
        /* A call for lane n begins with frames of this length plus n, by which the program knows it. */
        SXF_LANE_CALL = 64,
};

/* A packet in a lane. */
struct sxf_lane_slot {
        __u32 ifindex; /* Where it goes to. */
        __u32 offset;  /* Its first byte in sxf_lane.bytes, */
        __u32 len;     /* and how many there are. */
        __u32 reserved;
};

/* One per worker, which writes it between calls; during a call it is the kernel's. */
struct sxf_lane {
        __u32 count; /* Slots that are filled. */
        __u32 reserved[15];
        __u32 next;    /* Slot of the next run, 0 before a call. */
        __u32 refused; /* A device that took nothing, 0 for none. */
        __u64 sent;    /* Packets that devices took. */
        __u64 unused[6];
        struct sxf_lane_slot slots[SXF_LANE_SLOTS];
        __u8 bytes[SXF_LANE_BYTES];
};

/* What became of the packets for one device that it did not take. */
struct sxf_lane_loss {
        __u64 packets;
        __u64 refusals; /* Times that it took nothing: no receive queue behind it, or it is gone. */
};

#endif
