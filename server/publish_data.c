/* Manifests and data transcripts, on their way into the repository. */
#include <stdlib.h>
#include <unistd.h>

#include "common/gzip.h"
#include "server/publish_impl.h"
#include "transcripts/data.h"

#define PIECE_BYTES ((size_t)128 * 1024)

/* As good as a few hundredths of a second allow.  From: 1.8 MB of deltas and
 * new contents: level 8 takes 0.03 s and 540 kB, 12 the same and twice the
 * time, 17 takes 0.3 s and 511 kB, 19 takes 0.5 s and 502 kB. */
static int
level_for(uint64_t bytes)
{
	if (bytes <= (uint64_t)128 << 10)
		return 15;
	return bytes <= (uint64_t)64 << 20 ? 8 : 3;
}

/* A gzip_sink. */
static int
write_temp(void *arg, const void *data, size_t len, struct err *e)
{
	return repo_temp_write(arg, data, len, e);
}

static int
compress(struct publish_tree *t, struct gzip_writer *gz, struct err *e)
{
	struct publish_part text = { t->text_fd, 0, t->t->manifest_bytes };
	uint8_t *piece = malloc(PIECE_BYTES);
	size_t got = 1;
	int ret = piece == NULL ? err_memory(e) : 0;

	while (ret == 0 && got > 0) {
		ret = publish_read_part(&text, piece, PIECE_BYTES, &got, e);
		if (ret == 0 && got > 0)
			ret = gzip_writer_feed(gz, piece, got, e);
	}
	free(piece);
	return ret == 0 ? gzip_writer_end(gz, e) : ret;
}

int
publish_put_manifest(struct publish_tree *t, struct err *e)
{
	struct repo_temp temp = REPO_TEMP_INIT;
	struct repo *r = t->p->o->repo;
	struct gzip_writer *gz = NULL;
	char path[REPO_PATH_BYTES];
	int ret = repo_temp_new(r, &temp, e);

	if (ret == 0)
		ret = gzip_writer_new(write_temp, &temp, &gz, e);
	if (ret == 0)
		ret = compress(t, gz, e);
	repo_path_manifest(path, &t->t->manifest);
	if (ret == 0)
		ret = repo_temp_install(r, &temp, path, e);
	gzip_writer_free(gz);
	repo_temp_discard(r, &temp);
	return ret;
}

static struct publish_part
spooled(const struct publish_tree *t, const struct publish_spooled *delta)
{
	return (struct publish_part){ t->spool_fd, delta->at, delta->bytes };
}

static int
add_manifest(struct publish_tree *t, struct data_writer *w, struct err *e)
{
	struct data_member m = { .kind = DATA_MANIFEST,
		.digest = t->t->manifest,
		.size_bytes = t->t->manifest_bytes };
	struct publish_part part = { t->text_fd, 0, t->t->manifest_bytes };

	if (t->manifest_delta.bytes > 0) {
		m.kind = DATA_MANIFEST_DELTA;
		m.basis = t->was->manifest;
		m.size_bytes = t->manifest_delta.bytes;
		part = spooled(t, &t->manifest_delta);
	}
	return data_writer_add(w, &m, publish_read_part, &part, e);
}

static int
add_delta(struct publish_tree *t, struct data_writer *w,
    const struct publish_wanted *wanted, struct err *e)
{
	struct data_member m = { .kind = DATA_DELTA,
		.digest = wanted->digest,
		.basis = wanted->basis,
		.size_bytes = wanted->delta.bytes };
	struct publish_part part = spooled(t, &wanted->delta);

	t->result->deltas++;
	return data_writer_add(w, &m, publish_read_part, &part, e);
}

static int
add_object(struct publish_tree *t, struct data_writer *w,
    const struct publish_wanted *wanted, struct err *e)
{
	struct data_member m = { .kind = DATA_OBJECT,
		.digest = wanted->digest,
		.size_bytes = wanted->size_bytes };
	struct publish_part part = { -1, 0, wanted->size_bytes };
	struct publish_kit *kit = NULL;
	int ret = publish_kit_take(t->p, &kit, e);

	if (ret != 0)
		return ret;
	ret = object_open_content(
	    kit->reader, &wanted->digest, wanted->size_bytes, &part.fd, e);
	publish_kit_give(t->p, kit);
	if (ret != 0)
		return ret;
	t->result->full_objects++;
	ret = data_writer_add(w, &m, publish_read_part, &part, e);
	close(part.fd);
	progress_add(t->p->options->progress, 1, wanted->size_bytes);
	return ret;
}

static int
add_all(struct publish_tree *t, struct data_writer *w, struct err *e)
{
	int ret = add_manifest(t, w, e);

	for (size_t i = 0; ret == 0 && i < t->wanted_count; i++)
		if (t->wanted[i]->delta.bytes > 0)
			ret = add_delta(t, w, t->wanted[i], e);
	for (size_t i = 0; ret == 0 && i < t->wanted_count; i++)
		if (t->wanted[i]->delta.bytes == 0)
			ret = add_object(t, w, t->wanted[i], e);
	return ret;
}

static uint64_t
total_bytes(const struct publish_tree *t)
{
	uint64_t total = t->manifest_delta.bytes > 0 ? t->manifest_delta.bytes
	                                             : t->t->manifest_bytes;

	for (size_t i = 0; i < t->wanted_count; i++)
		total += t->wanted[i]->delta.bytes > 0
		    ? t->wanted[i]->delta.bytes
		    : t->wanted[i]->size_bytes;
	return total;
}

static int
write_data(struct publish_tree *t, struct repo_temp *temp, struct err *e)
{
	uint64_t total = total_bytes(t);
	struct data_options options = { .fd = temp->fd,
		.level = level_for(total),
		.mtime = t->p->now.created,
		.content_bytes = total };
	struct data_writer *w = NULL;
	int ret = data_writer_new(&options, &w, e);

	if (ret == 0)
		ret = add_all(t, w, e);
	if (ret == 0)
		ret = data_writer_end(w, &t->t->data, &t->t->data_bytes, e);
	data_writer_free(w);
	return ret;
}

int
publish_put_data(struct publish_tree *t, struct err *e)
{
	struct repo_temp temp = REPO_TEMP_INIT;
	struct repo *r = t->p->o->repo;
	char path[REPO_PATH_BYTES];
	int ret;

	progress_begin(t->p->options->progress, "packing", t->t->name);
	/* Its compressor needs the memory. */
	publish_kits_free(t->p);
	ret = repo_temp_new(r, &temp, e);
	if (ret == 0)
		ret = write_data(t, &temp, e);
	if (ret == 0) {
		repo_path_data(path, &t->t->data);
		ret = repo_temp_install(r, &temp, path, e);
	}
	repo_temp_discard(r, &temp);
	if (ret != 0)
		return ret;
	t->t->has_data = true;
	t->result->data_bytes = t->t->data_bytes;
	return 0;
}
