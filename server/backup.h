/* A backup: what an origin has and no mirror's repository, in one file under a
 * passphrase.  The format is in doc/formats.md: a few lines of text, a tar
 * encrypted, an HMAC over both.
 *
 *     backup_init; backup_add...; backup_seal; backup_release
 *     backup_init; backup_open; look at entries; backup_release */
#ifndef SERVER_BACKUP_H
#define SERVER_BACKUP_H

#include <time.h>

#include "common/crypto_digest.h"
#include "common/crypto_seal.h"
#include "common/limits.h"

#define BACKUP_NAME_BYTES 101 /* ustar's, with the NUL */

struct backup_entry {
	char name[BACKUP_NAME_BYTES]; /* "keys/root.pem" */
	struct buf content;
};
struct backup {
	struct backup_entry *entries; /* no name twice */
	size_t count;
};

enum backup_secret {
	BACKUP_PASSPHRASE,
	BACKUP_KEY_FILE,
	BACKUP_SECRETS,
};

void backup_init(struct backup *b);
/* Wipes all content. */
void backup_release(struct backup *b);
/* One more entry with a copy of the content.  ERR_CONFLICT: the name is
 * there; ERR_USAGE: it is none; ERR_LIMIT. */
MUST_CHECK int backup_add(struct backup *b, const char *name, const void *data,
    size_t len, struct err *e);
/* The entry, or NULL. */
const struct backup_entry *backup_find(
    const struct backup *b, const char *name);

/* Whether it is one or more parts of [A-Za-z0-9._-], none of which begins with
 * '.', with '/' between them, short enough for a tar. */
bool backup_is_name(const char *name);

/* What is known of a file before its secret is. */
struct backup_header {
	time_t made;
	enum backup_secret secret;
	struct seal_cost cost;
	struct digest salt;
	uint64_t bytes; /* of the tar */
	size_t length;  /* of the header itself */
};
/* ERR_FORMAT: it is no backup, or cut short; ERR_LIMIT: it asks for more
 * memory or time than is allowed. */
MUST_CHECK int backup_read_header(
    const void *data, size_t len, struct backup_header *out, struct err *e);

/* Adds the file's bytes to `out`, which is made with room for
 * LIMIT_BACKUP_BYTES. */
MUST_CHECK int backup_seal(const struct backup *b, enum backup_secret kind,
    const struct seal_cost *cost, const struct buf *secret, struct buf *out,
    struct err *e);
/* ERR_VERIFY: another secret, or the file was changed.  `out` was
 * initialised, and is empty still after an error. */
MUST_CHECK int backup_open(const void *data, size_t len,
    const struct buf *secret, struct backup *out, struct err *e);

/* The tar alone.  It reads what it writes, and no other kind. */
MUST_CHECK int backup_write_tar(
    const struct backup *b, struct buf *out, struct err *e);
MUST_CHECK int backup_read_tar(
    const void *data, size_t len, struct backup *out, struct err *e);

#endif
