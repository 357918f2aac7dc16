// SPDX-License-Identifier: GPL-2.0
/* Both ends of the path benchmark, and the programs that some of the forwarders between them consist of.
 *
 *   generate ─► device under test ─► sink
 *
 * Each frame ends in a stamp: its number, and the time it was made, so that the sink sees what is lost, doubled, out of
 * order, or late. The stamp adds nothing to an internet checksum, so that of the template holds for every frame. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

enum {
        HEAD_WORDS = 8,
        /* Frames are shorter than this, so that the verifier sees a bound. */
        OFFSET_MASK = 0x7ff,
        QUEUES = 16,
        /* Buckets of the latencies: the first powers of two one by one, each later one in 32 parts. */
        LINEAR_BITS = 6,
        PART_BITS = 5,
        BUCKETS = 1024,
};

/* One frame of a flow: its first 64 bytes, its length, and how much shorter that is than the test packet. */
struct template {
        __u64 words[HEAD_WORDS];
        __u32 length;
        __u32 excess;
};

/* The last bytes of every frame, at any alignment. */
struct stamp {
        __u64 number;
        /* Nanoseconds since boot; 0 for a frame whose latency does not count. */
        __u64 time;
        /* Tells frames of this run from those of others, and from what the kernel sends by itself. */
        __u16 run;
        /* Makes the sum of all 16-bit words of the stamp 0xffff, which is nothing in ones' complement. */
        __u16 rest;
} __attribute__((packed));

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct template);
} templates SEC(".maps");

/* Where the generator is; written before a run. Of the sink's only `run` matters: what it counts. */
struct {
        /* Number of the next frame. */
        __u64 number;
        /* Index of the next template, and how many there are. */
        __u32 next;
        __u32 count;
        /* Frames in whose number one of these bits is set do not get the time. */
        __u32 untimed;
        __u32 run;
} walk;

/* What came, by queue of the device: a queue is served by one processor at a time. */
struct arrivals {
        __u64 packets;
        __u64 bytes;
        /* Number that is expected next, or one that is larger. */
        __u64 next;
        /* Came behind one with its number or a larger one: doubled, or out of order. */
        __u64 disordered;
        /* Not of this run. */
        __u64 strange;
        __u64 pad[3];
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, QUEUES);
        __type(key, __u32);
        __type(value, struct arrivals);
} arrivals SEC(".maps");

struct latencies {
        __u64 buckets[BUCKETS];
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, QUEUES);
        __type(key, __u32);
        __type(value, struct latencies);
} latencies SEC(".maps");

static __always_inline __u64 words_sum(__u64 word) {
        return (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48);
}

/* Makes the next frame out of the test packet, which is as long as the longest template. */
SEC("xdp")
int bench_generate(struct xdp_md *ctx) {
        __u32 index = walk.next;
        struct template *template = bpf_map_lookup_elem(&templates, &index);
        struct stamp *stamp;
        void *data, *end;
        __u64 sum;

        if (!template)
                return XDP_ABORTED;
        if (template->excess && bpf_xdp_adjust_tail(ctx, -(int)template->excess))
                return XDP_ABORTED;
        data = (void *)(long)ctx->data;
        end = (void *)(long)ctx->data_end;
        if (data + sizeof(template->words) > end)
                return XDP_ABORTED;
#pragma unroll
        for (int i = 0; i < HEAD_WORDS; i++)
                ((__u64 *)data)[i] = template->words[i];
        stamp = data + ((template->length - sizeof(*stamp)) & OFFSET_MASK);
        if ((void *)(stamp + 1) > end)
                return XDP_ABORTED;
        stamp->number = walk.number;
        stamp->time = walk.number & walk.untimed ? 0 : bpf_ktime_get_ns();
        stamp->run = walk.run;
        sum = words_sum(stamp->number) + words_sum(stamp->time) + stamp->run;
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        stamp->rest = ~sum;
        walk.number += 1;
        walk.next = index + 1 < walk.count ? index + 1 : 0;
        return XDP_TX;
}

/* Number of the highest bit that is set; `word` is not 0. */
static __always_inline __u32 highest_bit(__u64 word) {
        __u32 bit = 0;
#pragma unroll
        for (int step = 32; step; step >>= 1)
                if (word >> step) {
                        word >>= step;
                        bit += step;
                }
        return bit;
}

static __always_inline __u32 bucket(__u64 ns) {
        __u32 power;

        if (!(ns >> LINEAR_BITS))
                return ns;
        power = highest_bit(ns);
        return (1 << LINEAR_BITS) + ((power - LINEAR_BITS) << PART_BITS) +
               (ns >> (power - PART_BITS) & ((1 << PART_BITS) - 1));
}

SEC("xdp")
int bench_sink(struct xdp_md *ctx) {
        void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
        __u32 queue = ctx->rx_queue_index;
        struct arrivals *count = bpf_map_lookup_elem(&arrivals, &queue);
        struct latencies *times = bpf_map_lookup_elem(&latencies, &queue);
        __u64 length = end - data;
        struct stamp *stamp;

        if (!count || !times)
                return XDP_DROP;
        stamp = data + ((length - sizeof(*stamp)) & OFFSET_MASK);
        if (length < sizeof(*stamp) || (void *)(stamp + 1) > end || stamp->run != walk.run) {
                count->strange += 1;
                return XDP_DROP;
        }
        count->packets += 1;
        count->bytes += length;
        if (stamp->number < count->next)
                count->disordered += 1;
        else
                count->next = stamp->number + 1;
        if (stamp->time) {
                __u32 index = bucket(bpf_ktime_get_ns() - stamp->time);

                if (index < BUCKETS)
                        times->buckets[index] += 1;
        }
        return XDP_DROP;
}

struct {
        __uint(type, BPF_MAP_TYPE_DEVMAP);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
} out SEC(".maps");

/* The forwarder that does nothing else. */
SEC("xdp")
int bench_redirect(struct xdp_md *ctx) {
        (void)ctx;
        return bpf_redirect_map(&out, 0, XDP_DROP);
}

SEC("xdp")
int bench_drop(struct xdp_md *ctx) {
        (void)ctx;
        return XDP_DROP;
}

/* Lets a veth take frames from the generator where the forwarder itself attaches none. */
SEC("xdp")
int bench_pass(struct xdp_md *ctx) {
        (void)ctx;
        return XDP_PASS;
}
