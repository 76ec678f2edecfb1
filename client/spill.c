/* Memory for what grows with a tree; runs in the applier. */
#include "client/spill.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/fsat.h"

#define ZEROS_BYTES ((size_t)65536)

void
spill_init(struct spill *s, int dir)
{
	*s = (struct spill){ .dir = dir, .fd = -1 };
}

void
spill_release(struct spill *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->parts[i].is_mapped)
			(void)munmap(s->parts[i].at, s->parts[i].bytes);
		else
			free(s->parts[i].at);
	}
	free(s->parts);
	if (s->fd >= 0)
		close(s->fd);
	spill_init(s, s->dir);
}

static size_t
whole_pages(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

static bool
fits_memory(const struct spill *s, size_t bytes)
{
	return s->dir < 0 ||
	    (s->fd < 0 && s->heap_bytes + bytes <= SPILL_MEMORY_BYTES);
}

/* Writes zeros to the end of the file: room that is promised can be missing
 * later. */
static int
lengthen(struct spill *s, uint64_t bytes, struct err *e)
{
	static const uint8_t zeros[ZEROS_BYTES];
	int rc = s->fd < 0 ? fsat_unnamed(s->dir, ".", &s->fd, e) : 0;

	if (rc == 0 && lseek(s->fd, (off_t)s->file_bytes, SEEK_SET) < 0)
		rc = err_sys(e, "spill");
	for (uint64_t left = bytes; rc == 0 && left > 0;) {
		size_t n = left < ZEROS_BYTES ? (size_t)left : ZEROS_BYTES;

		rc = fsat_write_all(s->fd, zeros, n, e);
		left -= n;
	}
	if (rc == 0)
		s->file_bytes += bytes;
	return rc;
}

/* Another `bytes` of the file, whole pages. */
static int
map(struct spill *s, size_t bytes, void **out, struct err *e)
{
	uint64_t at = s->file_bytes;
	void *p;
	int rc = lengthen(s, bytes, e);

	if (rc != 0)
		return rc;
	p = mmap(
	    NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, (off_t)at);
	if (p == MAP_FAILED)
		return err_sys(e, "spill");
	*out = p;
	return 0;
}

static int
add_part(struct spill *s, struct err *e)
{
	size_t room = s->room == 0 ? 8 : 2 * s->room;
	struct spill_part *parts;

	if (s->count < s->room)
		return 0;
	parts = reallocarray(s->parts, room, sizeof(*parts));
	if (parts == NULL)
		return err_memory(e);
	s->parts = parts;
	s->room = room;
	return 0;
}

int
spill_add(struct spill *s, size_t bytes, void **out, struct err *e)
{
	struct spill_part part = { .bytes = bytes };
	int rc = add_part(s, e);

	if (rc != 0)
		return rc;
	if (fits_memory(s, bytes)) {
		part.at = malloc(bytes);
		if (part.at == NULL)
			return err_memory(e);
		s->heap_bytes += bytes;
	} else {
		part.bytes = whole_pages(bytes);
		part.is_mapped = true;
		rc = map(s, part.bytes, &part.at, e);
		if (rc != 0)
			return rc;
	}
	s->parts[s->count++] = part;
	*out = part.at;
	return 0;
}

/* From the heap into the file. */
static int
move_out(struct spill *s, struct spill_part *part, size_t bytes, struct err *e)
{
	void *p = NULL;
	int rc = map(s, bytes, &p, e);

	if (rc != 0)
		return rc;
	memcpy(p, part->at, part->bytes);
	free(part->at);
	*part = (struct spill_part){ p, bytes, true };
	return 0;
}

static int
remap(struct spill *s, struct spill_part *part, size_t bytes, struct err *e)
{
	int rc = lengthen(s, bytes - part->bytes, e);
	void *p;

	if (rc != 0)
		return rc;
	p = mremap(part->at, part->bytes, bytes, MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		return err_sys(e, "spill");
	part->at = p;
	part->bytes = bytes;
	return 0;
}

static int
resize_heap(struct spill_part *part, size_t bytes, struct err *e)
{
	void *p = realloc(part->at, bytes);

	if (p == NULL)
		return err_memory(e);
	part->at = p;
	part->bytes = bytes;
	return 0;
}

int
spill_resize(struct spill *s, size_t bytes, void **out, struct err *e)
{
	struct spill_part *part;
	int rc = 0;

	if (s->count == 0)
		return spill_add(s, bytes, out, e);
	part = &s->parts[0];
	if (part->bytes < bytes) {
		if (part->is_mapped)
			rc = remap(s, part, whole_pages(bytes), e);
		else if (s->dir < 0 || bytes <= SPILL_MEMORY_BYTES)
			rc = resize_heap(part, bytes, e);
		else
			rc = move_out(s, part, whole_pages(bytes), e);
	}
	if (rc == 0)
		*out = part->at;
	return rc;
}

void
spill_ease(const struct spill *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->parts[i].is_mapped)
			(void)madvise(
			    s->parts[i].at, s->parts[i].bytes, MADV_DONTNEED);
}
