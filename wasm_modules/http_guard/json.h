/* A reader for the small JSON that configures a module: one object of numbers, strings, booleans, and arrays of numbers
 * or strings. Strings take the escapes \" \\ \/ only. The reader never looks past `end`. */
#ifndef JSON_H
#define JSON_H

#include "secuxflow.h"

struct json {
        const u8 *at, *end;
        const char *error; /* the first thing that went wrong, or null */
};

static inline int json_fail(struct json *j, const char *error) {
        if (!j->error)
                j->error = error;
        return 0;
}

static inline void json_space(struct json *j) {
        while (j->at < j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r'))
                j->at++;
}

/* Take `c` when it comes next. */
static inline int json_take(struct json *j, u8 c) {
        json_space(j);
        if (j->at == j->end || *j->at != c)
                return 0;
        j->at++;
        return 1;
}

/* A whole number from 0 to `max`. */
static inline int json_number(struct json *j, u32 max, u32 *out) {
        u32 n = 0;
        json_space(j);
        if (j->at == j->end || *j->at < '0' || *j->at > '9')
                return json_fail(j, "a whole number is expected");
        if (*j->at == '0' && j->end - j->at > 1 && j->at[1] >= '0' && j->at[1] <= '9')
                return json_fail(j, "a number must not begin with 0");
        for (; j->at < j->end && *j->at >= '0' && *j->at <= '9'; j->at++) {
                n = n * 10 + (*j->at - '0');
                if (n > max)
                        return json_fail(j, "a number is too large");
        }
        if (j->at < j->end && (*j->at == '.' || *j->at == 'e' || *j->at == 'E'))
                return json_fail(j, "a whole number is expected");
        *out = n;
        return 1;
}

/* A string of at most `size` bytes. */
static inline int json_string(struct json *j, u8 *out, u32 size, u32 *len) {
        u32 n = 0;
        if (!json_take(j, '"'))
                return json_fail(j, "a string is expected");
        while (j->at < j->end && *j->at != '"') {
                u8 c = *j->at++;
                if (c < 0x20)
                        return json_fail(j, "a string holds a control character");
                if (c == '\\') {
                        c = j->at < j->end ? *j->at++ : 0;
                        if (c != '"' && c != '\\' && c != '/')
                                return json_fail(j, "a string holds an escape other than \\\" \\\\ \\/");
                }
                if (n == size)
                        return json_fail(j, "a string is too long");
                out[n++] = c;
        }
        if (!json_take(j, '"'))
                return json_fail(j, "a string does not end");
        *len = n;
        return 1;
}

static inline int json_is(const u8 *s, u32 len, const char *word) {
        u32 i = 0;
        for (; i < len && word[i]; i++)
                if (s[i] != (u8)word[i])
                        return 0;
        return i == len && !word[i];
}

/* The whole configuration: one object, each of whose options `option` reads, key and value. 0 after a mistake. */
static int json_object(struct json *j, int (*option)(struct json *)) {
        if (!json_take(j, '{'))
                return json_fail(j, "an object { } is expected");
        if (!json_take(j, '}')) {
                do {
                        if (!option(j))
                                return 0;
                } while (json_take(j, ','));
                if (!json_take(j, '}'))
                        return json_fail(j, "} is expected");
        }
        json_space(j);
        return j->at == j->end || json_fail(j, "there is text behind the object");
}

#endif
