/* Memory that two processes share, cut into slots: one fills a slot and says by a
 * message which, and the other copies it out before it looks at it, as the first
 * can still write there.  Nothing else in that memory is read by the second, and
 * who takes slots may be one process now and its child then. */
#ifndef COMMON_IPC_SLOTS_H
#define COMMON_IPC_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* The largest piece of content, what names it and headers. */
#define IPC_SLOT_BYTES ((size_t)(131072 + 4096))
#define IPC_SLOTS      8 /* in flight: as much as the socket would hold */

struct ipc_slots;

/* Before the fork; each process frees its own. */
MUST_CHECK int ipc_slots_new(struct ipc_slots **out, struct err *e);
void ipc_slots_free(struct ipc_slots *s);

/* Waits until a slot is free; they are to be used in turn, 0 to IPC_SLOTS - 1.
 * ERR_NET: the other end of the socket `fd` has gone; ERR_TIMEOUT: it took nothing
 * for an hour. */
MUST_CHECK int ipc_slots_claim(
    struct ipc_slots *s, size_t slot, int fd, uint8_t **at, struct err *e);
/* Copies out the first len bytes of that slot, which is then free again. */
void ipc_slots_take(struct ipc_slots *s, size_t slot, void *dst, size_t len);

#endif
