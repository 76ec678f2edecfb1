#include "server/board.h"

#include <string.h>
#include <sys/mman.h>

#define TRIES 1000 /* of reading a text that is being written */

int
board_new(struct board **out, struct err *e)
{
	struct board *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (b == MAP_FAILED)
		return err_sys(e, "shared memory for the board");
	*out = b;
	return 0;
}

void
board_free(struct board *b)
{
	if (b != NULL)
		munmap(b, sizeof(*b));
}

const char *
board_trouble_name(enum board_trouble trouble)
{
	static const char *const names[BOARD_TROUBLES] = {
		[BOARD_UNREACHABLE] = "unreachable",
		[BOARD_TIMEOUT] = "timeout",
		[BOARD_WRONG] = "wrong",
		[BOARD_LACKS] = "lacks",
		[BOARD_STORAGE] = "storage",
		[BOARD_OTHER] = "other",
	};

	return names[trouble];
}

void
board_say(struct board_text *t, const char *text)
{
	/* A predecessor that died while it wrote left it odd. */
	uint32_t turn = atomic_load(&t->turn) | 1u;
	size_t i;

	atomic_store(&t->turn, turn);
	for (i = 0; i + 1 < BOARD_TEXT_BYTES && text[i] != '\0'; i++)
		atomic_store(&t->bytes[i], text[i]);
	atomic_store(&t->bytes[i], '\0');
	atomic_store(&t->turn, turn + 1);
}

void
board_read(const struct board_text *t, char out[BOARD_TEXT_BYTES])
{
	for (unsigned tries = 0; tries < TRIES; tries++) {
		uint32_t turn = atomic_load(&t->turn);
		size_t i = 0;

		if (turn % 2 != 0)
			continue;
		do
			out[i] = atomic_load(&t->bytes[i]);
		while (out[i] != '\0' && ++i < BOARD_TEXT_BYTES);
		if (atomic_load(&t->turn) == turn && i < BOARD_TEXT_BYTES)
			return;
	}
	out[0] = '\0';
}
