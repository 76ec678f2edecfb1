/* peciactl publish: what to publish, with what keys, and how it went. */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/json.h"
#include "common/progress.h"
#include "common/text.h"
#include "server/ctl.h"
#include "server/keys.h"
#include "server/publish.h"

/* Paths that --noop lists, of each transcript and kind. */
#define LISTED_MAX 1000

static const char marks[PUBLISH_ACTION_CHANGES] = {
	[PUBLISH_ADDED] = '+',
	[PUBLISH_CHANGED] = '~',
	[PUBLISH_REMOVED] = '-',
	[PUBLISH_MOVED] = '>',
};
static const char *const words[PUBLISH_ACTION_CHANGES] = {
	[PUBLISH_ADDED] = "added",
	[PUBLISH_CHANGED] = "changed",
	[PUBLISH_REMOVED] = "removed",
	[PUBLISH_MOVED] = "moved",
};

/* A run, and what it told. */
struct run {
	const struct ctl_options *o;
	struct origin origin;
	struct releasefile file;
	struct key *release, *head;
	struct progress *progress;
	double started;
	/* Of the transcript told about last. */
	char transcript[LIMIT_NAME_BYTES + 1];
	uint64_t told[PUBLISH_CHANGES];
	struct json *changes; /* --noop --json */
	struct json *actions; /* --json */
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* publish_options.change: lists paths up to a bound. */
static void
list_change(void *arg, const char *transcript, enum publish_change kind,
    const char *path)
{
	struct run *r = arg;
	struct json *j;

	if (strcmp(r->transcript, transcript) != 0) {
		(void)snprintf(
		    r->transcript, sizeof(r->transcript), "%s", transcript);
		memset(r->told, 0, sizeof(r->told));
	}
	if (r->told[kind]++ >= LISTED_MAX)
		return;
	if (r->changes != NULL) {
		j = json_object_new();
		json_set_string(j, "transcript", transcript);
		json_set_string(j, "change", words[kind]);
		json_set_string(j, "path", path);
		json_append(r->changes, j);
		return;
	}
	progress_end(r->progress);
	(void)printf("%c %s: ", marks[kind], transcript);
	ctl_print_text(path);
	(void)printf("\n");
	if (r->told[kind] == LISTED_MAX)
		(void)printf("%c %s: ... more are only counted\n", marks[kind],
		    transcript);
}

/* publish_options.action: they are few. */
static void
tell_action(
    void *arg, const char *what, enum publish_change kind, const char *name)
{
	struct run *r = arg;
	struct json *j;

	if (r->actions == NULL) {
		progress_end(r->progress);
		(void)printf("%c %s %s\n", marks[kind], what, name);
		return;
	}
	j = json_object_new();
	json_set_string(j, "kind", what);
	json_set_string(j, "name", name);
	json_set_string(j, "change", words[kind]);
	json_append(r->actions, j);
}

/* publish_options.skipped */
static void
tell_skipped(
    void *arg, const char *transcript, const char *path, const char *why)
{
	struct run *r = arg;
	struct err e = ERR_INIT;

	progress_end(r->progress);
	/* err_set makes control bytes visible. */
	err_set(&e, ERR_UNSUPPORTED, "%s: %s is left out: %s", transcript, path,
	    why);
	(void)fprintf(stderr, "peciactl: %s\n", e.msg);
}

/* USER@HOST */
static void
default_author(char *text, size_t size)
{
	char buffer[4096], host[256] = "localhost";
	struct passwd pw, *found = NULL;

	if (gethostname(host, sizeof(host) - 1) != 0)
		(void)snprintf(host, sizeof(host), "localhost");
	host[sizeof(host) - 1] = '\0';
	if (getpwuid_r(getuid(), &pw, buffer, sizeof(buffer), &found) == 0 &&
	    found != NULL)
		(void)snprintf(text, size, "%s@%s", found->pw_name, host);
	else
		(void)snprintf(
		    text, size, "%lu@%s", (unsigned long)getuid(), host);
}

static int
load_file(struct run *r, struct err *e)
{
	const struct ctl_options *o = r->o;

	if (ctl_is_pair(o->sources[0]))
		return releasefile_from_pairs(
		    o->sources, o->source_count, o->exact, &r->file, e);
	return releasefile_load(o->sources[0], &r->file, e);
}

static int
load_keys(struct run *r, struct err *e)
{
	int ret;

	if (r->o->noop)
		return 0;
	ret = keys_open(r->o->keys, KEYS_RELEASE, &r->release, e);
	if (ret == 0)
		ret = keys_open(r->o->keys, KEYS_HEAD, &r->head, e);
	return ret;
}

static void
print_transcript(const struct publish_transcript *t, bool noop)
{
	char content[32], read[32], stored[32], data[32];

	text_bytes(content, sizeof(content), t->content_bytes);
	text_bytes(read, sizeof(read), t->read_bytes);
	text_bytes(stored, sizeof(stored), t->stored_bytes);
	text_bytes(data, sizeof(data), t->data_bytes);
	(void)printf(
	    "  %s: %" PRIu64 " entries, %s; ", t->name, t->entries, content);
	for (int i = 0; i < PUBLISH_CHANGES; i++)
		(void)printf("%s%" PRIu64 " %s", i == 0 ? "" : ", ",
		    t->changes[i], words[i]);
	(void)printf("; read %" PRIu64 " files, %s", t->read_files, read);
	if (!noop)
		(void)printf("; %" PRIu64 " new objects, %s stored",
		    t->new_objects, stored);
	if (t->data_bytes > 0)
		(void)printf("; update of %s: %" PRIu64 " deltas, %" PRIu64
		             " in full",
		    data, t->deltas, t->full_objects);
	(void)printf("\n");
}

static void
print_result(const struct run *r, const struct publish_result *result)
{
	const struct ctl_options *o = r->o;
	double seconds = now() - r->started;

	if (result->published)
		(void)printf("channel %s: published serial %" PRIu64
		             " in %.2f s\n",
		    o->channel, result->serial, seconds);
	else if (!result->differs)
		(void)printf("channel %s: nothing changed, serial %" PRIu64
		             " stays the newest; %.2f s\n",
		    o->channel, result->serial, seconds);
	else
		(void)printf("channel %s: serial %" PRIu64
		             " would follow %" PRIu64
		             "; nothing was written; %.2f s\n",
		    o->channel, result->serial + 1, result->serial, seconds);
	for (size_t i = 0; i < result->count; i++)
		print_transcript(&result->transcripts[i], o->noop);
}

static struct json *
transcript_json(const struct publish_transcript *t)
{
	struct json *j = json_object_new();

	json_set_string(j, "name", t->name);
	json_set_u64(j, "entries", t->entries);
	json_set_u64(j, "content_bytes", t->content_bytes);
	for (int i = 0; i < PUBLISH_CHANGES; i++)
		json_set_u64(j, words[i], t->changes[i]);
	json_set_u64(j, "read_files", t->read_files);
	json_set_u64(j, "read_bytes", t->read_bytes);
	json_set_u64(j, "new_objects", t->new_objects);
	json_set_u64(j, "new_bytes", t->new_bytes);
	json_set_u64(j, "stored_bytes", t->stored_bytes);
	json_set_u64(j, "deltas", t->deltas);
	json_set_u64(j, "full_objects", t->full_objects);
	json_set_u64(j, "data_bytes", t->data_bytes);
	return j;
}

static int
print_json(struct run *r, const struct publish_result *result, struct err *e)
{
	struct json *j = json_object_new(), *list = json_array_new();

	json_set_string(j, "channel", r->o->channel);
	json_set_bool(j, "published", result->published);
	json_set_bool(j, "differs", result->differs);
	json_set_bool(j, "noop", r->o->noop);
	json_set_u64(j, "serial", result->serial);
	if (result->serial > 0)
		ctl_json_digest(j, "release", &result->release);
	else
		json_set_string(j, "release", NULL);
	json_set_double(j, "seconds", now() - r->started);
	for (size_t i = 0; i < result->count; i++)
		json_append(list, transcript_json(&result->transcripts[i]));
	json_set_child(j, "transcripts", list);
	if (r->changes != NULL) {
		json_set_child(j, "changes", r->changes);
		r->changes = NULL;
	}
	json_set_child(j, "actions", r->actions);
	r->actions = NULL;
	return ctl_print_json(j, e);
}

static int
publish(struct run *r, struct err *e)
{
	const struct ctl_options *o = r->o;
	char author[512];
	struct publish_options options = { .file = &r->file,
		.channel = o->channel,
		.author = o->author != NULL ? o->author : author,
		.message = o->message,
		.source = o->source,
		.noop = o->noop,
		.full = o->full,
		.expects = o->expects,
		.expect = o->expect,
		.lifetime_s = o->lifetime_s,
		.release_key = r->release,
		.head_key = r->head,
		.progress = r->progress,
		.change = o->noop ? list_change : NULL,
		.skipped = tell_skipped,
		.action = tell_action,
		.arg = r };
	struct publish_result result;
	int ret;

	default_author(author, sizeof(author));
	ret = publish_run(&r->origin, &options, &result, e);
	if (ret != 0)
		return ret;
	if (o->json)
		ret = print_json(r, &result, e);
	else
		print_result(r, &result);
	free(result.transcripts);
	return ret;
}

/* A walk holds many directories and files open, a repository 256 folders. */
static void
raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int
ctl_publish(const struct ctl_options *o, struct err *e)
{
	struct run r = { .o = o };
	int ret;

	raise_limit();
	r.started = now();
	releasefile_init(&r.file);
	ret = load_file(&r, e);
	if (ret != 0)
		return ret;
	if (o->noop && o->json)
		r.changes = json_array_new();
	if (o->json)
		r.actions = json_array_new();
	ret = ctl_open(o, !o->noop, &r.origin, e);
	if (ret == 0)
		ret = load_keys(&r, e);
	if (ret == 0) {
		r.progress = progress_new(false, TERMINAL_AUTO);
		ret = publish(&r, e);
		progress_free(r.progress);
	}
	origin_release(&r.origin);
	json_free(r.changes);
	json_free(r.actions);
	releasefile_release(&r.file);
	key_free(r.release);
	key_free(r.head);
	return ret;
}
