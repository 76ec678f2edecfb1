/* Text as our formats write it: hex, escaped names, canonical numbers, times.
 * Pure functions; every parser accepts one spelling only. */
#ifndef COMMON_TEXT_H
#define COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/buf.h"
#include "common/err.h"

#define TEXT_TIME_BYTES 21 /* "2026-11-23T06:22:24Z" and a NUL */

/* Lower-case hex of len bytes into dst, which holds 2*len+1. */
void text_hex(char *dst, const uint8_t *src, size_t len);
/* Exactly 2*len lower-case hex digits into dst. */
MUST_CHECK int text_unhex(
    uint8_t *dst, size_t len, const char *src, size_t src_len);

/* Adds len bytes with those <= 0x20, '\' and 0x7f as \ooo.  An empty text is
 * written as "\-", which no other text becomes. */
void text_escape(struct buf *b, const char *s, size_t len);
/* The inverse into dst (size bytes, NUL added).  ERR_FORMAT: anything that
 * text_escape would not have written, or a NUL; ERR_LIMIT: too long. */
MUST_CHECK int text_unescape(
    char *dst, size_t size, const char *s, size_t len, size_t *out_len);

/* Canonical decimal (no sign, no leading zero) up to max (ERR_LIMIT past it). */
MUST_CHECK int text_u64(const char *s, size_t len, uint64_t max, uint64_t *v);
/* As operators write them: a number, or one with a unit behind it: s, m, h, d;
 * K, M, G, T (powers of 1024). */
MUST_CHECK int text_seconds(const char *s, uint64_t *v);
MUST_CHECK int text_size(const char *s, uint64_t *v);
/* Octal of exactly `len` digits (1 to 10), as in file modes. */
MUST_CHECK int text_octal(const char *s, size_t len, uint32_t *v);

/* UTC, RFC 3339 to the second.  Years 1970 to 9999; times outside are written
 * as the nearest of them. */
void text_time(char dst[TEXT_TIME_BYTES], time_t t);
MUST_CHECK int text_untime(const char *s, size_t len, time_t *t);

/* Names of channels, transcripts, profiles, mirrors and sites: 1 to 64 of
 * [A-Za-z0-9._-], first a letter or digit, so that each is a safe file name. */
bool text_is_name(const char *s, size_t len);

/* "sha256:" and 64 hex digits, or the digits alone. */
MUST_CHECK int text_sha256(const char *s, uint8_t dst[32]);

/* HOST, HOST:PORT, [V6] or [V6]:PORT as operators write it; port 0 is what a
 * listener asks for to get any.  host holds 256. */
MUST_CHECK int text_host_port(const char *s, uint16_t default_port, char *host,
    uint16_t *port, struct err *e);

/* Bytes (1 to 4) of the well-formed UTF-8 character at s, 0 when there is none
 * or it is a control character. */
size_t text_utf8(const char *s, size_t len);

/* Sizes and times as people read them: "1.2 MB", "350 ms". */
void text_bytes(char *dst, size_t size, uint64_t bytes);

/* Order of paths in manifests and walks: bytes, with '/' below all others. */
int text_path_cmp(const char *a, const char *b);

/* Shell pattern (fnmatch, '*' does not match '/') against a path: with a '/'
 * in it, the pattern is anchored at the top; without, it is tried against
 * each component's name.  A match on a directory takes all below it. */
bool text_path_match(const char *pattern, const char *path);

#endif
