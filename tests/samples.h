/* Signed statements to test with: keys that are always the same, one valid
 * sample of each kind, and ways to damage one. */
#ifndef TESTS_SAMPLES_H
#define TESTS_SAMPLES_H

#include "transcripts/head.h"
#include "transcripts/release.h"
#include "transcripts/roster.h"

#define SAMPLE_NOW     ((time_t)1795413744) /* 2026-11-23T06:02:24Z */
#define SAMPLE_DAY     ((time_t)86400)
#define SAMPLE_CHANNEL "production"

/* Who holds which key in the sample root. */
enum sample_key {
	SAMPLE_ROOT_A,
	SAMPLE_ROOT_B,
	SAMPLE_RELEASE,
	SAMPLE_HEAD,
	SAMPLE_ROSTER,
	SAMPLE_SPARE, /* in no role */
	SAMPLE_KEYS,
};

/* The private key; free with key_free. */
struct key *sample_key(enum sample_key which);
void sample_public(enum sample_key which, struct key_public *out);
void sample_id(enum sample_key which, char id[KEY_ID_HEX]);
void sample_digest(uint8_t fill, struct digest *out);

/* Body text and signatures of these keys, -1 at the end of the list.
 * Release with buf_release. */
void sample_sign(struct buf *text, ...);

/* Fields of valid samples.  Root: version 1, two of two root keys, a year to
 * live.  Release: serial 1; transcripts base and web, profile www. */
void sample_root(struct root *r);
void sample_roster(struct roster *r);
void sample_head(struct head *h);
void sample_release(struct release *r);

/* Signed by whom the sample root says; `text` is initialised. */
void sample_root_text(struct buf *text, const struct root *r);
void sample_roster_text(struct buf *text, const struct roster *r);
void sample_head_text(struct buf *text, const struct head *h);
void sample_release_text(struct buf *text, const struct release *r);

/* Calls read with shorter and bit-flipped copies of the text (every one with
 * step 1, every step-th with a larger one), which must refuse each of them with ERR_FORMAT or ERR_VERIFY and a message; and
 * with the text as it is, which must be accepted. */
typedef int (*sample_reader)(
    void *arg, const void *data, size_t len, struct err *e);
void sample_damage(
    const struct buf *text, size_t step, sample_reader read, void *arg);

/* A body with `old` replaced by `new`: for rows of what a parser refuses.
 * `old` must be in it. */
void sample_replace(
    struct buf *out, const struct buf *body, const char *old, const char *new);

#endif
