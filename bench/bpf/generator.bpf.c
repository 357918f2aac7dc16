// SPDX-License-Identifier: GPL-2.0
/* Gives the program under test another packet in every run: writes the next template into the test packet, and jumps.
 *
 * The kernel repeats a test run on one buffer, so what was written last is what the program under test sees. It must
 * neither grow nor shrink the packet. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

enum {
        TEMPLATE_WORDS = 8,
        /* The destination MAC and the first bytes of the source MAC stay as they are. */
        TEMPLATE_OFFSET = 8,
};

/* The bytes 8 to 71 of a frame: EtherType, addresses and ports of either family, in one cache line. */
struct template {
        __u64 words[TEMPLATE_WORDS];
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, struct template);
} templates SEC(".maps");

struct {
        __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
        __uint(max_entries, 1);
        __type(key, __u32);
        __type(value, __u32);
} target SEC(".maps");

/* Which templates: `next` modulo a power of two, from `first` on. Written before every test run. */
struct {
        __u32 next;
        __u32 mask;
        __u32 first;
} walk;

SEC("xdp")
int bench_generator(struct xdp_md *ctx) {
        void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
        __u64 *packet = data + TEMPLATE_OFFSET;
        __u32 index = walk.first + (walk.next++ & walk.mask);
        struct template *template = bpf_map_lookup_elem(&templates, &index);

        if (!template || (void *)(packet + TEMPLATE_WORDS) > end)
                return XDP_ABORTED;
#pragma unroll
        for (int i = 0; i < TEMPLATE_WORDS; i++)
                packet[i] = template->words[i];
        bpf_tail_call(ctx, &target, 0);
        /* The slot is empty: nothing was measured. */
        return XDP_ABORTED;
}

/* What is left of a run without any classifier. */
SEC("xdp")
int bench_base(struct xdp_md *ctx) {
        (void)ctx;
        return XDP_PASS;
}
