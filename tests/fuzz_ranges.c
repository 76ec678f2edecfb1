/* Requests for objects by number, as a server reads them. */
#include "tests/fuzz.h"

#include <stdlib.h>

#include "common/limits.h"
#include "server/serve_batch.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r;
	uint64_t count = 0, end = 0;

	reader_init(&r, data, size);
	if (serve_batch_ranges(r, &count, &end) &&
	    (count == 0 || count > LIMIT_BATCH_OBJECTS || count > end ||
	        end > LIMIT_SELECT_FILES))
		abort();
	return 0;
}
