// SPDX-License-Identifier: GPL-2.0
/* A blocklist in the kernel's LPM_TRIE: drops what comes from one of its prefixes. */
#include "peer.h"

char LICENSE[] SEC("license") = "GPL";

PREFIXES(list4, struct key4, sizeof(__u32));

SEC("xdp")
int bench_lpm(struct xdp_md *ctx) {
        __u64 bytes = ctx->data_end - ctx->data;
        struct packet packet = {};
        struct key4 key = {.length = 32};

        if (parse(ctx, &packet) != KIND_IP || packet.v6)
                return act(PEER_PASS, bytes);
        key.address = packet.src[0];
        return act(bpf_map_lookup_elem(&list4, &key) ? PEER_DROP : PEER_PASS, bytes);
}
