/* The origin's signing keys: Ed25519, one PEM file each, in one directory. */
#ifndef SERVER_KEYS_H
#define SERVER_KEYS_H

#include <stdbool.h>

#include "common/crypto_key.h"

enum keys_name {
	KEYS_ROOT,    /* root.pem: signs trust roots; better kept off line */
	KEYS_RELEASE, /* release.pem: releases and rosters */
	KEYS_HEAD,    /* head.pem: heads, on line */
	KEYS_COUNT,
	/* What is to replace them: root.next.pem, ... */
	KEYS_ROOT_NEXT = KEYS_COUNT,
	KEYS_RELEASE_NEXT,
	KEYS_HEAD_NEXT,
	KEYS_FILES,
};

/* "root.pem", ... */
const char *keys_file(enum keys_name which);

/* Makes the directory (0700) and the key file (0600), durable when this
 * returns; a crash leaves a whole file or none.  ERR_CONFLICT: the file is
 * there already; it is left alone. */
MUST_CHECK int keys_create(
    const char *dir, enum keys_name which, struct key **out, struct err *e);
/* The file's bytes, with the errors of keys_open.  buf_wipe them. */
MUST_CHECK int keys_read(
    const char *dir, enum keys_name which, struct buf *pem, struct err *e);
/* Makes a private file (0600) in a held directory, as a whole and durable, if
 * the name is free; else ERR_CONFLICT. */
MUST_CHECK int keys_put(
    int dir_fd, const char *file, const struct buf *content, struct err *e);
/* ERR_NOT_FOUND names the file; ERR_USAGE: others than its owner may write
 * it, or others than owner and group may read it.  Free with key_free. */
MUST_CHECK int keys_open(
    const char *dir, enum keys_name which, struct key **out, struct err *e);
/* Whether the file is there; no error when the directory is not. */
MUST_CHECK int keys_has(
    const char *dir, enum keys_name which, bool *has, struct err *e);

#endif
