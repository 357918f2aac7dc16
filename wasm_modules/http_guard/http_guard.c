/* http_guard: checks the request line of HTTP/1.x requests, packet by packet. README.md lists options and signatures.
 *
 * A TCP payload to one of the configured ports is taken for the beginning of a request when it begins with a method, a
 * space and a target; anything else on these ports (the rest of an upload, TLS) passes. */
#include "json.h"
#include "secuxflow.h"

SXF_MODULE()

enum { TCP = 6, MAX_PORTS = 16, MAX_METHODS = 16, METHOD = 16, MAX_LINE = 8192 };

enum signature {
        BAD_METHOD = 1,
        LONG_LINE = 2,
        BAD_VERSION = 3,
        CONTROL = 4,
        TRAVERSAL = 5,
        SQL = 6,
        SCRIPT = 7,
        BAD_ENCODING = 8,
};

static u16 ports[MAX_PORTS] = {80, 8080, 8000};
static u32 n_ports = 3;
static u8 methods[MAX_METHODS][METHOD] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
static u32 method_len[MAX_METHODS] = {3, 4, 4, 3, 6, 7, 5};
static u32 n_methods = 7;
static u32 max_line = 4096;
static u8 line[MAX_LINE + 2]; /* the request line, CR and LF */
static u8 target[MAX_LINE];   /* its target, decoded once or twice, in lower case */

/* ---- configuration ---- */

static int read_ports(struct json *j) {
        n_ports = 0;
        if (!json_take(j, '['))
                return json_fail(j, "ports: an array is expected");
        if (json_take(j, ']'))
                return json_fail(j, "ports: name one port at least");
        do {
                u32 port;
                if (!json_number(j, 65535, &port) || !port)
                        return json_fail(j, "ports: each must be 1 to 65535");
                if (n_ports == MAX_PORTS)
                        return json_fail(j, "ports: at most 16");
                ports[n_ports++] = (u16)port;
        } while (json_take(j, ','));
        return json_take(j, ']') || json_fail(j, "ports: ] is expected");
}

static int read_methods(struct json *j) {
        n_methods = 0;
        if (!json_take(j, '['))
                return json_fail(j, "methods: an array is expected");
        if (json_take(j, ']'))
                return json_fail(j, "methods: name one method at least");
        do {
                if (n_methods == MAX_METHODS)
                        return json_fail(j, "methods: at most 16");
                if (!json_string(j, methods[n_methods], METHOD, &method_len[n_methods]) || !method_len[n_methods])
                        return json_fail(j, "methods: each must be 1 to 16 letters");
                n_methods++;
        } while (json_take(j, ','));
        return json_take(j, ']') || json_fail(j, "methods: ] is expected");
}

static int read_option(struct json *j) {
        u8 key[24];
        u32 len;
        if (!json_string(j, key, sizeof key, &len))
                return json_fail(j, "an option's name is expected");
        if (!json_take(j, ':'))
                return json_fail(j, ": is expected");
        if (json_is(key, len, "ports"))
                return read_ports(j);
        if (json_is(key, len, "methods"))
                return read_methods(j);
        if (json_is(key, len, "max_line")) {
                if (!json_number(j, MAX_LINE, &max_line) || max_line < 16)
                        return json_fail(j, "max_line: must be 16 to 8192");
                return 1;
        }
        return json_fail(j, "unknown option; there are ports, methods, max_line");
}

SXF_EXPORT(sxf_init) u32 sxf_init(const u8 *config, u32 len) {
        struct json j = {config, config + len, 0};
        if (json_object(&j, read_option))
                return 0;
        sxf_log(SXF_ERROR, j.error, sxf_strlen(j.error));
        return 1;
}

/* ---- inspection ---- */

static int hex(u8 c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static u8 lower(u8 c) {
        return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static int is_word(u8 c) {
        return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '_';
}

/* RFC 9110, section 5.6.2. */
static int is_token(u8 c) {
        if (is_word(c))
                return 1;
        for (const char *s = "!#$%&'*+-.^`|~"; *s; s++)
                if (c == (u8)*s)
                        return 1;
        return 0;
}

/* Percent-decode n bytes; + becomes a space from the first ? on when `plus`. Returns the length; *bad counts % without
 * two hex digits behind it, *nul decoded NUL bytes. In place is fine. */
static u32 decode(u8 *to, const u8 *from, u32 n, int plus, u32 *bad, u32 *nul) {
        u32 len = 0, query = 0;
        for (u32 i = 0; i < n; i++) {
                u8 c = from[i];
                query |= c == '?';
                if (c == '%') {
                        int high = i + 2 < n ? hex(from[i + 1]) : -1;
                        int low = i + 2 < n ? hex(from[i + 2]) : -1;
                        if (high < 0 || low < 0) {
                                (*bad)++;
                        } else {
                                c = (u8)(high << 4 | low);
                                *nul += c == 0;
                                i += 2;
                        }
                } else if (c == '+' && plus && query) {
                        c = ' ';
                }
                to[len++] = c;
        }
        return len;
}

/* Whether `word` occurs in s; a letter or digit at either end of it must not continue in s ("reunion selected" holds no
 * "union select"). */
static int has(const u8 *s, u32 n, const char *word) {
        u32 len = sxf_strlen(word);
        for (u32 i = 0; i + len <= n; i++) {
                u32 k = 0;
                while (k < len && s[i + k] == (u8)word[k])
                        k++;
                if (k == len && !(is_word(s[i]) && i && is_word(s[i - 1])) &&
                    !(is_word(s[i + len - 1]) && i + len < n && is_word(s[i + len])))
                        return 1;
        }
        return 0;
}

/* A segment `..` in a path, with / or \\, or in a parameter's value. */
static int has_traversal(const u8 *s, u32 n) {
        for (u32 i = 0; i + 1 < n; i++) {
                if (s[i] != '.' || s[i + 1] != '.' || (i && (s[i - 1] == '.' || is_word(s[i - 1]))))
                        continue;
                u8 next = i + 2 < n ? s[i + 2] : '/';
                u8 previous = i ? s[i - 1] : '/';
                if (next == '/' || next == '\\')
                        return 1;
                if ((next == '?' || next == '&' || next == ' ') && (previous == '/' || previous == '\\'))
                        return 1;
        }
        return 0;
}

/* White space and SQL comments become one space, in place, so that what hides between words does not hide them. */
static u32 squeeze(u8 *s, u32 n) {
        u32 len = 0;
        for (u32 i = 0; i < n; i++) {
                u8 c = s[i];
                if (c == '/' && i + 1 < n && s[i + 1] == '*') {
                        for (i += 2; i + 1 < n && !(s[i] == '*' && s[i + 1] == '/');)
                                i++;
                        i++;
                        c = ' ';
                }
                if (c <= ' ')
                        c = ' ';
                if (c != ' ' || !len || s[len - 1] != ' ')
                        s[len++] = c;
        }
        return len;
}

static const char *const sql[] = {
    "union select",
    "union all select",
    "or 1=1",
    "or '1'='1",
    "or \"1\"=\"1",
    "' or '",
    "'; drop",
    "; drop table",
    "information_schema",
    "xp_cmdshell",
    "sleep(",
    "benchmark(",
    "' --",
    "'--",
    0,
};
static const char *const script[] = {
    "<script", "<iframe", "<svg", "javascript:", "onerror=", "onload=", "onerror =", "onload =", 0,
};

static int has_any(const u8 *s, u32 n, const char *const *words) {
        for (; *words; words++)
                if (has(s, n, *words))
                        return 1;
        return 0;
}

/* What a decoded target holds, 0 for nothing. Changes it. */
static u32 check_target(u8 *s, u32 n) {
        if (has_traversal(s, n))
                return TRAVERSAL;
        n = squeeze(s, n);
        u32 query = 0;
        while (query < n && s[query] != '?')
                query++;
        if (has_any(s + query, n - query, sql))
                return SQL;
        return has_any(s, n, script) ? SCRIPT : 0;
}

/* Decode the target once and twice, and check both: an application may do either. */
static u32 check_encoded(const u8 *s, u32 n, int whole) {
        u32 found = 0, bad_once = 0;
        for (u32 times = 1; times <= 2; times++) {
                u32 bad = 0, nul = 0;
                u32 len = decode(target, s, n, 1, &bad, &nul);
                bad_once |= times == 1 && bad;
                if (times == 2) {
                        bad = 0;
                        len = decode(target, target, len, 0, &bad, &nul);
                }
                if (nul)
                        return CONTROL;
                for (u32 i = 0; i < len; i++)
                        target[i] = lower(target[i]);
                found = check_target(target, len);
                if (found)
                        return found;
        }
        return bad_once && whole ? BAD_ENCODING : 0;
}

static int method_allowed(u32 len) {
        for (u32 m = 0; m < n_methods; m++) {
                u32 i = 0;
                while (i < len && i < method_len[m] && line[i] == methods[m][i])
                        i++;
                if (i == len && i == method_len[m])
                        return 1;
        }
        return 0;
}

/* Where the version begins when the line ends in " HTTP/", a digit, a dot and a digit; else 0. */
static u32 version_at(u32 n) {
        static const char form[] = " HTTP/";
        if (n < 9)
                return 0;
        for (u32 i = 0; i < 6; i++)
                if (line[n - 9 + i] != (u8)form[i])
                        return 0;
        return n - 8;
}

/* The signature that the request line of n bytes in `line` matches, 0 for none. `whole`: its end was in the packet. */
static u32 check_line(u32 n, int whole) {
        u32 method = 0, upper = 1;
        while (method < n && method < 32 && is_token(line[method])) {
                upper &= line[method] >= 'A' && line[method] <= 'Z';
                method++;
        }
        u32 version = whole ? version_at(n) : 0;
        u32 start = method + 1;
        if (!method || start >= n || line[method] != ' ')
                return 0;
        /* Not a request: the middle of a text that is uploaded looks like this. */
        if (!version && (!upper || (line[start] != '/' && line[start] != '*' && line[start] != 'h')))
                return 0;
        if (!method_allowed(method))
                return BAD_METHOD;
        if (n > max_line)
                return LONG_LINE;
        for (u32 i = 0; i < n; i++)
                if (line[i] < 0x20 || line[i] == 0x7f)
                        return CONTROL;
        u32 end = version ? version - 1 : n;
        u32 found = end > start ? check_encoded(line + start, end - start, whole) : 0;
        if (found && found != BAD_ENCODING)
                return found;
        if (whole && !(version && line[n - 3] == '1' && line[n - 2] == '.' && (line[n - 1] | 1) == '1'))
                return BAD_VERSION;
        return found;
}

static const char *const texts[] = {
    "",
    "method not allowed: ",
    "request line too long: ",
    "not HTTP/1.0 or 1.1: ",
    "control character in: ",
    "path traversal: ",
    "SQL injection: ",
    "script injection: ",
    "broken percent-encoding: ",
};

/* Alert with the beginning of the line, so that a person sees what was asked. */
static void report(u32 packet, u32 signature, u32 n) {
        static u8 text[160];
        u32 len = 0;
        for (const char *s = texts[signature]; *s; s++)
                text[len++] = (u8)*s;
        for (u32 i = 0; i < n && len < sizeof text; i++)
                text[len++] = line[i];
        u32 severity = signature >= TRAVERSAL && signature <= SCRIPT ? 1 : signature == BAD_ENCODING ? 3 : 2;
        sxf_alert(packet, severity, signature, (const char *)text, len);
}

static void inspect(struct sxf_packet *p, u32 number) {
        const volatile u8 *payload = sxf_payload(p);
        u32 n = 0, limit = p->payload_len <= max_line + 2 ? p->payload_len : max_line + 2;
        for (; n < limit; n++) {
                line[n] = payload[n];
                if (line[n] == '\n')
                        break;
        }
        int whole = n < limit;
        /* Also where the line feed comes in the next packet. */
        if (n && line[n - 1] == '\r' && (whole || n == p->payload_len))
                n--;
        u32 signature = check_line(n, whole);
        if (!signature)
                return;
        report(number, signature, n);
        if (signature != BAD_ENCODING)
                p->verdict = SXF_DROP;
}

SXF_EXPORT(sxf_inspect) u32 sxf_inspect(struct sxf_packet *batch, u32 n) {
        for (u32 i = 0; i < n; i++) {
                struct sxf_packet *p = &batch[i];
                if (p->protocol != TCP || !p->payload_len || (p->flags & SXF_LATER_FRAGMENT))
                        continue;
                for (u32 k = 0; k < n_ports; k++)
                        if (p->dst_port == ports[k]) {
                                inspect(p, i);
                                break;
                        }
        }
        return 0;
}
