/* The state directory; runs in the applier. */
#include "client/state.h"

#include <errno.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"
#include "transcripts/manifest.h"
#include "transcripts/statement.h"

#define FROM_BYTES 512
/* Entered by all for the summaries, listed by nobody else. */
#define OWN_MODE 0711
#define OLD_MODE 0700

static int
not_set_up(const struct state *s, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND,
	    "%s: not set up: run `pecia init --anchor "
	    "sha256:...` with the anchor that `peciactl init` printed",
	    s->path);
}

int
state_open(struct state *s, const char *path, bool create, struct err *e)
{
	static const char *const dirs[] = { "manifest", "tmp" };
	int rc;

	if ((s->path = strdup(path)) == NULL)
		return err_memory(e);
	rc = fsat_operator_dir(path, create, OWN_MODE, &s->dir, e);
	if (rc == ERR_NOT_FOUND && !create)
		return not_set_up(s, e);
	if (rc != 0)
		return rc;
	if (!create)
		return 0;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		if ((rc = fsat_mkdir_all(s->dir, dirs[i], 0700, e)) != 0)
			return rc;
	return 0;
}

void
state_release(struct state *s)
{
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->dir >= 0)
		close(s->dir);
	free(s->path);
	*s = (struct state)STATE_INIT;
}

int
state_lock(struct state *s, unsigned wait_ms, struct err *e)
{
	int rc;

	rc = fsat_open_write(s->dir, "lock", 0600, &s->lock_fd, e);
	if (rc == 0)
		rc = fsat_lock(s->lock_fd, wait_ms, e);
	if (rc == ERR_CONFLICT)
		return err_set(
		    e, ERR_BUSY, "another run is under way (%s/lock)", s->path);
	return rc != 0 ? err_prefix(e, "%s", s->path) : 0;
}

int
state_let_in(const struct state *s, struct err *e)
{
	struct fsat_stat st;
	int rc = fsat_stat_fd(s->dir, &st, e);

	if (rc != 0 || (st.mode & MANIFEST_MODE_MAX) != OLD_MODE ||
	    st.uid != geteuid())
		return rc;
	return fsat_chmod(s->dir, "", OWN_MODE, e);
}

/* Directories that files are written to as a whole. */
int
state_clean(const struct state *s, struct err *e)
{
	static const char *const dirs[] = { ".", "identity", "root", "channel",
		"release", "seen", "evidence", "manifest" };
	int rc = 0;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs) && rc == 0; i++)
		rc = fsat_remove_temporaries(s->dir, dirs[i], e);
	return rc;
}

int
state_anchor(const struct state *s, struct digest *out, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, 256);
	rc = fsat_read_file(s->dir, "anchor", 255, &b, e);
	if (rc == ERR_NOT_FOUND)
		rc = not_set_up(s, e);
	if (rc == 0 && b.len > 0 && b.data[b.len - 1] == '\n')
		b.data[--b.len] = '\0';
	if (rc == 0 && text_sha256(buf_str(&b), out->b) != 0)
		rc = err_set(
		    e, ERR_FORMAT, "%s/anchor: not sha256:<hex>", s->path);
	buf_release(&b);
	return rc;
}

int
state_set_anchor(
    const struct state *s, const struct digest *anchor, struct err *e)
{
	char hex[DIGEST_HEX], line[DIGEST_HEX + 16];

	digest_hex(anchor, hex);
	(void)snprintf(line, sizeof(line), "sha256:%s\n", hex);
	return fsat_write_file(s->dir, "anchor", 0600, line, strlen(line), e);
}

/* ---- trust store ---- */

static int
store_get(void *arg, const char *name, struct buf *out, struct err *e)
{
	const struct state *s = arg;

	return fsat_read_file(s->dir, name, out->max, out, e);
}

static int
store_put(
    void *arg, const char *name, const void *data, size_t len, struct err *e)
{
	const struct state *s = arg;
	const char *slash = strrchr(name, '/');
	char dir[STATE_PATH_BYTES];
	int rc;

	if (slash != NULL) {
		(void)snprintf(
		    dir, sizeof(dir), "%.*s", (int)(slash - name), name);
		if ((rc = fsat_mkdir_all(s->dir, dir, 0700, e)) != 0)
			return rc;
	}
	/* A release that a crash damages is fetched again, and what names it for
	 * good is written after a sync of all. */
	if (strncmp(name, "release/", 8) == 0)
		return fsat_write_loosely(s->dir, name, 0600, data, len, e);
	/* One forgotten by a crash was not acted upon yet. */
	if (strncmp(name, "seen/", 5) == 0)
		return fsat_replace_file(s->dir, name, 0600, data, len, e);
	return fsat_write_file(s->dir, name, 0600, data, len, e);
}

void
state_trust_store(struct state *s, struct trust_store *out)
{
	out->get = store_get;
	out->put = store_put;
	out->arg = s;
}

/* ---- applied ---- */

void
applied_write(struct buf *text, const struct applied *a)
{
	char hex[DIGEST_HEX], when[TEXT_TIME_BYTES];

	digest_hex(&a->release, hex);
	text_time(when, a->when);
	buf_addf(text,
	    "pecia applied 1\nchannel %s\nserial %llu\nrelease %s\n"
	    "profile %s\nwhen %s\nsite %s\nfrom ",
	    a->channel, (unsigned long long)a->serial, hex, a->profile, when,
	    a->site[0] != '\0' ? a->site : "-");
	text_escape(text, a->from, strlen(a->from));
	buf_add_byte(text, '\n');
}

static int
field(struct reader *r, const char *key, char *dst, size_t size)
{
	const char *line;
	size_t len, key_len = strlen(key);

	if (reader_line(r, &line, &len) != 0 || len < key_len + 1 ||
	    memcmp(line, key, key_len) != 0 || line[key_len] != ' ' ||
	    len - key_len - 1 >= size || memchr(line, '\0', len) != NULL)
		return ERR_FORMAT;
	memcpy(dst, line + key_len + 1, len - key_len - 1);
	dst[len - key_len - 1] = '\0';
	return 0;
}

/* Names become file names and words in messages. */
static bool
names_are_fit(struct applied *a)
{
	if (strcmp(a->site, "-") == 0)
		a->site[0] = '\0';
	return text_is_name(a->channel, strlen(a->channel)) &&
	    text_is_name(a->profile, strlen(a->profile)) &&
	    (a->site[0] == '\0' || text_is_name(a->site, strlen(a->site)));
}

int
applied_parse(const char *text, size_t len, struct applied *out, struct err *e)
{
	struct applied a = { .serial = 0 };
	char magic[16], serial[32], hex[DIGEST_HEX], when[TEXT_TIME_BYTES];
	char from[4 * FROM_BYTES];
	struct reader r;
	size_t n;

	reader_init(&r, text, len);
	if (field(&r, "pecia applied", magic, sizeof(magic)) != 0 ||
	    strcmp(magic, "1") != 0 ||
	    field(&r, "channel", a.channel, sizeof(a.channel)) != 0 ||
	    field(&r, "serial", serial, sizeof(serial)) != 0 ||
	    field(&r, "release", hex, sizeof(hex)) != 0 ||
	    field(&r, "profile", a.profile, sizeof(a.profile)) != 0 ||
	    field(&r, "when", when, sizeof(when)) != 0 ||
	    field(&r, "site", a.site, sizeof(a.site)) != 0 ||
	    field(&r, "from", from, sizeof(from)) != 0 ||
	    reader_left(&r) != 0 || !names_are_fit(&a) ||
	    text_u64(serial, strlen(serial), STATEMENT_NUMBER_MAX, &a.serial) !=
	        0 ||
	    digest_parse(hex, strlen(hex), &a.release) != 0 ||
	    text_untime(when, strlen(when), &a.when) != 0 ||
	    text_unescape(a.from, sizeof(a.from), from, strlen(from), &n) != 0)
		return err_set(e, ERR_FORMAT, "applied: damaged");
	*out = a;
	return 0;
}

int
state_applied(const struct state *s, struct applied *out, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, LIMIT_CONFIG_BYTES);
	rc = fsat_read_file(s->dir, "applied", LIMIT_CONFIG_BYTES - 1, &b, e);
	if (rc == 0)
		rc = applied_parse(buf_str(&b), b.len, out, e);
	buf_release(&b);
	return rc;
}

int
state_set_applied(const struct state *s, const struct buf *text, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc;

	if (text->len > 0)
		return fsat_write_file(
		    s->dir, "applied", 0600, text->data, text->len, e);
	rc = fsat_unlink(s->dir, "applied", &mine);
	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc == 0)
		return fsat_fsync(s->dir, e);
	*e = mine;
	return rc;
}

int
state_find_release(const struct state *s, const struct applied *a,
    struct release *out, struct err *e)
{
	char hex[DIGEST_HEX], name[STATE_PATH_BYTES];
	struct statement st;
	struct digest got;
	struct buf raw;
	int rc;

	digest_hex(&a->release, hex);
	(void)snprintf(name, sizeof(name), "release/%s", hex);
	buf_init(&raw, LIMIT_RELEASE_BYTES);
	rc = fsat_read_file(s->dir, name, LIMIT_RELEASE_BYTES, &raw, e);
	if (rc == 0) {
		digest_of(raw.data, raw.len, &got);
		if (!digest_equal(&got, &a->release))
			rc = err_set(e, ERR_VERIFY, "damaged");
	}
	if (rc == 0)
		rc = statement_split(raw.data, raw.len, &st, e);
	if (rc == 0)
		rc = release_parse(st.body, st.body_len, out, e);
	buf_release(&raw);
	return rc != 0 ? err_prefix(e, "stored %s", name) : 0;
}

int
state_failures(const struct state *s, uint64_t *out, struct err *e)
{
	struct err mine = ERR_INIT;
	struct buf b;
	int rc;

	*out = 0;
	buf_init(&b, 32);
	rc = fsat_read_file(s->dir, "failures", 31, &b, &mine);
	if (rc == 0 &&
	    (b.len == 0 ||
	        text_u64(buf_str(&b), b.len - 1, UINT32_MAX, out) != 0))
		*out = 0;
	buf_release(&b);
	if (rc == 0 || rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}

int
state_set_failures(const struct state *s, uint64_t n, struct err *e)
{
	uint64_t old;
	char text[32];
	int rc;

	if ((rc = state_failures(s, &old, e)) != 0 || old == n)
		return rc;
	if (n == 0)
		return fsat_unlink(s->dir, "failures", e);
	(void)snprintf(text, sizeof(text), "%llu\n", (unsigned long long)n);
	return fsat_write_file(s->dir, "failures", 0600, text, strlen(text), e);
}

/* ---- manifests ---- */

void
state_manifest_path(char path[STATE_PATH_BYTES], const struct digest *digest)
{
	char hex[DIGEST_HEX];

	digest_hex(digest, hex);
	(void)snprintf(path, STATE_PATH_BYTES, "manifest/%s", hex);
}

static bool
is_among(const char *hex, const struct digest *keep, size_t count)
{
	struct digest d;

	if (digest_parse(hex, strlen(hex), &d) != 0)
		return false;
	for (size_t i = 0; i < count; i++)
		if (digest_equal(&d, &keep[i]))
			return true;
	return false;
}

int
state_prune_manifests(const struct state *s, const struct digest *keep,
    size_t count, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int dir = -1, rc;

	rc = fsat_open_dir(s->dir, "manifest", &dir, e);
	if (rc == 0)
		rc = fsat_list(dir, &names, e);
	for (size_t i = 0; i < names.count && rc == 0; i++)
		if (!is_among(names.names[i], keep, count))
			rc = fsat_unlink(dir, names.names[i], e);
	fsat_names_release(&names);
	if (dir >= 0)
		close(dir);
	return rc;
}

int
state_clean_tmp(const struct state *s, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int dir = -1, rc;

	rc = fsat_open_dir(s->dir, "tmp", &dir, e);
	if (rc == 0)
		rc = fsat_list(dir, &names, e);
	for (size_t i = 0; i < names.count && rc == 0; i++)
		rc = fsat_unlink(dir, names.names[i], e);
	fsat_names_release(&names);
	if (dir >= 0)
		close(dir);
	return rc;
}
