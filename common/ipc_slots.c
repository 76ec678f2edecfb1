#include "common/ipc_slots.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define WAIT_S 3600

struct ipc_slots {
	sem_t free; /* how many may be written */
	_Alignas(4096) uint8_t data[IPC_SLOTS][IPC_SLOT_BYTES];
};

int
ipc_slots_new(struct ipc_slots **out, struct err *e)
{
	struct ipc_slots *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		return err_sys(e, "memory for messages");
	if (sem_init(&s->free, 1, IPC_SLOTS) != 0) {
		ipc_slots_free(s);
		return err_sys(e, "semaphore");
	}
	*out = s;
	return 0;
}

void
ipc_slots_free(struct ipc_slots *s)
{
	if (s != NULL)
		(void)munmap(s, sizeof(*s));
}

/* For a second at most. */
static int
wait_for_one(struct ipc_slots *s)
{
	struct timespec until;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	do {
		rc = sem_clockwait(&s->free, CLOCK_MONOTONIC, &until);
	} while (rc != 0 && errno == EINTR);
	return rc == 0 ? 0 : errno;
}

int
ipc_slots_claim(
    struct ipc_slots *s, size_t slot, int fd, uint8_t **at, struct err *e)
{
	struct pollfd other = { .fd = fd };

	for (int waited_s = 0; waited_s < WAIT_S; waited_s++) {
		int why = wait_for_one(s);

		if (why == 0) {
			*at = s->data[slot];
			return 0;
		}
		if (why != ETIMEDOUT) {
			errno = why;
			return err_sys(e, "wait for room for a message");
		}
		if (poll(&other, 1, 0) > 0 &&
		    (other.revents & (POLLHUP | POLLERR)) != 0)
			return err_set(
			    e, ERR_NET, "the other process has gone");
	}
	return err_set(e, ERR_TIMEOUT, "the other process takes no message");
}

void
ipc_slots_take(struct ipc_slots *s, size_t slot, void *dst, size_t len)
{
	memcpy(dst, s->data[slot], len);
	(void)sem_post(&s->free);
}
