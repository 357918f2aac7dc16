/* Clears a flow once enough of it was seen: what is looked for in the beginning of a connection has been found by then, or
 * is not there. Put it at the end of a chain whose modules clear flows too, or alone where a look at the first packets is
 * for statistics only. README.md has its options. */
#include "../http_guard/json.h"
#include "secuxflow.h"

SXF_MODULE()

/* A power of two. Flows share a slot when their numbers do, and the one that comes takes it: a flow that is pushed out
 * begins to count anew, so that it is inspected for longer, never for less. */
enum { SLOTS = 16384 };

static struct {
        u64 flow;
        u32 packets;
} slots[SLOTS];

static u32 after = 16;
static u32 seconds;

static int read_option(struct json *j) {
        u8 key[16];
        u32 len;

        if (!json_string(j, key, sizeof key, &len))
                return json_fail(j, "an option's name is expected");
        if (!json_take(j, ':'))
                return json_fail(j, ": is expected");
        if (json_is(key, len, "packets"))
                return (json_number(j, 1000000, &after) && after) ||
                       json_fail(j, "packets: must be 1 to 1000000");
        if (json_is(key, len, "seconds"))
                return json_number(j, 86400, &seconds) || json_fail(j, "seconds: must be 0 to 86400");
        return json_fail(j, "unknown option; there are packets, seconds");
}

SXF_EXPORT(sxf_init) u32 sxf_init(const u8 *config, u32 len) {
        struct json j = {config, config + len, 0};

        if (json_object(&j, read_option))
                return 0;
        sxf_log(SXF_ERROR, j.error, sxf_strlen(j.error));
        return 1;
}

SXF_EXPORT(sxf_inspect) u32 sxf_inspect(struct sxf_packet *batch, u32 n) {
        for (u32 i = 0; i < n; i++) {
                u32 at = batch[i].flow % SLOTS;

                /* Handshakes and acknowledgements say nothing. */
                if (!batch[i].payload_len || batch[i].flags & SXF_LATER_FRAGMENT)
                        continue;
                if (slots[at].flow != batch[i].flow) {
                        slots[at].flow = batch[i].flow;
                        slots[at].packets = 0;
                }
                if (++slots[at].packets >= after)
                        sxf_flow_clear(i, seconds);
        }
        return 0;
}
