/* A secret for a backup: asked for at the terminal, or from a file. */
#ifndef SERVER_PASSPHRASE_H
#define SERVER_PASSPHRASE_H

#include "common/buf.h"

/* At least so many bytes of a key file, which must not be guessed. */
#define PASSPHRASE_KEY_FILE_MIN 16

/* Asks on standard error and reads from standard input, which must be a
 * terminal (else ERR_USAGE), without echo; `twice` when a new one is chosen.
 * Interrupted by its user it is ERR_USAGE.  buf_wipe what was made with room
 * for LIMIT_SECRET_BYTES. */
MUST_CHECK int passphrase_ask(
    const char *what, bool twice, struct buf *out, struct err *e);
/* The first line of a file, without its end. */
MUST_CHECK int passphrase_from_file(
    const char *path, struct buf *out, struct err *e);
/* All bytes of a file. */
MUST_CHECK int passphrase_from_key_file(
    const char *path, struct buf *out, struct err *e);

#endif
