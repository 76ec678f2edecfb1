/* One release into a repository; runs in the replicator. */
#include <unistd.h>

#include "common/fsat.h"
#include "common/gzip.h"
#include "common/log.h"
#include "server/pull_impl.h"
#include "transcripts/manifest.h"

#define OBJECT_LEVEL 3

int
pull_init(struct pull *p, struct repo *repo, struct err *e)
{
	int rc;

	memset(p, 0, sizeof(*p));
	p->repo = repo;
	rc = object_writer_new(repo, OBJECT_LEVEL, &p->writer, e);
	if (rc == 0)
		rc = object_reader_new(repo, &p->reader, e);
	if (rc != 0)
		pull_release(p);
	return rc;
}

void
pull_release(struct pull *p)
{
	object_writer_free(p->writer);
	object_reader_free(p->reader);
	p->writer = NULL;
	p->reader = NULL;
}

/* ---- manifests as text ---- */

int
pull_each_file(struct repo *repo, const struct release_transcript *t,
    pull_file_fn fn, void *arg, struct err *e)
{
	const struct manifest_entry *m;
	struct manifest_reader *reader = NULL;
	char path[REPO_PATH_BYTES];
	int fd = -1, rc;

	repo_path_manifest(path, &t->manifest);
	rc = repo_open_file(repo, path, &fd, NULL, e);
	if (rc == 0)
		rc = manifest_reader_open_gzip(
		    fd, t->manifest_bytes, &reader, e);
	while (rc == 0 && (rc = manifest_reader_next(reader, &m, e)) == 0 &&
	    m != NULL)
		if (m->type == MANIFEST_FILE)
			rc = fn(arg, m, e);
	manifest_reader_free(reader);
	if (fd >= 0)
		close(fd);
	return rc;
}

struct collecting {
	struct repo *repo;
	struct wants *missing;
};

static int
collect(void *arg, const struct manifest_entry *m, struct err *e)
{
	struct collecting *c = arg;
	bool has = false;
	int rc;

	rc = repo_has_object(c->repo, &m->digest, &has, e);
	return rc != 0 || has
	    ? rc
	    : wants_add(c->missing, &m->digest, m->size_bytes, e);
}

/* Adds the transcript's objects that are not here. */
static int
list_missing(struct pull *p, const struct release_transcript *t,
    struct wants *missing, struct err *e)
{
	struct collecting c = { p->repo, missing };

	return pull_each_file(p->repo, t, collect, &c, e);
}

/* A text in the repository's gzip, decoded to a file without a name. */
static int
open_text(struct repo *repo, const struct digest *digest, uint64_t size_bytes,
    int *out, struct err *e)
{
	struct gzip_reader *gz = NULL;
	char path[REPO_PATH_BYTES];
	uint8_t block[65536];
	int fd = -1, text = -1, rc;
	size_t got;

	repo_path_manifest(path, digest);
	rc = repo_open_file(repo, path, &fd, NULL, e);
	if (rc == 0)
		rc = repo_temp_nameless(repo, &text, e);
	if (rc == 0)
		rc = gzip_reader_new(fd, size_bytes, &gz, e);
	while (rc == 0) {
		rc = gzip_reader_read(gz, block, sizeof(block), &got, e);
		if (rc != 0 || got == 0)
			break;
		rc = fsat_write_all(text, block, got, e);
	}
	gzip_reader_free(gz);
	if (fd >= 0)
		close(fd);
	if (rc != 0 && text >= 0)
		close(text);
	if (rc == 0)
		*out = text;
	return rc;
}

static int
write_fd(void *arg, const void *data, size_t len, struct err *e)
{
	const int *fd = arg;

	return fsat_write_all(*fd, data, len, e);
}

static int
compress(int text, int out, struct err *e)
{
	struct gzip_writer *gz = NULL;
	uint8_t block[65536];
	ssize_t n = 0;
	int rc;

	if (lseek(text, 0, SEEK_SET) < 0)
		return err_sys(e, "manifest");
	rc = gzip_writer_new(write_fd, &out, &gz, e);
	while (rc == 0 && (n = read(text, block, sizeof(block))) > 0)
		rc = gzip_writer_feed(gz, block, (size_t)n, e);
	if (rc == 0 && n < 0)
		rc = err_sys(e, "manifest");
	if (rc == 0)
		rc = gzip_writer_end(gz, e);
	gzip_writer_free(gz);
	return rc;
}

/* Puts the checked text into the repository. */
static int
install_manifest(
    struct repo *repo, const struct digest *digest, int text, struct err *e)
{
	struct repo_temp temp = REPO_TEMP_INIT;
	char path[REPO_PATH_BYTES];
	int rc;

	repo_path_manifest(path, digest);
	rc = repo_temp_new(repo, &temp, e);
	if (rc == 0)
		rc = compress(text, temp.fd, e);
	if (rc == 0)
		rc = repo_temp_install(repo, &temp, path, e);
	repo_temp_discard(repo, &temp);
	return rc;
}

/* ---- data transcripts ---- */

void
pull_partial_name(
    const char *kind, const struct digest *digest, char name[REPO_PATH_BYTES])
{
	char hex[DIGEST_HEX];

	digest_hex(digest, hex);
	(void)snprintf(name, REPO_PATH_BYTES, "%s-%s", kind, hex);
}

/* The data transcript, downloaded and checked; *fd is the caller's. */
static int
bring_data(
    struct pull *p, const struct release_transcript *t, int *out, struct err *e)
{
	char path[REPO_PATH_BYTES], url[REPO_PATH_BYTES + 1];
	char name[REPO_PATH_BYTES];
	uint64_t have;
	int fd = -1, rc;
	bool here;

	repo_path_data(path, &t->data);
	if ((rc = repo_has(p->repo, path, &here, e)) != 0)
		return rc;
	if (here)
		return repo_open_file(p->repo, path, out, NULL, e);
	pull_partial_name("data", &t->data, name);
	(void)snprintf(url, sizeof(url), "/%s", path);
	rc = repo_partial_open(p->repo, name, &fd, &have, e);
	if (rc == 0)
		rc = fetch_download(
		    p->fetch, url, &t->data, t->data_bytes, fd, e);
	if (rc == 0)
		rc = repo_partial_install(p->repo, name, path, e);
	if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
		rc = err_sys(e, "data transcript");
	if (rc != 0 && fd >= 0)
		close(fd);
	if (rc == 0) {
		*out = fd;
		p->data_bytes += t->data_bytes;
	}
	return rc;
}

struct unpacking {
	struct pull *p;
	const struct release_transcript *t;
	const struct release_transcript *before; /* or NULL */
	const struct wants *missing;
	int text;  /* manifest under way, or -1 */
	int basis; /* descriptor lent, or -1 */
	bool has_manifest;
};

static int
offer_manifest(void *arg, const struct fetch_member *m, bool *take,
    uint64_t *size_bytes, int *basis_fd, struct err *e)
{
	struct unpacking *u = arg;
	struct err ignored = ERR_INIT;

	(void)e;
	*take = false;
	*size_bytes = u->t->manifest_bytes;
	if (u->has_manifest || !digest_equal(&m->digest, &u->t->manifest))
		return 0;
	if (m->kind == FETCH_MEMBER_MANIFEST_DELTA) {
		if (u->before == NULL ||
		    !digest_equal(&m->basis, &u->before->manifest) ||
		    open_text(u->p->repo, &m->basis, u->before->manifest_bytes,
		        &u->basis, &ignored) != 0)
			return 0;
		*basis_fd = u->basis;
	} else if (m->kind != FETCH_MEMBER_MANIFEST) {
		return 0;
	}
	*take = true;
	return 0;
}

static int
manifest_data(void *arg, const void *data, size_t len, struct err *e)
{
	struct unpacking *u = arg;

	return fsat_write_all(u->text, data, len, e);
}

static void
end_basis(struct unpacking *u)
{
	if (u->basis >= 0)
		close(u->basis);
	u->basis = -1;
}

static int
manifest_end(
    void *arg, const struct fetch_member *m, const char *bad, struct err *e)
{
	struct unpacking *u = arg;

	(void)m;
	(void)e;
	end_basis(u);
	if (bad != NULL) {
		/* It comes as a whole then. */
		log_event(LOG_NOTICE, "manifest delta not used", "transcript",
		    u->t->name, "why", bad, NULL);
		return 0;
	}
	u->has_manifest = true;
	return 0;
}

static int
offer_object(void *arg, const struct fetch_member *m, bool *take,
    uint64_t *size_bytes, int *basis_fd, struct err *e)
{
	struct unpacking *u = arg;
	const struct want *want = wants_find(u->missing, &m->digest);
	struct err ignored = ERR_INIT;
	uint64_t basis_bytes;
	bool has = false;
	int rc;

	*take = false;
	if (want == NULL)
		return 0;
	/* Told twice it would be taken twice. */
	if ((rc = repo_has_object(u->p->repo, &m->digest, &has, e)) != 0 || has)
		return rc;
	if (m->kind == FETCH_MEMBER_OBJECT_DELTA) {
		if (object_size(
		        u->p->reader, &m->basis, &basis_bytes, &ignored) != 0 ||
		    object_open_content(u->p->reader, &m->basis, basis_bytes,
		        &u->basis, &ignored) != 0)
			return 0;
		*basis_fd = u->basis;
	} else if (m->kind != FETCH_MEMBER_OBJECT) {
		return 0;
	}
	*take = true;
	*size_bytes = want->size_bytes;
	return object_begin(
	    u->p->writer, OBJECT_CONTENT, &m->digest, want->size_bytes, e);
}

static int
object_data(void *arg, const void *data, size_t len, struct err *e)
{
	struct unpacking *u = arg;

	return object_feed(u->p->writer, data, len, e);
}

static int
object_finish(
    void *arg, const struct fetch_member *m, const char *bad, struct err *e)
{
	struct unpacking *u = arg;
	char hex[DIGEST_HEX];

	end_basis(u);
	if (bad == NULL) {
		u->p->data_objects++;
		return object_end(u->p->writer, e);
	}
	object_cancel(u->p->writer);
	digest_hex(&m->digest, hex);
	log_event(
	    LOG_NOTICE, "delta not used", "object", hex, "why", bad, NULL);
	return 0;
}

static int
unpack_manifest(struct unpacking *u, int data, struct err *e)
{
	struct fetch_unpacker unpacker = { .arg = u,
		.texts_only = true,
		.offer = offer_manifest,
		.data = manifest_data,
		.end = manifest_end };
	int rc;

	if ((rc = repo_temp_nameless(u->p->repo, &u->text, e)) != 0)
		return rc;
	rc = fetch_unpack(u->p->fetch, data, u->t->data_bytes, &unpacker, e);
	end_basis(u);
	if (rc == 0 && u->has_manifest)
		rc = install_manifest(u->p->repo, &u->t->manifest, u->text, e);
	close(u->text);
	u->text = -1;
	return rc;
}

static int
unpack_objects(struct unpacking *u, int data, struct err *e)
{
	struct fetch_unpacker unpacker = { .arg = u,
		.offer = offer_object,
		.data = object_data,
		.end = object_finish };
	int rc;

	if (lseek(data, 0, SEEK_SET) < 0)
		return err_sys(e, "data transcript");
	rc = fetch_unpack(u->p->fetch, data, u->t->data_bytes, &unpacker, e);
	end_basis(u);
	if (rc != 0)
		object_cancel(u->p->writer);
	return rc;
}

/* ---- manifests ---- */

static int
fetch_manifest(
    struct pull *p, const struct release_transcript *t, struct err *e)
{
	char path[REPO_PATH_BYTES], url[REPO_PATH_BYTES + 1];
	int text = -1, rc;

	repo_path_manifest(path, &t->manifest);
	(void)snprintf(url, sizeof(url), "/%s", path);
	rc = repo_temp_nameless(p->repo, &text, e);
	if (rc == 0)
		rc = fetch_text(
		    p->fetch, url, &t->manifest, t->manifest_bytes, text, e);
	if (rc == 0)
		rc = install_manifest(p->repo, &t->manifest, text, e);
	if (text >= 0)
		close(text);
	return rc;
}

int
pull_has_manifest(struct pull *p, const struct release_transcript *t, bool *has,
    struct err *e)
{
	char path[REPO_PATH_BYTES];

	repo_path_manifest(path, &t->manifest);
	return repo_has(p->repo, path, has, e);
}

/* ---- a transcript ---- */

/* One that is damaged though it is what was signed is kept, as part of the
 * release, and the rest comes another way. */
static int
pass_over_damage(int rc, const struct release_transcript *t, struct err *e)
{
	if (rc != ERR_FORMAT && rc != ERR_LIMIT)
		return rc;
	log_err(LOG_WARNING, "data transcript not used", e, "transcript",
	    t->name, NULL);
	err_clear(e);
	return 0;
}

/* Manifest and objects as far as the data transcript brings them. */
static int
unpack_data(struct pull *p, const struct release_transcript *t,
    const struct release_transcript *before, struct err *e)
{
	struct unpacking u = {
		.p = p, .t = t, .before = before, .text = -1, .basis = -1
	};
	struct wants missing = WANTS_INIT;
	int data = -1, rc;
	bool have;

	if ((rc = bring_data(p, t, &data, e)) != 0 ||
	    (rc = pull_has_manifest(p, t, &have, e)) != 0)
		goto out;
	if (!have)
		rc = pass_over_damage(unpack_manifest(&u, data, e), t, e);
	if (rc == 0 && !have && !u.has_manifest)
		rc = fetch_manifest(p, t, e);
	if (rc == 0)
		rc = list_missing(p, t, &missing, e);
	wants_sort(&missing);
	u.missing = &missing;
	if (rc == 0 && missing.count > 0)
		rc = pass_over_damage(unpack_objects(&u, data, e), t, e);
out:
	wants_release(&missing);
	if (data >= 0)
		close(data);
	return rc;
}

struct basis_search {
	const struct wants *missing;
	struct wants *bases;
};

static int
note_basis(void *arg, const struct fetch_member *m, bool *take,
    uint64_t *size_bytes, int *basis_fd, struct err *e)
{
	const struct basis_search *b = arg;

	(void)basis_fd;
	*take = false;
	*size_bytes = 0;
	if (m->kind != FETCH_MEMBER_OBJECT_DELTA ||
	    wants_find(b->missing, &m->digest) == NULL)
		return 0;
	return wants_add(b->bases, &m->basis, 0, e);
}

int
pull_bases(struct pull *p, const struct release *release,
    const struct wants *missing, struct wants *bases, struct err *e)
{
	struct basis_search b = { missing, bases };
	struct fetch_unpacker unpacker = {
		.arg = &b, .texts_only = true, .offer = note_basis
	};
	int rc = 0;

	for (size_t i = 0; i < release->transcript_count && rc == 0; i++) {
		const struct release_transcript *t = &release->transcripts[i];
		int data = -1;

		if (!t->has_data)
			continue;
		if ((rc = bring_data(p, t, &data, e)) == 0)
			rc = pass_over_damage(fetch_unpack(p->fetch, data,
			                          t->data_bytes, &unpacker, e),
			    t, e);
		if (data >= 0)
			close(data);
	}
	wants_sort(bases);
	return rc;
}

static int
pull_transcript(struct pull *p, const struct release_transcript *t,
    const struct release *before, struct err *e)
{
	const struct release_transcript *old =
	    before == NULL ? NULL : release_find_transcript(before, t->name);
	int rc;
	bool have;

	if (t->has_data) {
		rc = unpack_data(p, t, old, e);
	} else {
		rc = pull_has_manifest(p, t, &have, e);
		if (rc == 0 && !have)
			rc = fetch_manifest(p, t, e);
	}
	return rc != 0 ? err_prefix(e, "transcript %s", t->name) : 0;
}

int
pull_manifests(struct pull *p, const struct release *release, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < release->transcript_count && rc == 0; i++) {
		const struct release_transcript *t = &release->transcripts[i];
		bool have;

		rc = pull_has_manifest(p, t, &have, e);
		if (rc == 0 && !have)
			rc = fetch_manifest(p, t, e);
		if (rc != 0)
			err_prefix(e, "transcript %s", t->name);
	}
	return rc;
}

int
pull_missing(struct pull *p, const struct release *release,
    struct wants *missing, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < release->transcript_count && rc == 0; i++) {
		const struct release_transcript *t = &release->transcripts[i];

		rc = list_missing(p, t, missing, e);
		if (rc != 0)
			err_prefix(e, "transcript %s", t->name);
	}
	wants_sort(missing);
	return rc;
}

int
pull_one(struct pull *p, const struct release *release,
    const struct release *before, bool only_data, struct err *e)
{
	int rc = 0;

	err_clear(&p->failing);
	for (size_t i = 0; i < release->transcript_count && rc == 0; i++) {
		struct err why = ERR_INIT;

		rc = pull_transcript(p, &release->transcripts[i], before, &why);
		/* Its objects may come with the data transcript, elsewhere. */
		rc = pull_pass_over_lack(p, rc, &why, e);
	}
	for (size_t i = 0;
	     i < release->transcript_count && rc == 0 && !only_data; i++) {
		struct err why = ERR_INIT;

		rc = pull_objects(p, &release->transcripts[i], &why);
		rc = pull_pass_over_lack(p, rc, &why, e);
	}
	if (rc == 0 && p->failing.code != 0) {
		*e = p->failing;
		return e->code;
	}
	return rc;
}
