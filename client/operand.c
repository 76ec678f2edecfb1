/* What operators call a path; pure functions. */
#include "client/operand.h"

#include "transcripts/manifest.h"

int
operand_path(const char *text, char out[LIMIT_PATH_BYTES + 1], struct err *e)
{
	const char *start = text + strspn(text, "/"), *fault;
	size_t len = strlen(start);

	while (len > 0 && start[len - 1] == '/')
		len--;
	if ((len == 0 && *text == '/') || (len == 1 && *start == '.')) {
		memcpy(out, ".", 2);
		return 0;
	}
	fault = manifest_path_fault(start, len);
	if (fault != NULL)
		return err_set(e, ERR_USAGE, "path %s: %s", text, fault);
	memcpy(out, start, len);
	out[len] = '\0';
	return 0;
}

bool
operand_within(const char *path, const char *top)
{
	size_t len = strlen(top);

	return strcmp(top, ".") == 0 ||
	    (strncmp(path, top, len) == 0 &&
	        (path[len] == '\0' || path[len] == '/'));
}
