// SPDX-License-Identifier: GPL-2.0
/* The program that stays attached. It jumps into the live generation; user space swaps generations by replacing the one
 * slot of the program array, so no packet ever sees half of each. */
#include "maps.h"

char LICENSE[] SEC("license") = "GPL";

const volatile __u32 entry_fail_closed = 0;

SEC("xdp")
int sxf_entry(struct xdp_md *ctx) {
        bpf_tail_call(ctx, &programs, 0);
        /* Only reached when the slot is empty. */
        count_event(SXF_NO_GENERATION);
        return fail(entry_fail_closed, ctx->data_end - ctx->data);
}
