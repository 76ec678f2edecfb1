/* peciactl log, peciactl show: releases from the head backwards. */
#include <inttypes.h>
#include <stdio.h>

#include "common/json.h"
#include "common/text.h"
#include "server/ctl.h"
#include "server/history.h"

static uint64_t
sum_entries(const struct release *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->transcript_count; i++)
		n += r->transcripts[i].entries;
	return n;
}

static uint64_t
sum_content(const struct release *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->transcript_count; i++)
		n += r->transcripts[i].content_bytes;
	return n;
}

static uint64_t
sum_data(const struct release *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->transcript_count; i++)
		n += r->transcripts[i].data_bytes;
	return n;
}

/* The first line of a message. */
static void
print_subject(const char *message)
{
	char line[LIMIT_TEXT_BYTES + 1];
	size_t len = 0;

	while (len < LIMIT_TEXT_BYTES && message[len] != '\0' &&
	    message[len] != '\n') {
		line[len] = message[len];
		len++;
	}
	line[len] = '\0';
	ctl_print_text(line);
}

static void
print_line(const struct history_item *h)
{
	char when[TEXT_TIME_BYTES], content[32], data[32];
	const struct release *r = &h->release;

	text_time(when, r->created);
	text_bytes(content, sizeof(content), sum_content(r));
	text_bytes(data, sizeof(data), sum_data(r));
	(void)printf("%" PRIu64 "  %s  ", r->serial, when);
	ctl_print_text(r->author);
	(void)printf("  %" PRIu64 " entries, %s, update %s  ", sum_entries(r),
	    content, data);
	print_subject(r->message);
	(void)printf("\n");
}

static void
set_head(struct json *j, const struct history_item *h)
{
	ctl_json_digest(j, "release", &h->digest);
	json_set_u64(j, "serial", h->release.serial);
	ctl_json_time(j, "created", h->release.created);
	json_set_string(j, "author", h->release.author);
	json_set_string(j, "message", h->release.message);
	json_set_string(j, "source", h->release.source);
}

static struct json *
line_json(const struct history_item *h)
{
	struct json *j = json_object_new();

	set_head(j, h);
	json_set_u64(j, "entries", sum_entries(&h->release));
	json_set_u64(j, "content_bytes", sum_content(&h->release));
	json_set_u64(j, "data_bytes", sum_data(&h->release));
	return j;
}

/* A history_fn. */
static int
log_one(void *arg, const struct history_item *h, bool *go_on, struct err *e)
{
	struct json *list = arg;

	(void)e;
	(void)go_on;
	if (list != NULL)
		json_append(list, line_json(h));
	else
		print_line(h);
	return 0;
}

int
ctl_log(const struct ctl_options *o, struct err *e)
{
	struct json *list = o->json ? json_array_new() : NULL;
	struct json *j;
	struct origin origin;
	int ret = ctl_open(o, false, &origin, e);

	if (ret == 0)
		ret = history_walk(&origin, o->channel, log_one, list, e);
	origin_release(&origin);
	if (ret != 0 || !o->json) {
		json_free(list);
		return ret;
	}
	j = json_object_new();
	json_set_string(j, "channel", o->channel);
	json_set_child(j, "releases", list);
	return ctl_print_json(j, e);
}

static const char *
mode_name(enum release_mode mode)
{
	return mode == RELEASE_EXACT ? "exact" : "overlay";
}

static void
print_transcript(const struct release_transcript *t)
{
	char hex[DIGEST_HEX], content[32], data[32];

	text_bytes(content, sizeof(content), t->content_bytes);
	text_bytes(data, sizeof(data), t->data_bytes);
	digest_hex(&t->manifest, hex);
	(void)printf("transcript  %s: %s at ", t->name, mode_name(t->mode));
	ctl_print_text(t->target);
	(void)printf(", %" PRIu64 " entries, %s\n", t->entries, content);
	(void)printf("            manifest %s\n", hex);
	if (t->has_data) {
		digest_hex(&t->data, hex);
		(void)printf("            data     %s, %s\n", hex, data);
	}
	for (size_t i = 0; i < t->exclude_count; i++) {
		(void)printf("            exclude  ");
		ctl_print_text(t->excludes[i]);
		(void)printf("\n");
	}
}

static void
print_text(const char *key, const char *text)
{
	if (text[0] == '\0')
		return;
	(void)printf("%-11s ", key);
	ctl_print_text(text);
	(void)printf("\n");
}

static void
print_release(const struct history_item *h)
{
	const struct release *r = &h->release;
	char hex[DIGEST_HEX], when[TEXT_TIME_BYTES];

	digest_hex(&h->digest, hex);
	text_time(when, r->created);
	(void)printf("release     %s\n", hex);
	(void)printf(
	    "channel     %s\nserial      %" PRIu64 "\n", r->channel, r->serial);
	if (r->has_previous) {
		digest_hex(&r->previous, hex);
		(void)printf("previous    %s\n", hex);
	}
	(void)printf("created     %s\n", when);
	print_text("author", r->author);
	print_text("message", r->message);
	print_text("source", r->source);
	for (size_t i = 0; i < r->transcript_count; i++)
		print_transcript(&r->transcripts[i]);
	for (size_t i = 0; i < r->profile_count; i++) {
		const struct release_profile *p = &r->profiles[i];

		(void)printf("profile     %s:", p->name);
		for (size_t j = 0; j < p->count; j++)
			(void)printf(
			    " %s", r->transcripts[p->transcripts[j]].name);
		(void)printf("\n");
	}
	for (size_t i = 0; i < r->host_count; i++) {
		(void)printf("host        ");
		ctl_print_text(r->hosts[i].pattern);
		(void)printf(": %s", r->profiles[r->hosts[i].profile].name);
		if (r->hosts[i].channel[0] != '\0')
			(void)printf(" in channel %s", r->hosts[i].channel);
		(void)printf("\n");
	}
	ctl_print_actions(r);
}

static struct json *
transcript_json(const struct release_transcript *t)
{
	struct json *j = json_object_new(), *excludes = json_array_new();

	json_set_string(j, "name", t->name);
	json_set_string(j, "mode", mode_name(t->mode));
	json_set_string(j, "target", t->target);
	ctl_json_digest(j, "manifest", &t->manifest);
	json_set_u64(j, "manifest_bytes", t->manifest_bytes);
	json_set_u64(j, "entries", t->entries);
	json_set_u64(j, "content_bytes", t->content_bytes);
	if (t->has_data)
		ctl_json_digest(j, "data", &t->data);
	else
		json_set_string(j, "data", NULL);
	json_set_u64(j, "data_bytes", t->data_bytes);
	for (size_t i = 0; i < t->exclude_count; i++)
		json_append_string(excludes, t->excludes[i]);
	json_set_child(j, "excludes", excludes);
	return j;
}

static struct json *
profiles_json(const struct release *r)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < r->profile_count; i++) {
		const struct release_profile *p = &r->profiles[i];
		struct json *j = json_object_new(), *names = json_array_new();

		for (size_t n = 0; n < p->count; n++)
			json_append_string(
			    names, r->transcripts[p->transcripts[n]].name);
		json_set_string(j, "name", p->name);
		json_set_child(j, "transcripts", names);
		json_append(list, j);
	}
	return list;
}

static struct json *
hosts_json(const struct release *r)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < r->host_count; i++) {
		const struct release_host *h = &r->hosts[i];
		struct json *j = json_object_new();

		json_set_string(j, "pattern", h->pattern);
		json_set_string(j, "profile", r->profiles[h->profile].name);
		json_set_string(
		    j, "channel", h->channel[0] == '\0' ? NULL : h->channel);
		json_append(list, j);
	}
	return list;
}

static int
print_release_json(const struct history_item *h, struct err *e)
{
	const struct release *r = &h->release;
	struct json *j = json_object_new(), *transcripts = json_array_new();

	json_set_string(j, "channel", r->channel);
	set_head(j, h);
	if (r->has_previous)
		ctl_json_digest(j, "previous", &r->previous);
	else
		json_set_string(j, "previous", NULL);
	for (size_t i = 0; i < r->transcript_count; i++)
		json_append(transcripts, transcript_json(&r->transcripts[i]));
	json_set_child(j, "transcripts", transcripts);
	json_set_child(j, "profiles", profiles_json(r));
	json_set_child(j, "hosts", hosts_json(r));
	ctl_json_actions(j, r);
	return ctl_print_json(j, e);
}

struct search {
	const struct ctl_options *o;
	bool found;
	uint64_t oldest;
};

/* A history_fn. */
static int
show_one(void *arg, const struct history_item *h, bool *go_on, struct err *e)
{
	struct search *s = arg;

	s->oldest = h->release.serial;
	if (s->o->serial != 0 && h->release.serial != s->o->serial) {
		*go_on = h->release.serial > s->o->serial;
		return 0;
	}
	s->found = true;
	*go_on = false;
	if (s->o->json)
		return print_release_json(h, e);
	print_release(h);
	return 0;
}

int
ctl_show(const struct ctl_options *o, struct err *e)
{
	struct search s = { o, false, 0 };
	struct origin origin;
	int ret = ctl_open(o, false, &origin, e);

	if (ret == 0)
		ret = history_walk(&origin, o->channel, show_one, &s, e);
	origin_release(&origin);
	if (ret == 0 && !s.found)
		return err_set(e, ERR_NOT_FOUND,
		    "channel %s: no release %" PRIu64 " here; the oldest kept "
		    "or the next lower is %" PRIu64,
		    o->channel, o->serial, s.oldest);
	return ret;
}
