/* Writing JSON, hexadecimal and base64url: each function writes at `at`, where the caller has made
 * room, and gives the place behind what it wrote.
 */

#ifndef AUDIT_STREAM_WRITING_H
#define AUDIT_STREAM_WRITING_H

#include <string.h>

typedef struct {
    const char *at; /* UTF-8; NULL for None */
    size_t len;
} Text;

static inline char *put(char *at, const void *data, size_t len) {
    memcpy(at, data, len);
    return at + len;
}

#define PUT(at, literal) put(at, literal, sizeof(literal) - 1)

static inline char *hex(char *at, const unsigned char *data, size_t len) {
    static const char set[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *at++ = set[data[i] >> 4];
        *at++ = set[data[i] & 15];
    }
    return at;
}

static inline char *b64url(char *at, const unsigned char *in, size_t len) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t i;
    for (i = 0; i + 2 < len; i += 3) {
        *at++ = set[in[i] >> 2];
        *at++ = set[(in[i] & 3) << 4 | in[i + 1] >> 4];
        *at++ = set[(in[i + 1] & 15) << 2 | in[i + 2] >> 6];
        *at++ = set[in[i + 2] & 63];
    }
    if (i < len) {
        *at++ = set[in[i] >> 2];
        *at++ = set[(in[i] & 3) << 4 | (i + 1 < len ? in[i + 1] >> 4 : 0)];
        if (i + 1 < len) *at++ = set[(in[i + 1] & 15) << 2];
    }
    return at;
}

static inline size_t b64url_len(size_t len) { return (len * 4 + 2) / 3; }

static inline char *decimal(char *at, unsigned long long number) {
    char digits[20];
    int count = 0;
    do digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count) *at++ = digits[--count];
    return at;
}

/* The characters of a JSON text, escaped as RFC 8785 section 3.2.2.2 says: at most six each. */
static inline char *escaped(char *at, Text text) {
    static const char names[] = "btn?fr"; /* of 8 to 13 */
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c >= 0x20) {
            if (c == '"' || c == '\\') *at++ = '\\';
            *at++ = (char)c;
        } else if (c >= 8 && c <= 13 && c != 11) {
            *at++ = '\\';
            *at++ = names[c - 8];
        } else {
            at = PUT(at, "\\u00");
            at = hex(at, &c, 1);
        }
    }
    return at;
}

static inline char *json(char *at, Text text) {
    if (text.at == NULL) return PUT(at, "null");
    *at++ = '"';
    at = escaped(at, text);
    *at++ = '"';
    return at;
}

/* `source` is the text that every position of the partition begins with. */
static inline char *position(char *at, Text source, unsigned long long offset) {
    *at++ = '"';
    at = escaped(at, source);
    at = decimal(at, offset);
    *at++ = '"';
    return at;
}

#endif
