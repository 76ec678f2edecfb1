/* Numbers of files.  Runs in peciad's workers. */
#include "server/serve_numbers.h"

#include <unistd.h>

#include "common/clock.h"
#include "common/fsat.h"
#include "transcripts/manifest.h"

#define PAUSE 9 /* times as long as reading took */

void
serve_numbers_init(struct serve_numbers *n, int repo, struct serve_slot *slot)
{
	*n = (struct serve_numbers){ .repo = repo, .slot = slot };
	for (size_t i = 0; i < LIMIT_SELECT_MANIFESTS; i++)
		buf_init(&n->list[i].digests,
		    (size_t)LIMIT_SELECT_FILES * DIGEST_BYTES);
}

void
serve_numbers_release(struct serve_numbers *n)
{
	for (size_t i = 0; i < LIMIT_SELECT_MANIFESTS; i++)
		buf_release(&n->list[i].digests);
}

static int
number_files(
    struct manifest_reader *reader, struct serve_numbered *to, struct err *e)
{
	const struct manifest_entry *entry = NULL;
	struct digest got;
	uint64_t bytes;
	int rc;

	while ((rc = manifest_reader_next(reader, &entry, e)) == 0 &&
	    entry != NULL) {
		if (entry->type == MANIFEST_FILE)
			buf_add(&to->digests, entry->digest.b, DIGEST_BYTES);
	}
	if (rc == 0)
		rc = buf_check(&to->digests, "files", e);
	if (rc != 0)
		return rc;
	manifest_reader_digest(reader, &got, &bytes);
	return digest_equal(&got, &to->manifest)
	    ? 0
	    : err_set(e, ERR_VERIFY, "wrong digest");
}

static int
read_manifest(
    int repo, const char *file, struct serve_numbered *to, struct err *e)
{
	struct manifest_reader *reader = NULL;
	int fd = -1, rc = fsat_open_file(repo, file, &fd, e);

	if (rc != 0)
		return rc;
	rc = manifest_reader_open_gzip(fd, LIMIT_SELECT_TEXT, &reader, e);
	if (rc == 0)
		rc = number_files(reader, to, e);
	manifest_reader_free(reader);
	close(fd);
	return rc;
}

/* The one that is to be had, or else that can best be done without; NULL: all
 * are in use. */
static struct serve_numbered *
find(struct serve_numbers *n, const struct digest *manifest)
{
	struct serve_numbered *spare = NULL;

	for (size_t i = 0; i < LIMIT_SELECT_MANIFESTS; i++) {
		struct serve_numbered *it = &n->list[i];

		if (it->digests.len > 0 &&
		    digest_equal(&it->manifest, manifest))
			return it;
		if (it->users == 0 &&
		    (spare == NULL || it->asked < spare->asked))
			spare = it;
	}
	return spare;
}

static int
fill(struct serve_numbers *n, struct serve_numbered *to, struct err *e)
{
	char hex[DIGEST_HEX], file[96];
	uint64_t begin = clock_ms(), end;
	int rc;

	if (begin < n->due_ms)
		return err_set(e, ERR_NOT_FOUND, "too many manifests");
	digest_hex(&to->manifest, hex);
	(void)snprintf(file, sizeof(file), "v1/manifest/%s", hex);
	rc = read_manifest(n->repo, file, to, e);
	end = clock_ms();
	n->due_ms = end + PAUSE * (end - begin);
	if (rc == 0)
		return 0;
	buf_release(&to->digests);
	if (rc != ERR_NOT_FOUND && rc != ERR_LIMIT)
		serve_warn(n->slot, "cannot number manifest", e, file);
	return err_set(e, ERR_NOT_FOUND, "no such manifest");
}

int
serve_numbers_take(struct serve_numbers *n, const struct digest *manifest,
    struct serve_numbered **out, struct err *e)
{
	struct serve_numbered *it = find(n, manifest);
	int rc = 0;

	if (it == NULL)
		return err_set(e, ERR_NOT_FOUND, "too many manifests");
	if (it->digests.len == 0 || !digest_equal(&it->manifest, manifest)) {
		buf_release(&it->digests);
		it->manifest = *manifest;
		rc = fill(n, it, e);
	}
	if (rc != 0)
		return rc;
	it->asked = ++n->asked;
	it->users++;
	*out = it;
	return 0;
}

void
serve_numbers_give(struct serve_numbered *numbered)
{
	numbered->users--;
}
