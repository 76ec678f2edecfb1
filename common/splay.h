/* Splay: hosts that would all do something at the same time do it one after
 * another. */
#ifndef COMMON_SPLAY_H
#define COMMON_SPLAY_H

#include <stdint.h>

/* A host's share of a splay, below it: the first 8 bytes of the SHA-256 of its
 * name, as a big-endian number, modulo the splay; 0 of 0.  A host keeps its own;
 * those of many hosts are spread evenly. */
uint64_t splay_share(uint64_t splay, const char *host);
/* The same by the name of this machine. */
uint64_t splay_own_share(uint64_t splay);

#endif
