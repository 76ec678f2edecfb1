/* A whole small repository to test with. */
#include "tests/sample_repo.h"

#include <check.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/gzip.h"
#include "transcripts/data.h"
#include "transcripts/manifest.h"
#include "transcripts/object.h"

#define OK(call) ck_assert_msg((call) == 0, "%s", e.msg)

struct file {
	const char *path;
	size_t size;
	char fill; /* its content, with a counter */
};

static const struct file files[SAMPLE_RELEASES][SAMPLE_FILES] = {
	{ { "etc/app.conf", 600, 'a' }, { "etc/motd", 20, 'b' },
	    { "usr/blob", 150000, 'c' } },
	{ { "etc/app.conf", 600, 'd' }, { "etc/motd", 20, 'b' },
	    { "usr/blob", 150000, 'c' } },
};

static char *
content_of(const struct file *f)
{
	char *text = malloc(f->size + 32);
	size_t len = 0;

	ck_assert_ptr_nonnull(text);
	for (unsigned i = 0; len < f->size; i++)
		len += (size_t)snprintf(
		    text + len, 32, "%c%u\n", f->fill, i * i * 7919U);
	return text;
}

struct gzipped {
	struct repo_temp temp;
	struct gzip_writer *gzip;
};

/* A manifest_sink. */
static int
compress(void *arg, const void *data, size_t len, struct err *e)
{
	struct gzipped *g = arg;

	return gzip_writer_feed(g->gzip, data, len, e);
}

/* A gzip_sink. */
static int
store(void *arg, const void *data, size_t len, struct err *e)
{
	struct gzipped *g = arg;

	return repo_temp_write(&g->temp, data, len, e);
}

static void
add_dir(struct manifest_writer *w, const char *path)
{
	struct manifest_entry d = { .type = MANIFEST_DIR,
		.path = path,
		.mode = 0755,
		.owner = "root",
		.group = "root",
		.mtime = { SAMPLE_NOW, 0 } };
	struct err e = ERR_INIT;

	OK(manifest_writer_add(w, &d, &e));
}

static void
add_file(struct manifest_writer *w, const struct file *f,
    const struct digest *digest)
{
	struct manifest_entry m = { .type = MANIFEST_FILE,
		.path = f->path,
		.mode = 0644,
		.owner = "root",
		.group = "root",
		.mtime = { SAMPLE_NOW, 123456789 },
		.size_bytes = f->size,
		.digest = *digest };
	struct err e = ERR_INIT;

	OK(manifest_writer_add(w, &m, &e));
}

static void
put_manifest(struct sample_repo *s, size_t n, struct manifest_totals *totals)
{
	struct gzipped g = { .temp = REPO_TEMP_INIT };
	struct manifest_writer *w = NULL;
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;

	OK(repo_temp_new(s->repo, &g.temp, &e));
	OK(gzip_writer_new(store, &g, &g.gzip, &e));
	OK(manifest_writer_new(compress, &g, &w, &e));
	add_dir(w, ".");
	add_dir(w, "etc");
	add_file(w, &files[n][0], &s->objects[n][0]);
	add_file(w, &files[n][1], &s->objects[n][1]);
	add_dir(w, "usr");
	add_file(w, &files[n][2], &s->objects[n][2]);
	OK(manifest_writer_end(w, totals, &e));
	OK(gzip_writer_end(g.gzip, &e));
	manifest_writer_free(w);
	gzip_writer_free(g.gzip);
	s->manifest[n] = totals->digest;
	repo_path_manifest(path, &totals->digest);
	OK(repo_temp_install(s->repo, &g.temp, path, &e));
}

/* A data_source: text, once. */
static int
give(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	const char **text = arg;
	size_t len = strlen(*text);

	(void)e;
	len = len < size ? len : size;
	memcpy(dst, *text, len);
	*text += len;
	*got = len;
	return 0;
}

static void
put_data(struct sample_repo *s, size_t n, uint64_t *size_bytes)
{
	struct repo_temp temp = REPO_TEMP_INIT;
	struct data_options options = { .level = 19, .mtime = SAMPLE_NOW };
	struct data_writer *w = NULL;
	struct data_member m = { .kind = DATA_OBJECT, .size_bytes = 6 };
	const char *text = "hello\n";
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;

	OK(repo_temp_new(s->repo, &temp, &e));
	options.fd = temp.fd;
	OK(data_writer_new(&options, &w, &e));
	m.digest = s->objects[n][0];
	OK(data_writer_add(w, &m, give, &text, &e));
	OK(data_writer_end(w, &s->data[n], size_bytes, &e));
	data_writer_free(w);
	repo_path_data(path, &s->data[n]);
	OK(repo_temp_install(s->repo, &temp, path, &e));
}

static void
put_objects(struct sample_repo *s, size_t n)
{
	struct object_writer *w = NULL;
	struct err e = ERR_INIT;
	struct object o;

	OK(object_writer_new(s->repo, 3, &w, &e));
	for (size_t i = 0; i < SAMPLE_FILES; i++) {
		char *text = content_of(&files[n][i]);

		OK(object_put_bytes(w, text, files[n][i].size, &o, &e));
		s->objects[n][i] = o.digest;
		free(text);
	}
	object_writer_free(w);
}

static void
put_release(struct sample_repo *s, size_t n)
{
	struct manifest_totals totals;
	struct release r;
	uint64_t data_bytes = 0;

	put_objects(s, n);
	put_manifest(s, n, &totals);
	put_data(s, n, &data_bytes);
	sample_release(&r);
	r.serial = n + 1;
	r.has_previous = n > 0;
	if (n > 0)
		r.previous = s->release[n - 1];
	for (size_t i = 0; i < r.transcript_count; i++) {
		r.transcripts[i].manifest = totals.digest;
		r.transcripts[i].manifest_bytes = totals.text_bytes;
		r.transcripts[i].entries = totals.entries;
		r.transcripts[i].content_bytes = totals.content_bytes;
	}
	r.transcripts[0].data = s->data[n];
	r.transcripts[0].data_bytes = data_bytes;
	sample_repo_publish(s, &r);
	s->release[n] = s->head.release;
	release_release(&r);
}

void
sample_repo_publish(struct sample_repo *s, const struct release *r)
{
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;
	struct buf text;

	sample_release_text(&text, r);
	sample_head(&s->head);
	s->head.serial = r->serial;
	s->head.release_bytes = text.len;
	digest_of(text.data, text.len, &s->head.release);
	repo_path_release(path, &s->head.release);
	OK(repo_put_statement(s->repo, path, text.data, text.len, &e));
	buf_release(&text);
	sample_head_text(&text, &s->head);
	/* Without the sync of repo_switch_head, which waits for whatever else
	 * the machine is writing. */
	OK(repo_path_channel(path, SAMPLE_CHANNEL, &e));
	OK(repo_put_statement(s->repo, path, text.data, text.len, &e));
	buf_release(&text);
}

static void
put_trust(struct sample_repo *s)
{
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;
	struct roster roster;
	struct buf text;

	sample_root(&s->root);
	sample_root_text(&text, &s->root);
	repo_path_root(path, 1);
	OK(repo_put_statement(s->repo, path, text.data, text.len, &e));
	buf_release(&text);
	sample_roster(&roster);
	roster.version = 1;
	sample_roster_text(&text, &roster);
	repo_path_roster(path);
	OK(repo_put_statement(s->repo, path, text.data, text.len, &e));
	buf_release(&text);
	roster_release(&roster);
}

void
sample_repo_make(struct sample_repo *s)
{
	struct err e = ERR_INIT;

	scratch_make(&s->dir);
	OK(repo_create(s->dir.path, &e));
	OK(repo_open(s->dir.path, &s->repo, &e));
	put_trust(s);
	for (size_t n = 0; n < SAMPLE_RELEASES; n++)
		put_release(s, n);
}

void
sample_repo_remove(struct sample_repo *s)
{
	repo_close(s->repo);
	scratch_remove(&s->dir);
}
