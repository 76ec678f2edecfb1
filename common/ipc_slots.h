/* Memory that two processes share, cut into slots: what one puts into a slot it
 * tells of by a message, and the other copies it out before it looks at it, as
 * the first can still write there.  Slots are used in turn; each process counts
 * the turns itself, so that nothing which the other may write is relied on. */
#ifndef COMMON_IPC_SLOTS_H
#define COMMON_IPC_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* The largest piece of content, what names it and headers. */
#define IPC_SLOT_BYTES ((size_t)(131072 + 4096))

struct ipc_slots;

/* Before the fork; each process frees its own. */
MUST_CHECK int ipc_slots_new(struct ipc_slots **out, struct err *e);
void ipc_slots_free(struct ipc_slots *s);

/* Waits until the slot of this turn (0, 1..) may be written.  ERR_NET: the other
 * end of the socket `fd` has gone; ERR_TIMEOUT: it took nothing for an hour. */
MUST_CHECK int ipc_slots_claim(
    struct ipc_slots *s, size_t turn, int fd, uint8_t **slot, struct err *e);
/* Copies out the first len bytes of that slot, which is then free again. */
void ipc_slots_take(struct ipc_slots *s, size_t turn, void *dst, size_t len);

#endif
