/* SPDX-License-Identifier: GPL-2.0 */
/* A generation's own tables and configuration, which user space fills before the program runs. docs/classifier.md draws
 * the tables. */
#ifndef SXF_TABLES_H
#define SXF_TABLES_H

/* Before the helpers, which use its types. */
#include <linux/bpf.h>

#include "common.h"
#include "parse.h"
#include <bpf/bpf_helpers.h>

/* User space maps the tables to fill them, and sizes those with one entry here to the rules there are. */
#define TABLE(name, entries, entry)                                                                                    \
        struct {                                                                                                       \
                __uint(type, BPF_MAP_TYPE_ARRAY);                                                                      \
                __uint(map_flags, BPF_F_MMAPABLE);                                                                     \
                __uint(max_entries, entries);                                                                          \
                __type(key, __u32);                                                                                    \
                __type(value, entry);                                                                                  \
        } name SEC(".maps")

TABLE(roots, SXF_TRIES, struct sxf_root);
TABLE(nodes, 1, struct sxf_node);
TABLE(skips, 1, struct sxf_skip);
TABLE(port_rows, SXF_PORT_TABLES, struct sxf_ports);
TABLE(protocol_rows, 1, struct sxf_protocols);
TABLE(vlan_rows, 1, struct sxf_vlans);
TABLE(tcp_flag_rows, 1, struct sxf_tcp_flags);
TABLE(lines, 1, struct sxf_line);
TABLE(rules, 1, struct sxf_rule);

enum {
        /* No table has this line, so that looking it up fails. */
        NO_LINE = SXF_INDEX,
};

/* Written before the program is loaded. */
const volatile struct sxf_config config SEC(".rodata.config") = {.fail_closed = 1};

/* Length of a frame, all of its buffers together. What a program sees is the first; that the headers are in there is what
 * drivers see to. Where packets have one buffer, the helper is not called, nor need the kernel have it (Linux 5.18). */
static __always_inline __u64 frame_length(struct xdp_md *ctx) {
        return config.split ? bpf_xdp_get_buff_len(ctx) : ctx->data_end - ctx->data;
}

static __always_inline const struct sxf_line *line(__u32 index) {
        return bpf_map_lookup_elem(&lines, &index);
}

#endif
