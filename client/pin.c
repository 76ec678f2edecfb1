/* Names of plans, and the last ones that were shown. */
#include "client/pin.h"

#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"

#define DIR        "plans"
#define LINE_BYTES (4 * (size_t)LIMIT_PATH_BYTES + 1024)

void
pin_init(struct pin *pin)
{
	pin->id[0] = '\0';
	pin->is_long = false;
	buf_init(&pin->text, PIN_KEPT_BYTES + LINE_BYTES);
}

void
pin_release(struct pin *pin)
{
	buf_release(&pin->text);
}

/* What is in the text goes into the digest once it is more than can be kept. */
static int
end_line(struct pin *pin, struct digest_state *hash, struct err *e)
{
	struct buf *b = &pin->text;
	int rc;

	buf_add_byte(b, '\n');
	if ((rc = buf_check(b, "plan", e)) != 0 || b->len <= PIN_KEPT_BYTES)
		return rc;
	pin->is_long = true;
	digest_add(hash, b->data, b->len);
	buf_clear(b);
	return 0;
}

static int
write_lines(struct pin *pin, const struct plan *plan, struct digest_state *hash,
    struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < plan->item_count && rc == 0; i++) {
		plan_describe(&pin->text, plan_item(plan, i));
		rc = end_line(pin, hash, e);
	}
	for (size_t i = 0; i < plan->delete_count && rc == 0; i++) {
		plan_describe_delete(&pin->text, plan_deletion(plan, i));
		rc = end_line(pin, hash, e);
	}
	return rc;
}

int
pin_make(struct pin *pin, const struct digest *release, const char *profile,
    const struct plan *plan, struct err *e)
{
	struct digest_state *hash = NULL;
	struct buf *b = &pin->text;
	char hex[DIGEST_HEX];
	struct digest d;
	int rc = digest_new(&hash, e);

	if (rc != 0)
		return rc;
	digest_hex(release, hex);
	buf_clear(b);
	pin->is_long = false;
	buf_addf(b, "pecia plan 1\nrelease %s\nprofile %s\n", hex, profile);
	rc = write_lines(pin, plan, hash, e);
	if (rc == 0) {
		digest_add(hash, buf_str(b), b->len);
		digest_end(hash, &d);
		text_hex(pin->id, d.b, (PIN_ID_BYTES - 1) / 2);
	}
	if (pin->is_long)
		buf_clear(b);
	digest_free(hash);
	return rc;
}

bool
pin_is_id(const char *id)
{
	uint8_t raw[(PIN_ID_BYTES - 1) / 2];

	return text_unhex(raw, sizeof(raw), id, strlen(id)) == 0;
}

/* ---- keeping ---- */

static bool
is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec
	                              : a->tv_nsec < b->tv_nsec;
}

/* The oldest one goes until no more than PIN_KEPT are there. */
static int
drop_old(int dir, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	struct timespec oldest = { 0 };
	struct fsat_stat st;
	size_t at = 0;
	int rc = fsat_list(dir, &names, e);

	for (size_t i = 0; i < names.count && rc == 0; i++) {
		rc = fsat_stat(dir, names.names[i], &st, e);
		if (rc != 0 || (i > 0 && !is_before(&st.mtime, &oldest)))
			continue;
		oldest = st.mtime;
		at = i;
	}
	if (rc == 0 && names.count > PIN_KEPT)
		rc = fsat_unlink(dir, names.names[at], e);
	fsat_names_release(&names);
	return rc;
}

int
pin_keep(const struct state *s, const struct pin *pin, struct err *e)
{
	int dir = -1, rc;

	if (pin->is_long)
		return 0;
	rc = fsat_mkdir_all(s->dir, DIR, 0700, e);
	if (rc == 0)
		rc = fsat_open_dir(s->dir, DIR, &dir, e);
	if (rc == 0)
		rc = fsat_write_file(
		    dir, pin->id, 0600, pin->text.data, pin->text.len, e);
	if (rc == 0)
		rc = drop_old(dir, e);
	if (dir >= 0)
		close(dir);
	return rc;
}

/* ---- what changed ---- */

struct lines {
	char **list; /* sorted */
	size_t count;
	char *text; /* what they are in */
};

static int
line_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

static int
split(const struct buf *b, struct lines *out, struct err *e)
{
	const char *all = b->len > 0 ? (const char *)b->data : "";
	size_t count = 1;

	for (size_t i = 0; i < b->len; i++)
		count += all[i] == '\n';
	out->text = strndup(all, b->len);
	out->list = calloc(count, sizeof(*out->list));
	if (out->text == NULL || out->list == NULL)
		return err_memory(e);
	for (char *s = out->text, *end; (end = strchr(s, '\n')) != NULL;
	     s = end + 1) {
		*end = '\0';
		out->list[out->count++] = s;
	}
	qsort(out->list, out->count, sizeof(*out->list), line_cmp);
	return 0;
}

static void
lines_free(struct lines *l)
{
	free(l->list);
	free(l->text);
}

static void
add_changes(struct buf *out, const struct lines *was, const struct lines *is)
{
	size_t i = 0, k = 0, told = 0;

	while (i < was->count || k < is->count) {
		int c = i == was->count ? 1
		    : k == is->count    ? -1
		                        : strcmp(was->list[i], is->list[k]);

		if (c != 0 && told++ < PIN_CHANGES)
			buf_addf(out, "%c %s\n", c < 0 ? '-' : '+',
			    c < 0 ? was->list[i] : is->list[k]);
		i += c <= 0;
		k += c >= 0;
	}
	if (told > PIN_CHANGES)
		buf_addf(out, "... and %zu more\n", told - PIN_CHANGES);
}

static int
find_changes(const struct state *s, const struct pin *pin, const char *wanted,
    struct buf *changes, struct err *e)
{
	struct lines was = { NULL, 0, NULL }, is = { NULL, 0, NULL };
	char path[sizeof(DIR) + PIN_ID_BYTES];
	struct buf old;
	int rc;

	(void)snprintf(path, sizeof(path), DIR "/%s", wanted);
	buf_init(&old, PIN_KEPT_BYTES + 1);
	rc = fsat_read_file(s->dir, path, PIN_KEPT_BYTES, &old, e);
	if (rc == 0)
		rc = split(&old, &was, e);
	if (rc == 0)
		rc = split(&pin->text, &is, e);
	if (rc == 0)
		add_changes(changes, &was, &is);
	lines_free(&was);
	lines_free(&is);
	buf_release(&old);
	return rc;
}

int
pin_check(const struct state *s, const struct pin *pin, const char *wanted,
    struct buf *changes, struct err *e)
{
	struct err why = ERR_INIT;
	const char *kept = "";

	if (strcmp(pin->id, wanted) == 0)
		return 0;
	if (pin->is_long || find_changes(s, pin, wanted, changes, &why) != 0)
		kept = " (one of them is not kept: what changed is not known)";
	return err_set(e, ERR_CONFLICT,
	    "today's plan is %s, not %s%s: nothing was changed; look at it "
	    "with `pecia plan`",
	    pin->id, wanted, kept);
}
