#include "transcripts/data_archive.h"

#include <stdlib.h>

#include <archive.h>
#include <archive_entry.h>

#define BLOCK_BYTES ((size_t)128 * 1024)

struct data_archive {
	struct archive *archive;
};

static int
fail(struct data_archive *a, struct err *e)
{
	const char *why = archive_error_string(a->archive);

	return err_set(
	    e, ERR_FORMAT, "archive: %s", why != NULL ? why : "damaged");
}

int
data_archive_open(int fd, struct data_archive **out, struct err *e)
{
	struct data_archive *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return err_memory(e);
	a->archive = archive_read_new();
	if (a->archive == NULL) {
		free(a);
		return err_memory(e);
	}
	/* A warning says that a filter would need another program. */
	if (archive_read_support_filter_all(a->archive) < ARCHIVE_WARN ||
	    archive_read_support_format_tar(a->archive) != ARCHIVE_OK ||
	    archive_read_support_format_cpio(a->archive) != ARCHIVE_OK ||
	    archive_read_support_format_zip(a->archive) != ARCHIVE_OK ||
	    archive_read_open_fd(a->archive, fd, BLOCK_BYTES) != ARCHIVE_OK) {
		(void)fail(a, e);
		data_archive_free(a);
		return e->code;
	}
	*out = a;
	return 0;
}

void
data_archive_free(struct data_archive *a)
{
	if (a == NULL)
		return;
	archive_read_free(a->archive);
	free(a);
}

int
data_archive_next(
    struct data_archive *a, uint64_t *size_bytes, bool *more, struct err *e)
{
	struct archive_entry *entry;

	for (;;) {
		int status = archive_read_next_header(a->archive, &entry);

		*more = status != ARCHIVE_EOF;
		if (!*more)
			return 0;
		if (status < ARCHIVE_WARN)
			return fail(a, e);
		if (archive_entry_filetype(entry) == AE_IFREG &&
		    archive_entry_hardlink(entry) == NULL &&
		    archive_entry_size_is_set(entry) &&
		    archive_entry_size(entry) >= 0)
			break;
	}
	*size_bytes = (uint64_t)archive_entry_size(entry);
	return 0;
}

int
data_archive_read(
    struct data_archive *a, void *dst, size_t size, size_t *got, struct err *e)
{
	la_ssize_t n = archive_read_data(a->archive, dst, size);

	if (n < 0)
		return fail(a, e);
	*got = (size_t)n;
	return 0;
}
