/* Reading kept runs; runs in the applier.  They are our own, but a disk may
 * have changed them: nothing of one that is damaged is used. */
#include "client/kept.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"
#include "transcripts/lines.h"
#include "transcripts/statement.h"

#define FACTS_MAX ((size_t)1 << 30)
#define SUM_LINE  (sizeof("sum ") - 1 + DIGEST_HEX) /* with its LF */

struct kept_path {
	char *path;
	enum kept_state state;
	uint64_t index;
};

struct kept {
	struct kept_facts facts;
	struct kept_path *paths;
	size_t count, room, at;
	struct digest before;
	uint64_t before_bytes;
	int fd; /* of before */
	struct manifest_reader *reader;
	const struct manifest_entry *m; /* next of before, not yet given */
	bool started, given;
};

void
kept_free(struct kept *k)
{
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->count; i++)
		free(k->paths[i].path);
	free(k->paths);
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

static bool
parse_path(struct lines *l, struct kept *k)
{
	struct kept_path *p, *before;
	const char *fault;

	if (!lines_follows(l, "n") && !lines_follows(l, "c") &&
	    !lines_follows(l, "f"))
		return false;
	if (k->count == k->room) {
		size_t room = k->room == 0 ? 64 : 2 * k->room;

		p = reallocarray(k->paths, room, sizeof(*p));
		if (p == NULL) {
			lines_fail(l, ERR_NO_MEMORY, "no memory");
			return false;
		}
		k->paths = p;
		k->room = room;
	}
	p = &k->paths[k->count];
	*p = (struct kept_path){ .state = KEPT_CHANGED };
	if (lines_follows(l, "n"))
		p->state = KEPT_ABSENT;
	else if (lines_follows(l, "f"))
		p->state = KEPT_CONTENT;
	lines_begin(l,
	    p->state == KEPT_ABSENT        ? "n"
	        : p->state == KEPT_CONTENT ? "f"
	                                   : "c");
	if (p->state == KEPT_CONTENT)
		lines_u64(l, 0, STATEMENT_NUMBER_MAX, &p->index);
	lines_text(l, LIMIT_PATH_BYTES, &p->path);
	if (p->path == NULL)
		return false;
	before = k->count > 0 ? p - 1 : NULL;
	k->count++;
	fault = strcmp(p->path, ".") == 0
	    ? NULL
	    : manifest_path_fault(p->path, strlen(p->path));
	if (fault != NULL)
		lines_fail(l, ERR_FORMAT, "path %s", fault);
	else if (before != NULL &&
	    manifest_path_cmp(before->path, strlen(before->path), p->path,
	        strlen(p->path)) >= 0)
		lines_fail(l, ERR_FORMAT, "path out of order");
	return true;
}

/* What stands before the sum. */
static int
parse_body(struct kept *k, const char *text, size_t len, struct err *e)
{
	struct lines l;

	lines_init(&l, "kept", text, len, e);
	lines_header(&l);
	lines_begin(&l, "when");
	lines_time(&l, &k->facts.when);
	parse_by(&l, &k->facts);
	parse_release(&l, "was", &k->facts.was);
	parse_release(&l, "now", &k->facts.now);
	while (parse_path(&l, k))
		;
	lines_begin(&l, "before");
	lines_digest(&l, &k->before);
	lines_u64(&l, 1, LIMIT_MANIFEST_BYTES, &k->before_bytes);
	lines_begin(&l, "content");
	lines_u64(&l, 0, STATEMENT_NUMBER_MAX, &k->facts.content_bytes);
	return lines_finish(&l);
}

static int
check_sum(const char *text, size_t len, struct err *e)
{
	struct digest want, got;
	const char *line;

	if (len < SUM_LINE)
		return err_set(e, ERR_FORMAT, "kept: no sum at the end");
	line = text + len - SUM_LINE;
	if (memcmp(line, "sum ", 4) != 0 || line[SUM_LINE - 1] != '\n' ||
	    digest_parse(line + 4, DIGEST_HEX - 1, &want) != 0)
		return err_set(e, ERR_FORMAT, "kept: no sum at the end");
	digest_of(text, len - SUM_LINE, &got);
	if (!digest_equal(&want, &got))
		return err_set(e, ERR_VERIFY, "kept: damaged");
	return 0;
}

static int
parse_into(struct kept *k, const char *text, size_t len, struct err *e)
{
	int rc = check_sum(text, len, e);

	return rc != 0 ? rc : parse_body(k, text, len - SUM_LINE, e);
}

static struct kept *
kept_new(struct err *e)
{
	struct kept *k = calloc(1, sizeof(*k));

	if (k == NULL)
		(void)err_memory(e);
	else
		k->fd = -1;
	return k;
}

int
kept_parse(const void *text, size_t len, struct kept_facts *out, struct err *e)
{
	struct kept *k = kept_new(e);
	int rc;

	if (k == NULL)
		return ERR_NO_MEMORY;
	rc = parse_into(k, text, len, e);
	if (rc == 0)
		*out = k->facts;
	kept_free(k);
	return rc;
}

static int
read_facts(int state, uint64_t number, struct kept **out, struct err *e)
{
	char path[KEPT_PATH_BYTES];
	struct kept *k = kept_new(e);
	struct buf text;
	int rc;

	if (k == NULL)
		return ERR_NO_MEMORY;
	(void)snprintf(path, sizeof(path), KEPT_DIR "/%llu/facts",
	    (unsigned long long)number);
	buf_init(&text, FACTS_MAX);
	rc = fsat_read_file(state, path, FACTS_MAX - 1, &text, e);
	if (rc == 0)
		rc = parse_into(k, buf_str(&text), text.len, e);
	if (rc != 0)
		err_prefix(e, "%s", path);
	buf_release(&text);
	k->facts.number = number;
	if (rc != 0)
		kept_free(k);
	else
		*out = k;
	return rc;
}

int
kept_read_facts(
    int state, uint64_t number, struct kept_facts *out, struct err *e)
{
	struct kept *k = NULL;
	int rc = read_facts(state, number, &k, e);

	if (rc == 0)
		*out = k->facts;
	kept_free(k);
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
	int rc = read_facts(state, number, &k, e);

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
	const char *path;

	if (k->at == k->count)
		return 1;
	if (k->m == NULL)
		return -1;
	path = k->paths[k->at].path;
	return manifest_path_cmp(
	    path, strlen(path), k->m->path, strlen(k->m->path));
}

/* Reads on when the entry it stands at was given. */
static int
advance(struct kept *k, struct err *e)
{
	int rc = 0;

	if (!k->started || (k->given && k->m != NULL))
		rc = manifest_reader_next(k->reader, &k->m, e);
	k->started = true;
	k->given = false;
	return rc;
}

int
kept_next(struct kept *k, struct kept_item *item, bool *more, struct err *e)
{
	const struct kept_path *p;
	int order, rc = advance(k, e);

	if (rc != 0)
		return rc;
	*more = k->m != NULL || k->at < k->count;
	if (!*more)
		return 0;
	order = which_first(k);
	k->given = order >= 0;
	if (order > 0) {
		*item = (struct kept_item){ KEPT_CONTEXT, k->m->path, 0, k->m };
		return 0;
	}
	p = &k->paths[k->at++];
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
