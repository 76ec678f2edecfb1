/* Heads of HTTP requests as a server reads them, and the path, query and range
 * in them. */
#include "tests/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "common/http_server_parse.h"
#include "server/serve_path.h"
#include "server/serve_range.h"

static void
read_further(const struct http_head *h)
{
	uint64_t first = 0, len = 0;
	struct serve_path path;
	char value[32];

	serve_path_parse(h->path, &path);
	if (http_head_query(h, "after", value, sizeof(value)) == 0 &&
	    strlen(value) >= sizeof(value))
		abort();
	(void)serve_tag_listed(http_head_field(h, "if-none-match"), "\"a\"");
	if (serve_range_parse(http_head_field(h, "range"), 1000, &first,
	        &len) == SERVE_RANGE_PART &&
	    (len == 0 || first >= 1000 || len > 1000 - first))
		abort();
	/* What the server promises of every path. */
	if (h->path[0] != '/' || strstr(h->path, "/../") != NULL ||
	    strstr(h->path, "//") != NULL || strchr(h->path, '\\') != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct err e = ERR_INIT;
	struct http_head head;
	unsigned status = 0;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (http_head_parse(text, size, &head, &status, &e) == 0)
		read_further(&head);
	else if (status < 400 || e.msg[0] == '\0')
		abort();
	free(text);
	return 0;
}
