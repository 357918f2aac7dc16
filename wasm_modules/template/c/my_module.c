/* my_module: rejects TCP connections whose client sends a word, however it is split into segments.
 *
 * clang --target=wasm32 -nostdlib -ffreestanding -fno-builtin -mno-bulk-memory -O2 -std=c11 -I include -Wl,--no-entry
 *     my_module.c -o my_module.wasm, with secuxflow's wasm_modules/include; or scripts/compile_wasm.sh FOLDER */
#include "secuxflow.h"

SXF_MODULE()

static const u8 word[] = {'s', 'e', 'c', 'r', 'e', 't'};

/* How many bytes of the word each flow has sent last. A flow that shares a slot with another takes it. A power of two. */
enum { SLOTS = 4096 };
static struct {
        u64 flow;
        u32 matched;
} flows[SLOTS];

static u32 found;

SXF_EXPORT(sxf_init) u32 sxf_init(const u8 *config, u32 len) {
        static const char name[] = "found_words";
        static const char refused[] = "there are no options";

        for (u32 i = 0; i < len; i++) {
                u8 c = config[i];

                if (c != '{' && c != '}' && c != ' ' && c != '\n' && c != '\t' && c != '\r') {
                        sxf_log(SXF_ERROR, refused, sizeof refused - 1);
                        return 1;
                }
        }
        found = sxf_metric(SXF_COUNTER, name, sizeof name - 1);
        return 0;
}

/* Bytes of the word that match when `c` comes behind `matched` of them. No byte of it but the first is like the first. */
static u32 step(u32 matched, u8 c) {
        return c == word[matched] ? matched + 1 : c == word[0];
}

SXF_EXPORT(sxf_stream)
u32 sxf_stream(struct sxf_packet *batch, u32 n, const struct sxf_chunk *chunks, u32 m) {
        static const char text[] = "the word was sent";

        for (u32 i = 0; i < m; i++) {
                const struct sxf_chunk *chunk = &chunks[i];
                const volatile u8 *bytes = sxf_bytes(chunk);
                u32 at = chunk->flow % SLOTS;

                if (chunk->flags & SXF_CHUNK_TO_CLIENT)
                        continue;
                if (flows[at].flow != chunk->flow || chunk->flags & (SXF_CHUNK_START | SXF_CHUNK_GAP)) {
                        flows[at].flow = chunk->flow;
                        flows[at].matched = 0;
                }
                for (u32 b = 0; b < chunk->len; b++) {
                        flows[at].matched = step(flows[at].matched, bytes[b]);
                        if (flows[at].matched < sizeof word)
                                continue;
                        flows[at].matched = 0;
                        sxf_measure(found, 1);
                        if (chunk->packet < n) {
                                sxf_alert(chunk->packet, 1, 1, text, sizeof text - 1);
                                batch[chunk->packet].verdict = SXF_REJECT;
                        }
                }
        }
        return 0;
}
