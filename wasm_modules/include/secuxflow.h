/* The contract between the secuxflow host and modules in C, ABI version 1. README.md is its specification.
 *
 * Compile for wasm32 without bulk memory (-mno-bulk-memory): memory.copy FROM the window traps, because its bounds are
 * those of the heap. Plain loads, as in sxf_copy below, are what the window is for. */
#ifndef SECUXFLOW_H
#define SECUXFLOW_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
_Static_assert(sizeof(u16) == 2 && sizeof(u32) == 4 && sizeof(u64) == 8, "integer sizes");

enum { SXF_ABI_VERSION = 1 };
enum sxf_verdict { SXF_PASS = 0, SXF_DROP = 1, SXF_REJECT = 2 };
enum sxf_flag {
        SXF_FRAGMENT = 1,
        SXF_LATER_FRAGMENT = 2,
        SXF_TRUNCATED = 4,
        SXF_VLAN = 8,
        SXF_TO_CLIENT = 16,    /* from the flow's responder to its initiator */
        SXF_ESTABLISHED = 32,  /* handshake seen, or both directions */
        SXF_FLOW_START = 64,   /* first packet of its flow */
        SXF_MIDSTREAM = 128,   /* TCP: the beginning was not seen */
        SXF_REASSEMBLED = 256, /* a datagram put together from fragments */
};
enum sxf_level { SXF_ERROR = 1, SXF_WARNING = 2, SXF_INFO = 3 };

/* One packet of a batch. Offsets count from `frame`; l3 <= l4 <= payload and payload + payload_len <= len. */
struct sxf_packet {
        u64 flow;    /* hash of the 5-tuple, the same in both directions */
        u32 frame;   /* address of the Ethernet header, in the window: read only */
        u32 len;     /* bytes of the frame */
        u16 l3;      /* offset of the IP header */
        u16 l4;      /* offset of the transport header */
        u16 payload; /* offset of the transport payload */
        u16 payload_len;
        u16 ethertype; /* 0x0800 IPv4, 0x86dd IPv6 */
        u16 src_port;  /* 0 where there is none */
        u16 dst_port;
        u8 protocol;  /* IP protocol number */
        u8 tcp_flags; /* FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128 */
        u32 flags;    /* of enum sxf_flag */
        u32 rule;     /* number of the rule that sent it here, 0 for none */
        u32 ingress;  /* index of the interface it came in by */
        u32 verdict;  /* out: of enum sxf_verdict; SXF_PASS before the call */
        u32 reserved[4];
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct sxf_packet) == 64, "the descriptor is 64 bytes");

/* A piece of one direction of a TCP stream, in order; `data` is in the window: read only. */
struct sxf_chunk {
        u64 flow;   /* as in sxf_packet */
        u64 offset; /* position of the first byte in its direction's stream */
        u32 data;   /* address of the bytes */
        u32 len;    /* number of bytes, 0 for a mere event */
        u32 packet; /* number of the packet whose verdict decides on it, or SXF_NO_PACKET */
        u32 flags;  /* of enum sxf_chunk_flag */
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct sxf_chunk) == 32, "the chunk is 32 bytes");
#define SXF_NO_PACKET 0xffffffffu
enum sxf_chunk_flag {
        SXF_CHUNK_TO_CLIENT = 1,
        SXF_CHUNK_START = 2,
        SXF_CHUNK_END = 4,   /* FIN */
        SXF_CHUNK_ABORT = 8, /* the flow is over in both directions: reset, timed out, pushed out */
        SXF_CHUNK_GAP = 16,  /* bytes before it are missing */
        SXF_CHUNK_MIDSTREAM = 32,
};
enum sxf_metric_kind { SXF_COUNTER = 0, SXF_GAUGE = 1 };

#define SXF_EXPORT(name) __attribute__((export_name(#name), visibility("default"), used))
#define SXF_IMPORT(name) __attribute__((import_module("sxf"), import_name(#name)))

/* Raise an alert on packet number `packet` of the batch; severity 1 (high) to 4. The text is cut at 160 bytes. */
SXF_IMPORT(alert) void sxf_alert(u32 packet, u32 severity, u32 signature, const char *msg, u32 len);
/* As sxf_alert, with a JSON object of at most 512 bytes: gid, rev, category, metadata and reference go into the event's
 * `alert`, other keys beside it. */
SXF_IMPORT(alert_fields)
void sxf_alert_fields(u32 packet, u32 severity, u32 signature, const char *msg, u32 len, const char *fields,
                      u32 fields_len);
/* Declare a metric, from sxf_init only; its number. At most 32; names are [a-z][a-z0-9_]*, up to 48 bytes. */
SXF_IMPORT(metric) u32 sxf_metric(enum sxf_metric_kind kind, const char *name, u32 len);
/* Add to a counter, or set a gauge. */
SXF_IMPORT(measure) void sxf_measure(u32 metric, u64 value);
/* Log a line from sxf_init; in sxf_inspect lines are dropped. */
SXF_IMPORT(log) void sxf_log(u32 level, const char *msg, u32 len);
/* Monotonic nanoseconds, read once per batch. */
SXF_IMPORT(clock) u64 sxf_clock(void);
/* Of packet number `packet` of the batch, for so many seconds; 0 is as long as is configured. The packet itself follows
 * its verdict. Clear its flow: its packets pass without being looked at, once every module of the chain has cleared it. */
SXF_IMPORT(flow_clear) void sxf_flow_clear(u32 packet, u32 seconds);
/* Condemn its flow: its packets are dropped, in both directions. */
SXF_IMPORT(flow_condemn) void sxf_flow_condemn(u32 packet, u32 seconds);
/* Block its source: whatever comes from there is dropped, before any rule. */
SXF_IMPORT(source_block) void sxf_source_block(u32 packet, u32 seconds);

static inline u32 sxf_strlen(const char *s) {
        u32 n = 0;
        while (s[n])
                n++;
        return n;
}

/* The packet's transport payload, in place. */
static inline const volatile u8 *sxf_payload(const struct sxf_packet *p) {
        return (const volatile u8 *)(p->frame + p->payload);
}

/* The bytes of a piece of a stream, in place. */
static inline const volatile u8 *sxf_bytes(const struct sxf_chunk *c) {
        return (const volatile u8 *)c->data;
}

/* Copy out of the window by loads; volatile, so that no compiler turns it into memory.copy. */
static inline void sxf_copy(u8 *to, const volatile u8 *from, u32 n) {
        for (u32 i = 0; i < n; i++)
                to[i] = from[i];
}

/* Define in ONE file of the module: the version, and an allocator that serves what the host asks for, from the heap
 * behind the module's own data, growing the memory as needed. */
#define SXF_MODULE()                                                                                                   \
        extern u8 __heap_base;                                                                                         \
        static u32 sxf_heap_next;                                                                                      \
        SXF_EXPORT(sxf_abi_version) u32 sxf_abi_version(void) {                                                        \
                return SXF_ABI_VERSION;                                                                                \
        }                                                                                                              \
        SXF_EXPORT(sxf_alloc) u32 sxf_alloc(u32 len) {                                                                 \
                u64 at = ((u64)(sxf_heap_next ? sxf_heap_next : (u32)&__heap_base) + 15) & ~15ull;                     \
                u64 end = at + (len ? len : 1);                                                                        \
                u64 have = (u64)__builtin_wasm_memory_size(0) << 16;                                                   \
                if (end > have && (end >= 0x40000000 ||                                                                \
                                   __builtin_wasm_memory_grow(0, (u32)((end - have + 0xffff) >> 16)) == (u32)-1))      \
                        return 0;                                                                                      \
                sxf_heap_next = (u32)end;                                                                              \
                return (u32)at;                                                                                        \
        }

#endif
