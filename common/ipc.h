/* Framed messages between two of our processes, over a stream socketpair.
 *
 *     offset  bytes  big endian
 *     0       4      type, the caller's
 *     4       4      bit 31: a descriptor comes along; bit 30: whole messages
 *                    of as many bytes are in a slot of shared memory, the type
 *                    says in which; the rest: payload bytes
 *     8       ...    payload, at most LIMIT_IPC_BYTES
 *
 * Neither end trusts the other: lengths are checked, and a descriptor that
 * nobody takes is closed.  An end that has gone, or talks nonsense, is ERR_NET;
 * no error leaves a conversation that can go on. */
#ifndef COMMON_IPC_H
#define COMMON_IPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/ipc_slots.h"

#define IPC_FOREVER (-1)

struct ipc;

struct ipc_msg {
	uint32_t type;
	const uint8_t *data; /* len bytes, until the next ipc_recv */
	size_t len;
	bool has_fd; /* ipc_take_fd gives it */
};

/* Two connected descriptors, one for each process. */
MUST_CHECK int ipc_pair(int fds[2], struct err *e);
/* fd belongs to the ipc, after success only. */
MUST_CHECK int ipc_new(int fd, struct ipc **out, struct err *e);
/* Much content goes faster by shared memory: from here on all that one end
 * sends, if it is worth it, goes by `slots`, and the other takes it from there.
 * They stay the caller's. */
void ipc_send_by(struct ipc *ipc, struct ipc_slots *slots);
MUST_CHECK int ipc_take_from(
    struct ipc *ipc, struct ipc_slots *slots, struct err *e);
/* Closes its descriptor, too. */
void ipc_free(struct ipc *ipc);
/* For poll(2); look at ipc_is_ready before waiting for it. */
int ipc_fd(const struct ipc *ipc);
/* Whether a whole message has been read already. */
bool ipc_is_ready(const struct ipc *ipc);

/* All of it, or an error.  ERR_TIMEOUT: the other end took nothing for an
 * hour. */
MUST_CHECK int ipc_send(struct ipc *ipc, uint32_t type, const void *data,
    size_t len, struct err *e);
/* One message of head and data, which are not copied together first. */
struct ipc_part {
	const void *data;
	size_t len;
};
MUST_CHECK int ipc_send2(struct ipc *ipc, uint32_t type,
    const struct ipc_part parts[2], struct err *e);
/* From here on messages without a descriptor may wait for each other, so that many
 * small ones cost one system call; ipc_flush sends what waits, and ends that. */
void ipc_hold(struct ipc *ipc);
MUST_CHECK int ipc_flush(struct ipc *ipc, struct err *e);
/* With a copy of fd for the other process. */
MUST_CHECK int ipc_send_fd(struct ipc *ipc, uint32_t type, const void *data,
    size_t len, int fd, struct err *e);

/* Waits for the next message, timeout_ms at most (negative: as long as it
 * takes). */
MUST_CHECK int ipc_recv(
    struct ipc *ipc, struct ipc_msg *msg, int64_t timeout_ms, struct err *e);
/* The descriptor of the message last received, now the caller's to close, or
 * -1.  Not taken, it is closed by the next ipc_recv. */
int ipc_take_fd(struct ipc *ipc);

#endif
