/* Where content comes from; runs in the applier. */
#include "client/content.h"

#include <errno.h>
#include <unistd.h>

#include "client/content_impl.h"
#include "client/tree.h"
#include "client/update.h"
#include "common/dirstack.h"
#include "common/fsat.h"
#include "common/fscalls.h"
#include "common/log.h"

#define EASE_FILES 512 /* each may touch pages of its own */

int
content_new(struct session *s, struct content **out, struct err *e)
{
	struct content *c = calloc(1, sizeof(*c));
	int rc;

	if (c == NULL)
		return err_memory(e);
	c->s = s;
	c->data_count = s->fetch != NULL ? s->profile->count : 0;
	c->data_fds = calloc(c->data_count + 1, sizeof(*c->data_fds));
	if (c->data_fds == NULL) {
		free(c);
		return err_memory(e);
	}
	for (size_t i = 0; i < c->data_count; i++)
		c->data_fds[i] = -1;
	if ((rc = digest_new(&c->hash, e)) != 0) {
		content_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void
content_free(struct content *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->data_count; i++)
		if (c->data_fds[i] >= 0)
			close(c->data_fds[i]);
	for (size_t i = 0; i < c->base_count; i++)
		free(c->bases[i].path);
	free(c->bases);
	free(c->data_fds);
	free(c->slots);
	digest_free(c->hash);
	free(c);
}

void
content_counts(const struct content *c, struct content_counts *out)
{
	*out = c->counts;
}

static const struct release_transcript *
transcript_of(const struct content *c, size_t i)
{
	return &c->s->release.transcripts[c->s->profile->transcripts[i]];
}

/* Errors of the network or of what a server gave: another may do better. */
static bool
is_servers_fault(int rc)
{
	return rc == ERR_NET || rc == ERR_TIMEOUT || rc == ERR_NOT_FOUND ||
	    rc == ERR_VERIFY || rc == ERR_FORMAT || rc == ERR_LIMIT;
}

/* ---- data transcripts ---- */

/* One release behind: its data transcripts hold just what is lacking. */
static bool
is_near(const struct session *s)
{
	return s->has_applied && s->release.has_previous &&
	    digest_equal(&s->release.previous, &s->applied.release);
}

static void
data_name(const struct release_transcript *t, char name[STATE_PATH_BYTES])
{
	char hex[DIGEST_HEX];

	digest_hex(&t->data, hex);
	(void)snprintf(name, STATE_PATH_BYTES, "tmp/data-%s", hex);
}

static int
download_data(struct content *c, size_t i, struct err *e)
{
	const struct release_transcript *t = transcript_of(c, i);
	char path[128], hex[DIGEST_HEX], name[STATE_PATH_BYTES];
	int fd = -1, rc;

	data_name(t, name);
	digest_hex(&t->data, hex);
	(void)snprintf(path, sizeof(path), "/v1/data/%s", hex);
	progress_begin(c->s->progress, "fetching changes of", t->name);
	progress_expect(c->s->progress, 0, t->data_bytes);
	rc = fsat_open_write(c->s->state.dir, name, 0600, &fd, e);
	if (rc == 0)
		rc = fetch_download(
		    c->s->fetch, path, &t->data, t->data_bytes, fd, e);
	if (rc == 0)
		c->data_fds[i] = fd;
	else if (fd >= 0)
		close(fd); /* the next server goes on with what is there */
	return rc;
}

/* The state's disk has no room for it: what is there of it goes, and content
 * comes otherwise. */
static int
do_without_data(struct content *c, size_t i, struct err *e)
{
	char name[STATE_PATH_BYTES];

	if (e->code != ERR_SYS || (e->sys != ENOSPC && e->sys != EDQUOT))
		return e->code;
	log_err(LOG_NOTICE, "data transcript not used", e, "transcript",
	    transcript_of(c, i)->name, NULL);
	err_clear(e);
	data_name(transcript_of(c, i), name);
	return fsat_unlink(c->s->state.dir, name, e);
}

static int
note_basis(struct content *c, const struct digest *digest, struct err *e)
{
	struct basis *list;

	if (c->base_count == c->base_room) {
		c->base_room = c->base_room == 0 ? 64 : 2 * c->base_room;
		list = reallocarray(c->bases, c->base_room, sizeof(*list));
		if (list == NULL)
			return err_memory(e);
		c->bases = list;
	}
	c->bases[c->base_count].digest = *digest;
	c->bases[c->base_count++].path = NULL;
	return 0;
}

struct manifest_taking {
	struct content *c;
	const struct release_transcript *t;
	int out_fd, basis_fd;
	bool taken;
};

/* First pass over a data transcript: the manifest, and what deltas there are. */
static int
offer_manifest(void *arg, const struct fetch_member *m, bool *take,
    uint64_t *size_bytes, int *basis_fd, struct err *e)
{
	struct manifest_taking *mt = arg;
	char path[STATE_PATH_BYTES];
	struct err ignored = ERR_INIT;

	*take = false;
	*size_bytes = mt->t->manifest_bytes;
	if (m->kind == FETCH_MEMBER_OBJECT_DELTA)
		return note_basis(mt->c, &m->basis, e);
	if (mt->out_fd < 0 || mt->taken ||
	    !digest_equal(&m->digest, &mt->t->manifest))
		return 0;
	if (m->kind == FETCH_MEMBER_MANIFEST_DELTA) {
		state_manifest_path(path, &m->basis);
		if (fsat_open_file(mt->c->s->state.dir, path, &mt->basis_fd,
		        &ignored) != 0)
			return 0;
		*basis_fd = mt->basis_fd;
	} else if (m->kind != FETCH_MEMBER_MANIFEST) {
		return 0;
	}
	*take = true;
	return 0;
}

static int
take_manifest(void *arg, const void *data, size_t len, struct err *e)
{
	struct manifest_taking *mt = arg;

	return fsat_write_all(mt->out_fd, data, len, e);
}

static int
end_manifest(
    void *arg, const struct fetch_member *m, const char *bad, struct err *e)
{
	struct manifest_taking *mt = arg;

	(void)m;
	(void)e;
	if (mt->basis_fd >= 0)
		close(mt->basis_fd);
	mt->basis_fd = -1;
	if (bad != NULL) {
		/* It comes as a whole then. */
		log_event(LOG_NOTICE, "manifest delta not used", "transcript",
		    mt->t->name, "why", bad, NULL);
		return 0;
	}
	mt->taken = true;
	return 0;
}

/* *taken: the manifest is in fd now.  fd < 0: it is there already. */
static int
unpack_manifest(struct content *c, size_t i, int fd, bool *taken, struct err *e)
{
	struct manifest_taking mt = {
		.c = c, .t = transcript_of(c, i), .out_fd = fd, .basis_fd = -1
	};
	struct fetch_unpacker u = { .arg = &mt,
		.texts_only = true,
		.offer = offer_manifest,
		.data = take_manifest,
		.end = end_manifest };
	int rc;

	if (lseek(c->data_fds[i], 0, SEEK_SET) < 0)
		return err_sys(e, "data transcript");
	rc = fetch_unpack(c->s->fetch, c->data_fds[i], mt.t->data_bytes, &u, e);
	if (mt.basis_fd >= 0)
		close(mt.basis_fd);
	*taken = mt.taken;
	return rc;
}

/* ---- manifests ---- */

static int
get_manifest(struct content *c, const struct release_transcript *t, int fd,
    struct err *e)
{
	char path[128], hex[DIGEST_HEX];

	if (fscalls()->ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, "manifest");
	digest_hex(&t->manifest, hex);
	(void)snprintf(path, sizeof(path), "/v1/manifest/%s", hex);
	progress_begin(c->s->progress, "fetching transcript", t->name);
	progress_expect(c->s->progress, 0, t->manifest_bytes);
	return fetch_text(
	    c->s->fetch, path, &t->manifest, t->manifest_bytes, fd, e);
}

/* The data transcript first, if it is near; it may lack the manifest, or its
 * basis may be damaged here: then the manifest as a whole. */
static int
bring_manifest(struct content *c, size_t i, int fd, struct err *e)
{
	const struct release_transcript *t = transcript_of(c, i);
	struct err why = ERR_INIT;
	bool taken = false;
	int rc;

	if (c->data_fds[i] >= 0) {
		rc = unpack_manifest(c, i, fd, &taken, &why);
		if (rc == 0 && taken)
			return 0;
		if (rc != 0)
			log_event(LOG_NOTICE, "data transcript not used",
			    "transcript", t->name, "why", why.msg, NULL);
	}
	return get_manifest(c, t, fd, e);
}

/* Durable with what else is staged; lost before that, it is fetched again. */
static int
store_manifest(struct content *c, size_t i, const char *path, struct err *e)
{
	static const char temp[] = "tmp/manifest";
	int dir = c->s->state.dir, fd = -1, rc;
	struct err ignored = ERR_INIT;
	struct fsat_stat st;

	(void)!fsat_unlink(dir, temp, &ignored);
	if ((rc = fsat_create(dir, temp, 0600, &fd, e)) != 0)
		return rc;
	rc = bring_manifest(c, i, fd, e);
	if (rc == 0)
		rc = fsat_close(&fd, temp, e);
	if (rc == 0)
		rc = fsat_rename(dir, temp, dir, path, e);
	if (rc == 0)
		rc = fsat_stat(dir, path, &st, e);
	if (rc == 0)
		tree_note_manifest(
		    &c->s->state, &transcript_of(c, i)->manifest, &st);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* The deltas of a data transcript are of use even where an interrupted run
 * left the manifest. */
static void
note_deltas(struct content *c, size_t i)
{
	struct err why = ERR_INIT;
	bool taken;

	if (c->data_fds[i] >= 0 && unpack_manifest(c, i, -1, &taken, &why) != 0)
		log_event(LOG_NOTICE, "data transcript not used", "transcript",
		    transcript_of(c, i)->name, "why", why.msg, NULL);
}

static int
one_manifest(struct content *c, size_t i, struct err *e)
{
	const struct release_transcript *t = transcript_of(c, i);
	char path[STATE_PATH_BYTES];
	bool has;
	int rc;

	if (is_near(c->s) && t->has_data && c->data_fds[i] < 0 &&
	    download_data(c, i, e) != 0 && (rc = do_without_data(c, i, e)) != 0)
		return rc;
	if ((rc = tree_has_manifest(&c->s->state, t, &has, e)) != 0)
		return rc;
	state_manifest_path(path, &t->manifest);
	if (!has)
		return store_manifest(c, i, path, e);
	note_deltas(c, i);
	return 0;
}

/* Asks `step` again of the next server as long as it is the server's fault. */
static int
with_servers(struct content *c, size_t i,
    int (*step)(struct content *c, size_t i, struct err *e), struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	for (;;) {
		rc = step(c, i, &why);
		served_count(c->s);
		if (rc == 0)
			return 0;
		if (!is_servers_fault(rc))
			break;
		if ((rc = update_next_server(c->s, &why, e)) != 0)
			return rc;
	}
	*e = why;
	return rc;
}

int
content_manifests(struct content *c, struct err *e)
{
	for (size_t i = 0; i < c->s->profile->count; i++)
		if (with_servers(c, i, one_manifest, e) != 0)
			return err_prefix(
			    e, "transcript %s", transcript_of(c, i)->name);
	return 0;
}

/* ---- filling: what is wanted ---- */

bool
content_is_wanted(const struct plan_item *item)
{
	return item->type == MANIFEST_FILE && item->root != PLAN_NO_ROOT &&
	    !item->fetched;
}

/* Where the first file that wants this content stands, or could. */
static struct content_slot *
find_slot(const struct content *c, const struct digest *digest, uint32_t *tag)
{
	uint64_t place;
	size_t i;

	memcpy(&place, digest->b, sizeof(place));
	memcpy(tag, digest->b + sizeof(place), sizeof(*tag));
	for (i = (size_t)(place % c->slot_count); c->slots[i].item != 0;
	     i = (i + 1) % c->slot_count)
		if (c->slots[i].tag == *tag &&
		    digest_equal(
		        &c->plan->items[c->slots[i].item - 1].digest, digest))
			break;
	return &c->slots[i];
}

struct plan_item *
content_find(const struct content *c, const struct digest *digest)
{
	uint32_t tag;
	const struct content_slot *slot = find_slot(c, digest, &tag);

	return slot->item != 0 ? &c->plan->items[slot->item - 1] : NULL;
}

static size_t
count_wanted(const struct plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->item_count; i++)
		n += content_is_wanted(plan_item(p, i)) ? 1 : 0;
	return n;
}

/* The first in the order of paths stands for all that want the same. */
static int
list_files(struct content *c, size_t count, struct err *e)
{
	const struct plan *p = c->plan;

	if (p->item_count >= UINT32_MAX)
		return err_set(e, ERR_LIMIT, "too much changes at once");
	c->slot_count = count + count / 2 + 1;
	c->slots = calloc(c->slot_count, sizeof(*c->slots));
	if (c->slots == NULL)
		return err_memory(e);
	for (size_t i = 0; i < p->item_count; i++) {
		const struct plan_item *item = plan_item(p, i);
		struct content_slot *slot;
		uint32_t tag;

		if (!content_is_wanted(item))
			continue;
		slot = find_slot(c, &item->digest, &tag);
		if (slot->item == 0) {
			*slot = (struct content_slot){ tag, (uint32_t)i + 1 };
			c->open_count++;
		}
	}
	return 0;
}

int
content_file_begin(struct content *c, struct plan_item *item, struct err *e)
{
	if (c->begun++ % EASE_FILES == 0)
		plan_ease(c->plan);
	c->current = item;
	return stage_file_begin(c->stage, item, e);
}

int
content_file_write(
    struct content *c, const void *data, size_t len, struct err *e)
{
	progress_add(c->s->progress, 0, len);
	return stage_file_write(c->stage, data, len, e);
}

/* `bad` NULL: complete and right. */
int
content_file_end(
    struct content *c, const char *bad, uint64_t *count, struct err *e)
{
	c->current = NULL;
	if (bad != NULL)
		return stage_file_abandon(c->stage, e);
	++*count;
	c->open_count--;
	progress_add(c->s->progress, 1, 0);
	return stage_file_end(c->stage, e);
}

/* ---- from this machine ---- */

int
content_copy(struct content *c, int dir, const char *path,
    struct plan_item *item, uint64_t *count, struct err *e)
{
	static const char changed[] = "changed since";
	struct err ignored = ERR_INIT;
	uint64_t left = item->size_bytes;
	struct digest got;
	uint8_t block[65536];
	size_t n = 1;
	int fd = -1, rc;

	if (fsat_open_file(dir, path, &fd, &ignored) != 0)
		return 0;
	digest_reset(c->hash);
	rc = content_file_begin(c, item, e);
	/* What may follow is not wanted. */
	while (rc == 0 && left > 0 && n > 0) {
		n = left < sizeof(block) ? (size_t)left : sizeof(block);
		if (fsat_read_some(fd, block, n, &n, &ignored) != 0)
			break;
		digest_add(c->hash, block, n);
		rc = content_file_write(c, block, n, e);
		left -= n;
	}
	close(fd);
	if (rc != 0)
		return rc;
	digest_end(c->hash, &got);
	return content_file_end(
	    c, digest_equal(&got, &item->digest) ? NULL : changed, count, e);
}

static int
basis_cmp(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_BYTES);
}

static int
note_basis_path(
    struct content *c, const struct manifest_entry *m, struct err *e)
{
	struct basis *b;

	if (c->base_count == 0)
		return 0;
	b = bsearch(&m->digest, c->bases, c->base_count, sizeof(*b), basis_cmp);
	if (b == NULL || b->path != NULL)
		return 0;
	b->path = strdup(m->path);
	return b->path != NULL ? 0 : err_memory(e);
}

/* The file of the applied tree, if it is there. */
static int
copy_local(struct content *c, struct dirstack *dirs, const char *path,
    struct plan_item *item, struct err *e)
{
	struct err ignored = ERR_INIT;
	const char *name;
	int dir;

	if (dirstack_at(dirs, path, &dir, &name, &ignored) != 0)
		return 0;
	return content_copy(c, dir, name, item, &c->counts.local_files, e);
}

/* Through the tree applied before: which of its files have wanted content,
 * and which are bases of deltas. */
static int
fill_local(struct content *c, struct err *e)
{
	const struct layer_entry *entry;
	struct dirstack *dirs = NULL;
	struct tree *t = NULL;
	int rc;

	if (!c->s->has_applied)
		return 0;
	if (c->base_count > 0)
		qsort(c->bases, c->base_count, sizeof(*c->bases), basis_cmp);
	rc = tree_open(&c->s->state, &c->s->was, c->s->was_profile, &t, e);
	if (rc == ERR_NOT_FOUND) {
		err_clear(e);
		return 0;
	}
	if (rc == 0)
		rc = dirstack_new(c->s->root, &dirs, e);
	while (rc == 0 && (rc = layer_next(tree_layer(t), &entry, e)) == 0 &&
	    entry != NULL) {
		struct plan_item *item;

		if (entry->m.type != MANIFEST_FILE)
			continue;
		item = content_find(c, &entry->m.digest);
		if (item != NULL && !item->fetched)
			rc = copy_local(c, dirs, entry->m.path, item, e);
		if (rc == 0)
			rc = note_basis_path(c, &entry->m, e);
	}
	dirstack_free(dirs);
	tree_free(t);
	return rc;
}

/* ---- from data transcripts ---- */

struct unpacking {
	struct content *c;
	int basis_fd;
};

static int
offer_file(void *arg, const struct fetch_member *m, bool *take,
    uint64_t *size_bytes, int *basis_fd, struct err *e)
{
	struct unpacking *u = arg;
	struct plan_item *item = content_find(u->c, &m->digest);
	struct err ignored = ERR_INIT;
	const struct basis *b;

	*take = false;
	if (item == NULL || item->fetched)
		return 0;
	if (m->kind == FETCH_MEMBER_OBJECT_DELTA) {
		b = u->c->base_count == 0
		    ? NULL
		    : bsearch(&m->basis, u->c->bases, u->c->base_count,
		          sizeof(*b), basis_cmp);
		if (b == NULL || b->path == NULL ||
		    fsat_open_file(
		        u->c->s->root, b->path, &u->basis_fd, &ignored) != 0)
			return 0;
		*basis_fd = u->basis_fd;
	} else if (m->kind != FETCH_MEMBER_OBJECT) {
		return 0;
	}
	*take = true;
	*size_bytes = item->size_bytes;
	return content_file_begin(u->c, item, e);
}

static int
unpacked_data(void *arg, const void *data, size_t len, struct err *e)
{
	struct unpacking *u = arg;

	return content_file_write(u->c, data, len, e);
}

static int
unpacked_end(
    void *arg, const struct fetch_member *m, const char *bad, struct err *e)
{
	struct unpacking *u = arg;

	(void)m;
	if (u->basis_fd >= 0)
		close(u->basis_fd);
	u->basis_fd = -1;
	return content_file_end(u->c, bad, &u->c->counts.data_files, e);
}

static int
fill_from_data(struct content *c, struct err *e)
{
	struct unpacking u = { .c = c, .basis_fd = -1 };
	struct fetch_unpacker unpacker = { .arg = &u,
		.offer = offer_file,
		.data = unpacked_data,
		.end = unpacked_end };
	struct err why = ERR_INIT;
	int rc = 0;

	for (size_t i = 0; i < c->s->profile->count && rc == 0; i++) {
		if (c->data_fds[i] < 0)
			continue;
		if (lseek(c->data_fds[i], 0, SEEK_SET) < 0)
			return err_sys(e, "data transcript");
		rc = fetch_unpack(c->s->fetch, c->data_fds[i],
		    transcript_of(c, i)->data_bytes, &unpacker, &why);
		if (u.basis_fd >= 0)
			close(u.basis_fd);
		u.basis_fd = -1;
		/* What it did not give comes as objects. */
		if (is_servers_fault(rc)) {
			log_event(LOG_NOTICE, "data transcript not used",
			    "transcript", transcript_of(c, i)->name, "why",
			    why.msg, NULL);
			rc = c->current == NULL
			    ? 0
			    : content_file_end(
			          c, "broken off", &c->counts.data_files, e);
		} else if (rc != 0) {
			*e = why;
		}
	}
	return rc;
}

/* ---- copies ---- */

/* Other files with the same content, in the order of paths. */
static int
fill_copies(struct content *c, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < c->plan->item_count && rc == 0; i++) {
		struct plan_item *item = plan_item(c->plan, i);
		const struct plan_item *from;

		if (!content_is_wanted(item))
			continue;
		from = content_find(c, &item->digest);
		if (from == NULL || from == item)
			return err_set(e, ERR_NOT_FOUND,
			    "%s: its content is not on this machine any more",
			    item->path);
		rc = stage_file_copy(c->stage, from, item, e);
		c->counts.copied_files++;
		progress_add(c->s->progress, 1, item->size_bytes);
	}
	return rc;
}

/* An object that was cut off is kept as long as there is another server. */
static int
fill_from_objects(struct content *c, struct err *e)
{
	struct err late = ERR_INIT;
	int rc = with_servers(c, 0, content_fill_objects, e);

	if (content_drop_part(c, &late) != 0 && rc == 0) {
		*e = late;
		rc = late.code;
	}
	return rc;
}

int
content_fill(
    struct content *c, struct plan *plan, struct stage *stage, struct err *e)
{
	size_t count = count_wanted(plan);
	int rc;

	c->plan = plan;
	c->stage = stage;
	if (count == 0 || (rc = list_files(c, count, e)) != 0)
		return count == 0 ? 0 : rc;
	progress_begin(c->s->progress, "fetching", "");
	progress_expect(c->s->progress, count, plan->write_bytes);
	if ((rc = fill_local(c, e)) != 0 || (rc = content_fill_kept(c, e)) != 0)
		return rc;
	if (c->s->fetch == NULL)
		return fill_copies(c, e);
	if ((rc = fill_from_data(c, e)) != 0 ||
	    (rc = fill_from_objects(c, e)) != 0)
		return rc;
	return fill_copies(c, e);
}
