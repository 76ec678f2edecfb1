/* Reading kept runs; runs in the applier.  They are our own, but a disk may
 * have changed them: nothing of one that is damaged is used. */
#include "client/kept.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"
#include "transcripts/lines.h"
#include "transcripts/statement.h"

#define SUM_LINE     (sizeof("sum ") - 1 + DIGEST_HEX) /* with its LF */
#define WINDOW_BYTES ((size_t)65536)
#define LINE_BYTES \
 ((size_t)4 * LIMIT_PATH_BYTES + (size_t)4 * LIMIT_NAME_BYTES + 256)
#define HEAD_LINES 5
#define END_LINES  2
/* More than what comes behind the paths. */
#define END_BYTES ((size_t)256)

struct kept_path {
	char *path;
	enum kept_state state;
	uint64_t index;
};

/* The lines of facts, a window at a time. */
struct facts_text {
	int fd;        /* -1: all of it is in the window */
	uint64_t left; /* bytes not yet read, without the sum */
	struct buf window;
	size_t at;     /* what is read of the window */
	size_t number; /* of the line before */
};

struct kept {
	struct kept_facts facts;
	struct facts_text text;
	uint64_t paths_at, end_at; /* of the paths, and of what is summed up */
	uint64_t count;            /* of paths */
	uint64_t left;             /* of them, with the one it stands at */
	struct kept_path path;     /* the one it stands at, when left > 0 */
	struct digest before;
	uint64_t before_bytes;
	int fd; /* of before */
	struct manifest_reader *reader;
	const struct manifest_entry *m; /* next of before, not yet given */
	bool started, given_path, given;
};

void
kept_free(struct kept *k)
{
	if (k == NULL)
		return;
	free(k->path.path);
	buf_release(&k->text.window);
	if (k->text.fd >= 0)
		close(k->text.fd);
	manifest_reader_free(k->reader);
	if (k->fd >= 0)
		close(k->fd);
	free(k);
}

const struct kept_facts *
kept_facts(const struct kept *k)
{
	return &k->facts;
}

void
kept_content_path(char path[KEPT_PATH_BYTES], uint64_t number, uint64_t index)
{
	(void)snprintf(path, KEPT_PATH_BYTES, KEPT_DIR "/%llu/f/%llu",
	    (unsigned long long)number, (unsigned long long)index);
}

/* ---- facts ---- */

static void
parse_release(struct lines *l, const char *key, struct kept_release *r)
{
	lines_begin(l, key);
	if (lines_dash(l))
		return;
	r->is_any = true;
	lines_name(l, r->channel);
	lines_u64(l, 1, STATEMENT_NUMBER_MAX, &r->serial);
	lines_digest(l, &r->release);
	lines_name(l, r->profile);
}

static void
parse_by(struct lines *l, struct kept_facts *f)
{
	const char *word = "";
	size_t len = 0;

	lines_begin(l, "by");
	if (!lines_word(l, &word, &len))
		return;
	f->is_rollback = len == 8 && memcmp(word, "rollback", 8) == 0;
	if (!f->is_rollback && (len != 3 || memcmp(word, "run", 3) != 0))
		lines_fail(l, ERR_FORMAT, "neither run nor rollback");
}

/* Reads on until the window is as long as it may be. */
static int
fill(struct facts_text *t, struct err *e)
{
	size_t got = 1, kept = t->window.len - t->at;
	int rc = 0;

	if (t->at > 0 && kept > 0)
		memmove(t->window.data, t->window.data + t->at, kept);
	t->window.len = kept;
	t->at = 0;
	while (
	    rc == 0 && t->left > 0 && got > 0 && t->window.len < WINDOW_BYTES) {
		size_t most = WINDOW_BYTES - t->window.len;
		uint8_t *p;

		most = t->left < most ? (size_t)t->left : most;
		p = buf_reserve(&t->window, most);
		if (p == NULL)
			return err_memory(e);
		rc = fsat_read_some(t->fd, p, most, &got, e);
		if (rc == 0) {
			buf_commit(&t->window, got);
			t->left -= got;
		}
	}
	if (rc == 0 && got == 0)
		rc = err_set(e, ERR_FORMAT, "kept: shorter than before");
	return rc;
}

/* The bytes of `count` lines with their LFs, or of all that is left. */
static size_t
lines_length(const struct facts_text *t, size_t count)
{
	size_t at = t->at;

	while (at < t->window.len && count > 0)
		if (t->window.data[at++] == '\n')
			count--;
	return at - t->at;
}

/* The window has a whole line, if there is another. */
static int
fill_line(struct facts_text *t, struct err *e)
{
	return t->window.len - t->at < LINE_BYTES && t->left > 0 ? fill(t, e)
	                                                         : 0;
}

/* Begins the parsing of the next lines, `count` of them. */
static int
take_lines(struct facts_text *t, struct lines *l, size_t count, struct err *e)
{
	int rc = fill_line(t, e);
	size_t len = lines_length(t, count);

	lines_init(l, "kept", t->window.data + t->at, len, e);
	l->number = t->number;
	t->at += len;
	t->number += count;
	return rc;
}

/* Of a filled window. */
static bool
path_follows(const struct facts_text *t)
{
	const uint8_t *p = t->window.data + t->at;

	return t->window.len - t->at > 1 &&
	    (p[0] == 'n' || p[0] == 'c' || p[0] == 'f') && p[1] == ' ';
}

static int
parse_path(struct facts_text *t, struct kept_path *p, struct err *e)
{
	static const char *const keys[] = {
		[KEPT_ABSENT] = "n", [KEPT_CHANGED] = "c", [KEPT_CONTENT] = "f"
	};
	const char *fault = NULL;
	struct lines l;
	int rc = take_lines(t, &l, 1, e);

	if (rc != 0)
		return rc;
	p->state = lines_follows(&l, "n") ? KEPT_ABSENT
	    : lines_follows(&l, "f")      ? KEPT_CONTENT
	                                  : KEPT_CHANGED;
	p->index = 0;
	p->path = NULL;
	lines_begin(&l, keys[p->state]);
	if (p->state == KEPT_CONTENT)
		lines_u64(&l, 0, STATEMENT_NUMBER_MAX, &p->index);
	lines_text(&l, LIMIT_PATH_BYTES, &p->path);
	if (p->path != NULL && strcmp(p->path, ".") != 0)
		fault = manifest_path_fault(p->path, strlen(p->path));
	if (fault != NULL)
		lines_fail(&l, ERR_FORMAT, "path %s", fault);
	return lines_finish(&l);
}

static int
check_order(const char *before, const char *path, struct err *e)
{
	return before == NULL ||
	        manifest_path_cmp(before, strlen(before), path, strlen(path)) <
	            0
	    ? 0
	    : err_set(e, ERR_FORMAT, "kept: %.500s: out of order", path);
}

/* From one path to the next, up to the last one. */
static int
next_path(struct kept *k, struct err *e)
{
	struct kept_path next = { NULL, KEPT_CHANGED, 0 };
	int rc = parse_path(&k->text, &next, e);

	if (rc == 0)
		rc = check_order(k->path.path, next.path, e);
	if (rc != 0) {
		free(next.path);
		return rc;
	}
	free(k->path.path);
	k->path = next;
	return 0;
}

static int
parse_head(struct kept *k, struct err *e)
{
	struct lines l;
	int rc = take_lines(&k->text, &l, HEAD_LINES, e);

	if (rc != 0)
		return rc;
	lines_header(&l);
	lines_begin(&l, "when");
	lines_time(&l, &k->facts.when);
	parse_by(&l, &k->facts);
	parse_release(&l, "was", &k->facts.was);
	parse_release(&l, "now", &k->facts.now);
	return lines_finish(&l);
}

static int
parse_end(struct kept *k, struct err *e)
{
	struct lines l;
	int rc = take_lines(&k->text, &l, SIZE_MAX, e);

	if (rc != 0)
		return rc;
	lines_begin(&l, "before");
	lines_digest(&l, &k->before);
	lines_u64(&l, 1, LIMIT_MANIFEST_BYTES, &k->before_bytes);
	lines_begin(&l, "content");
	lines_u64(&l, 0, STATEMENT_NUMBER_MAX, &k->facts.content_bytes);
	if (k->text.left > 0)
		lines_fail(&l, ERR_FORMAT, "not the last lines");
	return lines_finish(&l);
}

/* What stands before the sum. */
static int
parse_body(struct kept *k, struct err *e)
{
	struct facts_text *t = &k->text;
	uint64_t whole = t->left + t->window.len - t->at;
	int rc = parse_head(k, e);

	k->paths_at = whole - t->left - (t->window.len - t->at);
	if (rc == 0)
		rc = fill_line(t, e);
	while (rc == 0 && path_follows(t)) {
		k->count++;
		rc = next_path(k, e);
		if (rc == 0)
			rc = fill_line(t, e);
	}
	return rc == 0 ? parse_end(k, e) : rc;
}

/* To the last lines of what is summed up. */
static int
skip_paths(struct facts_text *t, struct err *e)
{
	off_t back = t->left < END_BYTES ? (off_t)t->left : (off_t)END_BYTES;
	size_t lines = 0;
	int rc;

	if (lseek(t->fd, (off_t)t->left - back, SEEK_SET) < 0)
		return err_sys(e, "kept");
	t->left = (uint64_t)back;
	t->at = t->window.len;
	rc = fill(t, e);
	t->at = t->window.len;
	while (rc == 0 && t->at > 0 && lines <= END_LINES)
		if (t->window.data[--t->at] == '\n')
			lines++;
	if (lines > END_LINES)
		t->at++;
	return rc;
}

static int
check_sum(const char *line, const struct digest *got, struct err *e)
{
	struct digest want;

	if (memcmp(line, "sum ", 4) != 0 || line[SUM_LINE - 1] != '\n' ||
	    digest_parse(line + 4, DIGEST_HEX - 1, &want) != 0)
		return err_set(e, ERR_FORMAT, "kept: no sum at the end");
	return digest_equal(&want, got)
	    ? 0
	    : err_set(e, ERR_VERIFY, "kept: damaged");
}

static struct kept *
kept_new(struct err *e)
{
	struct kept *k = calloc(1, sizeof(*k));

	if (k == NULL) {
		(void)err_memory(e);
		return NULL;
	}
	k->fd = k->text.fd = -1;
	buf_init(&k->text.window, SIZE_MAX / 2);
	return k;
}

int
kept_parse(const void *text, size_t len, struct kept_facts *out, struct err *e)
{
	struct kept *k = kept_new(e);
	const char *whole = text;
	struct digest got;
	int rc;

	if (k == NULL)
		return ERR_NO_MEMORY;
	if (len <= SUM_LINE) {
		kept_free(k);
		return err_set(e, ERR_FORMAT, "kept: no sum at the end");
	}
	digest_of(text, len - SUM_LINE, &got);
	buf_add(&k->text.window, text, len - SUM_LINE);
	rc = buf_check(&k->text.window, "kept", e);
	if (rc == 0)
		rc = check_sum(whole + len - SUM_LINE, &got, e);
	if (rc == 0)
		rc = parse_body(k, e);
	if (rc == 0)
		*out = k->facts;
	kept_free(k);
	return rc;
}

/* Everything up to the sum is what the sum says; stands at the start then. */
static int
check_text(struct facts_text *t, struct err *e)
{
	struct digest_state *hash = NULL;
	struct fsat_stat st = { 0 };
	char sum[SUM_LINE];
	struct digest got;
	int rc = fsat_stat_fd(t->fd, &st, e);

	if (rc == 0 && st.size_bytes <= SUM_LINE)
		return err_set(e, ERR_FORMAT, "kept: no sum at the end");
	if (rc == 0)
		rc = digest_new(&hash, e);
	t->left = st.size_bytes - SUM_LINE;
	while (rc == 0 && t->left > 0) {
		t->at = t->window.len;
		rc = fill(t, e);
		if (rc == 0)
			digest_add(hash, t->window.data, t->window.len);
	}
	if (rc == 0 && read(t->fd, sum, SUM_LINE) != (ssize_t)SUM_LINE)
		rc = err_set(e, ERR_FORMAT, "kept: no sum at the end");
	if (rc == 0) {
		digest_end(hash, &got);
		rc = check_sum(sum, &got, e);
	}
	if (rc == 0 && lseek(t->fd, 0, SEEK_SET) != 0)
		rc = err_sys(e, "kept");
	digest_free(hash);
	t->left = st.size_bytes - SUM_LINE;
	t->at = t->window.len;
	return rc;
}

/* Back to the first path. */
static int
rewind_paths(struct kept *k, struct err *e)
{
	struct facts_text *t = &k->text;

	if (lseek(t->fd, (off_t)k->paths_at, SEEK_SET) < 0)
		return err_sys(e, "kept");
	t->left = k->end_at - k->paths_at;
	t->at = t->window.len;
	t->number = HEAD_LINES;
	free(k->path.path);
	k->path.path = NULL;
	k->left = k->count;
	return k->left > 0 ? next_path(k, e) : 0;
}

/* All but the paths. */
static int
parse_ends(struct kept *k, struct err *e)
{
	int rc = parse_head(k, e);

	k->text.left = k->end_at;
	if (rc == 0)
		rc = skip_paths(&k->text, e);
	return rc == 0 ? parse_end(k, e) : rc;
}

static int
parse_all(struct kept *k, struct err *e)
{
	int rc = parse_body(k, e);

	return rc == 0 ? rewind_paths(k, e) : rc;
}

static int
read_facts(int state, uint64_t number,
    int (*parse)(struct kept *k, struct err *e), struct kept **out,
    struct err *e)
{
	char path[KEPT_PATH_BYTES];
	struct kept *k = kept_new(e);
	int rc;

	if (k == NULL)
		return ERR_NO_MEMORY;
	(void)snprintf(path, sizeof(path), KEPT_DIR "/%llu/facts",
	    (unsigned long long)number);
	k->facts.number = number;
	rc = fsat_open_file(state, path, &k->text.fd, e);
	if (rc == 0)
		rc = check_text(&k->text, e);
	k->end_at = k->text.left;
	if (rc == 0)
		rc = parse(k, e);
	if (rc != 0) {
		kept_free(k);
		return err_prefix(e, "%s", path);
	}
	*out = k;
	return 0;
}

int
kept_read_facts(
    int state, uint64_t number, struct kept_facts *out, struct err *e)
{
	struct kept *k = NULL;
	int rc = read_facts(state, number, parse_ends, &k, e);

	if (rc == 0) {
		*out = k->facts;
		kept_free(k);
	}
	return rc;
}

/* ---- the manifest beside them ---- */

static int
open_before(struct kept *k, int state, struct err *e)
{
	char path[KEPT_PATH_BYTES];
	struct digest got;
	int rc;

	(void)snprintf(path, sizeof(path), KEPT_DIR "/%llu/before",
	    (unsigned long long)k->facts.number);
	rc = fsat_open_file(state, path, &k->fd, e);
	if (rc == 0)
		rc = digest_of_fd(k->fd, k->before_bytes, &got, NULL, e);
	if (rc == ERR_LIMIT || (rc == 0 && !digest_equal(&got, &k->before)))
		return err_set(e, ERR_VERIFY, "%s: damaged", path);
	if (rc == 0 && lseek(k->fd, 0, SEEK_SET) != 0)
		rc = err_sys(e, "%s", path);
	if (rc == 0)
		rc =
		    manifest_reader_open(k->fd, k->before_bytes, &k->reader, e);
	if (rc == 0)
		manifest_reader_skip_digest(k->reader);
	return rc;
}

int
kept_open(int state, uint64_t number, struct kept **out, struct err *e)
{
	struct kept *k = NULL;
	int rc = read_facts(state, number, parse_all, &k, e);

	if (rc == 0)
		rc = open_before(k, state, e);
	if (rc != 0)
		kept_free(k);
	else
		*out = k;
	return rc;
}

static int
contradicts(const struct kept *k, const char *path, struct err *e)
{
	return err_set(e, ERR_FORMAT,
	    KEPT_DIR "/%llu: %s: facts and manifest contradict each other",
	    (unsigned long long)k->facts.number, path);
}

/* -1: the next path comes first, 1: the manifest's next entry. */
static int
which_first(const struct kept *k)
{
	if (k->left == 0)
		return 1;
	if (k->m == NULL)
		return -1;
	return manifest_path_cmp(
	    k->path.path, strlen(k->path.path), k->m->path, strlen(k->m->path));
}

/* Reads on past what was given. */
static int
advance(struct kept *k, struct err *e)
{
	int rc = 0;

	if (k->given_path && --k->left > 0)
		rc = next_path(k, e);
	k->given_path = false;
	if (rc == 0 && (!k->started || (k->given && k->m != NULL)))
		rc = manifest_reader_next(k->reader, &k->m, e);
	k->started = true;
	k->given = false;
	return rc;
}

int
kept_next(struct kept *k, struct kept_item *item, bool *more, struct err *e)
{
	const struct kept_path *p = &k->path;
	int order, rc = advance(k, e);

	if (rc != 0)
		return rc;
	*more = k->m != NULL || k->left > 0;
	if (!*more)
		return 0;
	order = which_first(k);
	k->given = order >= 0;
	if (order > 0) {
		*item = (struct kept_item){ KEPT_CONTEXT, k->m->path, 0, k->m };
		return 0;
	}
	k->given_path = true;
	if ((order == 0) == (p->state == KEPT_ABSENT) ||
	    (p->state == KEPT_CONTENT && k->m->type != MANIFEST_FILE))
		return contradicts(k, p->path, e);
	*item = (struct kept_item){ p->state, p->path, p->index,
		order == 0 ? k->m : NULL };
	return 0;
}

int
kept_content_now(int state, uint64_t number, uint64_t index,
    struct manifest_entry *m, struct err *e)
{
	char path[KEPT_PATH_BYTES];
	struct fsat_stat st;
	int fd = -1, rc;

	kept_content_path(path, number, index);
	if ((rc = fsat_stat(state, path, &st, e)) != 0)
		return rc;
	if (st.size_bytes == m->size_bytes &&
	    st.mtime.tv_sec == m->mtime.tv_sec &&
	    st.mtime.tv_nsec == m->mtime.tv_nsec)
		return 0;
	if ((rc = fsat_open_file(state, path, &fd, e)) != 0)
		return rc;
	rc = digest_of_fd(fd, UINT64_MAX, &m->digest, &m->size_bytes, e);
	close(fd);
	return rc;
}

/* ---- all of them ---- */

static int
number_cmp(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int
kept_list(int state, uint64_t **numbers, size_t *count, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	struct err mine = ERR_INIT;
	uint64_t *list = NULL;
	size_t n = 0;
	int dir = -1, rc;

	rc = fsat_open_dir(state, KEPT_DIR, &dir, &mine);
	if (rc == 0)
		rc = fsat_list(dir, &names, &mine);
	if (rc == ERR_NOT_FOUND)
		rc = 0;
	list = calloc(names.count + 1, sizeof(*list));
	if (rc == 0 && list == NULL)
		rc = err_memory(&mine);
	for (size_t i = 0; rc == 0 && i < names.count; i++)
		if (text_u64(names.names[i], strlen(names.names[i]),
		        STATEMENT_NUMBER_MAX, &list[n]) == 0)
			n++;
	fsat_names_release(&names);
	if (dir >= 0)
		close(dir);
	if (rc != 0) {
		free(list);
		*e = mine;
		return rc;
	}
	qsort(list, n, sizeof(*list), number_cmp);
	*numbers = list;
	*count = n;
	return 0;
}
