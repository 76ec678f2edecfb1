/* Releases.  peciactl writes them; mirrors and clients read them. */
#include "transcripts/release.h"

#include <fnmatch.h>

#include "common/text.h"
#include "transcripts/head.h"
#include "transcripts/lines.h"

static const char *const mode_names[] = {
	[RELEASE_OVERLAY] = "overlay",
	[RELEASE_EXACT] = "exact",
};

void
release_init(struct release *r)
{
	memset(r, 0, sizeof(*r));
}

static void
release_transcript_fields(struct release_transcript *t)
{
	size_t i;

	for (i = 0; i < t->exclude_count; i++)
		free(t->excludes[i]);
	free(t->excludes);
	free(t->target);
}

void
release_release(struct release *r)
{
	size_t i;

	for (i = 0; i < r->transcript_count; i++)
		release_transcript_fields(&r->transcripts[i]);
	for (i = 0; i < r->profile_count; i++)
		free(r->profiles[i].transcripts);
	for (i = 0; i < r->host_count; i++)
		free(r->hosts[i].pattern);
	free(r->transcripts);
	free(r->profiles);
	free(r->hosts);
	actions_release(&r->triggers);
	actions_release(&r->checks);
	free(r->author);
	free(r->message);
	free(r->source);
	release_init(r);
}

bool
release_is_target(const char *path)
{
	size_t len;

	if (path[0] != '/' || strlen(path) > LIMIT_PATH_BYTES)
		return false;
	if (path[1] == '\0')
		return true;
	while (*path == '/') {
		path++;
		len = strcspn(path, "/");
		if (len == 0 || len > LIMIT_COMPONENT_BYTES ||
		    (path[0] == '.' &&
		        (len == 1 || (len == 2 && path[1] == '.'))))
			return false;
		path += len;
	}
	return true;
}

static void
parse_mode(struct lines *l, enum release_mode *mode)
{
	const char *p = NULL;
	size_t i, len = 0;

	if (!lines_word(l, &p, &len))
		return;
	for (i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
		if (len == strlen(mode_names[i]) &&
		    memcmp(p, mode_names[i], len) == 0) {
			*mode = (enum release_mode)i;
			return;
		}
	}
	lines_fail(l, ERR_FORMAT, "neither overlay nor exact");
}

static void
parse_data(struct lines *l, struct release_transcript *t)
{
	t->has_data = !lines_dash(l);
	if (t->has_data)
		lines_digest(l, &t->data);
	lines_u64(l, t->has_data ? 1 : 0, t->has_data ? INT64_MAX : 0,
	    &t->data_bytes);
}

static void
parse_exclude(struct lines *l, struct release_transcript *t)
{
	char *pattern = NULL;

	lines_begin(l, "exclude");
	t->excludes = lines_room(l, t->excludes, t->exclude_count,
	    sizeof(*t->excludes), LIMIT_EXCLUDES);
	lines_text(l, LIMIT_TEXT_BYTES, &pattern);
	if (l->failed != 0) {
		free(pattern);
		return;
	}
	t->excludes[t->exclude_count++] = pattern;
	if (pattern[0] == '\0')
		lines_fail(l, ERR_FORMAT, "empty pattern");
}

static void
parse_transcript(struct lines *l, struct release *r)
{
	struct release_transcript *t;

	lines_begin(l, "transcript");
	r->transcripts = lines_room(l, r->transcripts, r->transcript_count,
	    sizeof(*r->transcripts), LIMIT_TRANSCRIPTS);
	if (l->failed != 0)
		return;
	t = &r->transcripts[r->transcript_count++];
	lines_name(l, t->name);
	if (r->transcript_count > 1)
		lines_ascending(l, t[-1].name, t->name);
	parse_mode(l, &t->mode);
	lines_digest(l, &t->manifest);
	lines_u64(l, 1, LIMIT_MANIFEST_BYTES, &t->manifest_bytes);
	lines_u64(l, 0, LIMIT_MANIFEST_BYTES, &t->entries);
	lines_u64(l, 0, INT64_MAX, &t->content_bytes);
	parse_data(l, t);
	lines_text(l, LIMIT_PATH_BYTES, &t->target);
	if (l->failed == 0 && !release_is_target(t->target))
		lines_fail(l, ERR_FORMAT,
		    "target is not an absolute path without '.', '..', '//' "
		    "and '/' at its end");
	while (lines_follows(l, "exclude"))
		parse_exclude(l, t);
}

/* The name is the first member of both structures. */
static int
compare_name(const void *name, const void *item)
{
	return strcmp(name, item);
}

const struct release_transcript *
release_find_transcript(const struct release *r, const char *name)
{
	return r->transcript_count == 0
	    ? NULL
	    : bsearch(name, r->transcripts, r->transcript_count,
	          sizeof(*r->transcripts), compare_name);
}

const struct release_profile *
release_find_profile(const struct release *r, const char *name)
{
	return r->profile_count == 0
	    ? NULL
	    : bsearch(name, r->profiles, r->profile_count, sizeof(*r->profiles),
	          compare_name);
}

/* One transcript of a profile; `taken` has those that it names already. */
static void
parse_member(struct lines *l, const struct release *r,
    struct release_profile *p, bool taken[LIMIT_TRANSCRIPTS])
{
	const struct release_transcript *t;
	char name[LIMIT_NAME_BYTES + 1] = "";
	size_t at;

	p->transcripts = lines_room(l, p->transcripts, p->count,
	    sizeof(*p->transcripts), LIMIT_TRANSCRIPTS);
	lines_name(l, name);
	if (l->failed != 0)
		return;
	t = release_find_transcript(r, name);
	at = t == NULL ? 0 : (size_t)(t - r->transcripts);
	if (t == NULL || taken[at]) {
		lines_fail(l, ERR_FORMAT, "transcript '%s' is %s", name,
		    t == NULL ? "not in the release" : "repeated");
		return;
	}
	taken[at] = true;
	p->transcripts[p->count++] = (uint16_t)at;
}

static void
parse_profile(struct lines *l, struct release *r)
{
	bool taken[LIMIT_TRANSCRIPTS] = { false };
	struct release_profile *p;

	lines_begin(l, "profile");
	r->profiles = lines_room(l, r->profiles, r->profile_count,
	    sizeof(*r->profiles), LIMIT_PROFILES);
	if (l->failed != 0)
		return;
	p = &r->profiles[r->profile_count++];
	lines_name(l, p->name);
	if (r->profile_count > 1)
		lines_ascending(l, p[-1].name, p->name);
	do {
		parse_member(l, r, p, taken);
	} while (lines_more(l));
}

static void
parse_host(struct lines *l, struct release *r)
{
	char name[LIMIT_NAME_BYTES + 1] = "";
	const struct release_profile *p;
	struct release_host *h;

	lines_begin(l, "host");
	r->hosts = lines_room(
	    l, r->hosts, r->host_count, sizeof(*r->hosts), LIMIT_HOSTS);
	if (l->failed != 0)
		return;
	h = &r->hosts[r->host_count++];
	lines_text(l, LIMIT_TEXT_BYTES, &h->pattern);
	if (l->failed == 0 && h->pattern[0] == '\0')
		lines_fail(l, ERR_FORMAT, "empty pattern");
	lines_name(l, name);
	if (l->failed != 0)
		return;
	p = release_find_profile(r, name);
	if (p == NULL) {
		lines_fail(
		    l, ERR_FORMAT, "profile '%s' is not in the release", name);
		return;
	}
	h->profile = (uint16_t)(p - r->profiles);
	if (!lines_dash(l))
		lines_name(l, h->channel);
}

static void
parse_fields(struct lines *l, struct release *r)
{
	lines_header(l);
	lines_begin(l, "channel");
	lines_name(l, r->channel);
	lines_begin(l, "serial");
	lines_u64(l, 1, STATEMENT_NUMBER_MAX, &r->serial);
	lines_begin(l, "previous");
	r->has_previous = !lines_dash(l);
	if (r->has_previous)
		lines_digest(l, &r->previous);
	if (r->has_previous && r->serial == 1)
		lines_fail(l, ERR_FORMAT, "serial 1 has none before it");
	lines_begin(l, "created");
	lines_time(l, &r->created);
	lines_begin(l, "author");
	lines_text(l, LIMIT_TEXT_BYTES, &r->author);
	lines_begin(l, "message");
	lines_text(l, LIMIT_TEXT_BYTES, &r->message);
	lines_begin(l, "source");
	lines_text(l, LIMIT_TEXT_BYTES, &r->source);
	while (lines_follows(l, "transcript"))
		parse_transcript(l, r);
	while (lines_follows(l, "profile"))
		parse_profile(l, r);
	while (lines_follows(l, "host"))
		parse_host(l, r);
	actions_parse(l, r);
}

int
release_parse(const char *body, size_t len, struct release *out, struct err *e)
{
	struct release r;
	struct buf again;
	struct lines l;
	int rc;

	release_init(&r);
	lines_init(&l, "release", body, len, e);
	parse_fields(&l, &r);
	rc = lines_finish(&l);
	if (rc == 0) {
		buf_init(&again, len);
		release_write(&again, &r);
		rc = lines_same(&again, "release", body, len, e);
	}
	if (rc == 0)
		*out = r;
	else
		release_release(&r);
	return rc;
}

static void
write_text(struct buf *text, const char *key, const char *value)
{
	buf_add_str(text, key);
	if (value == NULL)
		value = "";
	text_escape(text, value, strlen(value));
}

static void
write_transcript(struct buf *text, const struct release_transcript *t)
{
	char manifest[DIGEST_HEX], data[DIGEST_HEX] = "-";
	size_t i;

	digest_hex(&t->manifest, manifest);
	if (t->has_data)
		digest_hex(&t->data, data);
	buf_addf(text, "transcript %s %s %s %llu %llu %llu", t->name,
	    mode_names[t->mode], manifest,
	    (unsigned long long)t->manifest_bytes,
	    (unsigned long long)t->entries,
	    (unsigned long long)t->content_bytes);
	buf_addf(text, " %s %llu", data,
	    t->has_data ? (unsigned long long)t->data_bytes : 0);
	write_text(text, " ", t->target);
	buf_add_byte(text, '\n');
	for (i = 0; i < t->exclude_count; i++) {
		write_text(text, "exclude ", t->excludes[i]);
		buf_add_byte(text, '\n');
	}
}

static void
write_profile(
    struct buf *text, const struct release *r, const struct release_profile *p)
{
	size_t i;

	buf_addf(text, "profile %s", p->name);
	for (i = 0; i < p->count; i++)
		buf_addf(text, " %s", r->transcripts[p->transcripts[i]].name);
	buf_add_byte(text, '\n');
}

void
release_write(struct buf *text, const struct release *r)
{
	char previous[DIGEST_HEX] = "-", created[TEXT_TIME_BYTES];
	const struct release_host *h;
	size_t i;

	if (r->has_previous)
		digest_hex(&r->previous, previous);
	text_time(created, r->created);
	buf_addf(text, "pecia release 1\nchannel %s\nserial %llu\n", r->channel,
	    (unsigned long long)r->serial);
	buf_addf(text, "previous %s\ncreated %s\n", previous, created);
	write_text(text, "author ", r->author);
	write_text(text, "\nmessage ", r->message);
	write_text(text, "\nsource ", r->source);
	buf_add_byte(text, '\n');
	for (i = 0; i < r->transcript_count; i++)
		write_transcript(text, &r->transcripts[i]);
	for (i = 0; i < r->profile_count; i++)
		write_profile(text, r, &r->profiles[i]);
	for (i = 0; i < r->host_count; i++) {
		h = &r->hosts[i];
		write_text(text, "host ", h->pattern);
		buf_addf(text, " %s %s\n", r->profiles[h->profile].name,
		    h->channel[0] == '\0' ? "-" : h->channel);
	}
	actions_write(text, r);
}

/* What stands below a head or below the next release. */
static int
read_named(const struct root *root, const struct digest *name, const void *data,
    size_t len, struct release *out, struct err *e)
{
	char want[DIGEST_HEX];
	struct statement s;
	struct digest d;
	int rc;

	digest_hex(name, want);
	if (len > LIMIT_RELEASE_BYTES)
		return err_set(e, ERR_LIMIT,
		    "release %s: %zu bytes, %d at most", want, len,
		    LIMIT_RELEASE_BYTES);
	digest_of(data, len, &d);
	if (!digest_equal(&d, name))
		return err_set(e, ERR_VERIFY,
		    "release %s: these bytes have another digest", want);
	rc = root_verify(root, ROOT_ROLE_RELEASE, data, len, &s, e);
	if (rc == 0)
		rc = release_parse(s.body, s.body_len, out, e);
	return rc == 0 ? 0 : err_prefix(e, "release %s", want);
}

static int
check_place(const struct release *r, const char *channel, uint64_t serial,
    struct err *e)
{
	if (strcmp(r->channel, channel) == 0 && r->serial == serial)
		return 0;
	return err_set(e, ERR_VERIFY,
	    "release: it says channel %s, serial %llu; what points to it says "
	    "%s, %llu",
	    r->channel, (unsigned long long)r->serial, channel,
	    (unsigned long long)serial);
}

int
release_read(const struct root *root, const struct head *head, const void *data,
    size_t len, struct release *out, struct err *e)
{
	struct release r;
	int rc;

	if (len != head->release_bytes)
		return err_set(e, ERR_VERIFY,
		    "release: %zu bytes, its head says %llu", len,
		    (unsigned long long)head->release_bytes);
	rc = read_named(root, &head->release, data, len, &r, e);
	if (rc != 0)
		return rc;
	rc = check_place(&r, head->channel, head->serial, e);
	if (rc == 0)
		*out = r;
	else
		release_release(&r);
	return rc;
}

int
release_read_previous(const struct root *root, const struct release *next,
    const void *data, size_t len, struct release *out, struct err *e)
{
	struct release r;
	int rc;

	if (!next->has_previous)
		return err_set(e, ERR_NOT_FOUND,
		    "release %llu of channel %s names none before it",
		    (unsigned long long)next->serial, next->channel);
	rc = read_named(root, &next->previous, data, len, &r, e);
	if (rc != 0)
		return rc;
	rc = check_place(&r, next->channel, next->serial - 1, e);
	if (rc == 0)
		*out = r;
	else
		release_release(&r);
	return rc;
}

/* ERR_NOT_FOUND with the profiles that there are, as many as a line takes. */
static int
no_profile(const struct release *r, const char *host, struct err *e)
{
	struct buf names;
	size_t i;
	int rc;

	buf_init(&names, 512);
	for (i = 0; i < r->profile_count && names.failed == 0; i++)
		buf_addf(
		    &names, "%s%s", i > 0 ? ", " : "", r->profiles[i].name);
	rc = err_set(e, ERR_NOT_FOUND,
	    "release %llu of channel %s: no host line matches '%.253s'; it has "
	    "%zu host lines and the profiles %s%s",
	    (unsigned long long)r->serial, r->channel, host, r->host_count,
	    r->profile_count == 0 ? "(none)" : buf_str(&names),
	    names.failed != 0 ? ", ..." : "");
	buf_release(&names);
	return rc;
}

int
release_profile_of(const struct release *r, const char *host,
    const struct release_profile **out, struct err *e)
{
	const struct release_host *h;
	size_t i;

	for (i = 0; i < r->host_count; i++) {
		h = &r->hosts[i];
		if (h->channel[0] != '\0' &&
		    strcmp(h->channel, r->channel) != 0)
			continue;
		if (fnmatch(h->pattern, host, FNM_CASEFOLD) == 0) {
			*out = &r->profiles[h->profile];
			return 0;
		}
	}
	return no_profile(r, host, e);
}
