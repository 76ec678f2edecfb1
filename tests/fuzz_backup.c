/* Backups: the header, as it is read before the secret is known, and the tar,
 * as whoever knows the secret may have made it.  What is accepted must be
 * written back byte by byte. */
#include "tests/fuzz.h"

#include <stdlib.h>

#include "server/backup.h"

static void
try_tar(const uint8_t *data, size_t size)
{
	struct backup b;
	struct buf again;

	backup_init(&b);
	if (backup_read_tar(data, size, &b, NULL) != 0)
		return;
	buf_init(&again, LIMIT_BACKUP_BYTES);
	if (backup_write_tar(&b, &again, NULL) != 0 || again.len != size ||
	    memcmp(again.data, data, size) != 0)
		abort();
	buf_release(&again);
	backup_release(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct backup_header h;

	if (size > LIMIT_BACKUP_BYTES)
		return 0;
	if (backup_read_header(data, size, &h, NULL) == 0) {
		if (h.cost.log_n < 1 || h.cost.log_n > LIMIT_SCRYPT_LOG ||
		    h.cost.p < 1 || h.cost.p > LIMIT_SCRYPT_PARALLEL ||
		    h.length + h.bytes + SEAL_MAC_BYTES != size)
			abort();
		/* As if it were not encrypted. */
		try_tar(data + h.length, (size_t)h.bytes);
	}
	try_tar(data, size);
	return 0;
}
