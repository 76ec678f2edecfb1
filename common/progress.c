/* The progress line. */
#include "common/progress.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/log.h"
#include "common/text.h"

#define INTERVAL_MS 250
#define QUIET_MS    10000   /* where there is no terminal */
#define FIRST_MS    500     /* what is done by then needs no line */
#define KNOWN_MS    1000    /* before, a rate says little */
#define LEFT_MAX_S  8640000 /* 100 days: nobody waits for that */
#define LINE_BYTES  1024

struct progress {
	pthread_mutex_t lock;
	char stage[160], note[160];
	struct progress_state state;
	uint64_t started_ms, next_ms;
	bool is_line, color; /* a terminal's */
	bool shown;
};

/* ---- words ---- */

void
progress_time(struct buf *text, uint64_t seconds)
{
	if (seconds < 60)
		buf_addf(text, "%u s", (unsigned)seconds);
	else if (seconds < 3600)
		buf_addf(text, "%u min %u s", (unsigned)(seconds / 60),
		    (unsigned)(seconds % 60));
	else
		buf_addf(text, "%llu h %u min",
		    (unsigned long long)(seconds / 3600),
		    (unsigned)(seconds % 3600 / 60));
}

static bool
has_files(const struct progress_state *s)
{
	return s->files > 0 || s->total_files > 0;
}

static void
add_files(struct buf *b, const struct progress_state *s)
{
	if (s->total_files > 0)
		buf_addf(b, ": %llu of %llu files",
		    (unsigned long long)s->files,
		    (unsigned long long)s->total_files);
	else
		buf_addf(b, ": %llu files", (unsigned long long)s->files);
}

static void
add_bytes(struct buf *b, const struct progress_state *s)
{
	char text[32];

	text_bytes(text, sizeof(text), s->bytes);
	buf_addf(b, "%s %s", has_files(s) ? "," : ":", text);
	if (s->total_bytes > 0) {
		text_bytes(text, sizeof(text), s->total_bytes);
		buf_addf(b, " of %s", text);
	}
	text_bytes(text, sizeof(text),
	    (uint64_t)((double)s->bytes * 1000 / (double)s->elapsed_ms));
	buf_addf(b, ", %s/s", text);
}

static void
add_left(struct buf *b, const struct progress_state *s)
{
	bool by_bytes = s->total_bytes > 0;
	uint64_t done = by_bytes ? s->bytes : s->files;
	uint64_t total = by_bytes ? s->total_bytes : s->total_files;
	double left;

	if (s->elapsed_ms < KNOWN_MS || done == 0 || total <= done)
		return;
	left = (double)(total - done) / (double)done * (double)s->elapsed_ms /
	    1000;
	if (left > LEFT_MAX_S)
		return;
	buf_add_str(b, ", ");
	progress_time(b, (uint64_t)(left + 0.5));
	buf_add_str(b, " left");
}

/* Adds as many characters as there are columns for. */
static void
add_cut(struct buf *text, const struct buf *line, unsigned columns)
{
	const char *s = buf_str(line);
	size_t at = 0, n;

	for (; at < line->len && columns > 0; at += n, columns--) {
		n = text_utf8(s + at, line->len - at);
		n = n > 0 ? n : 1;
	}
	buf_add(text, s, at);
}

void
progress_line(
    struct buf *text, const struct progress_state *s, unsigned columns)
{
	struct buf line;

	buf_init(&line, LINE_BYTES);
	buf_add_str(&line, s->stage);
	if (has_files(s))
		add_files(&line, s);
	if (s->elapsed_ms > 0 && (s->bytes > 0 || s->total_bytes > 0))
		add_bytes(&line, s);
	add_left(&line, s);
	add_cut(text, &line, columns);
	buf_release(&line);
}

/* ---- telling ---- */

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct progress *
progress_new(bool logs, enum terminal_color color)
{
	bool is_line = terminal_has_lines(STDERR_FILENO);
	struct progress *p;

	if (!is_line && !logs)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return NULL;
	p->is_line = is_line;
	p->color = is_line && terminal_has_color(color, STDERR_FILENO);
	p->state.stage = p->stage;
	pthread_mutex_init(&p->lock, NULL);
	return p;
}

void
progress_free(struct progress *p)
{
	if (p == NULL)
		return;
	progress_end(p);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* With the lock held. */
static void
show(struct progress *p)
{
	const struct progress_state note = { .stage = p->note };
	const struct progress_state *state =
	    p->note[0] != '\0' ? &note : &p->state;
	uint64_t now = now_ms();
	struct buf line;

	if (now < p->next_ms || state->stage[0] == '\0')
		return;
	p->next_ms = now + (p->is_line ? INTERVAL_MS : QUIET_MS);
	p->state.elapsed_ms = now - p->started_ms;
	buf_init(&line, LINE_BYTES);
	if (!p->is_line) {
		progress_line(&line, state, LINE_BYTES);
		log_event(LOG_INFO, "progress", "at", buf_str(&line), NULL);
	} else {
		/* The last column stays free: some terminals wrap after it. */
		progress_line(
		    &line, state, terminal_columns(STDERR_FILENO) - 1);
		(void)fprintf(stderr, "\r%s%s%s\033[K",
		    p->color ? TERMINAL_CYAN : "", buf_str(&line),
		    p->color ? TERMINAL_PLAIN : "");
		(void)fflush(stderr);
		p->shown = true;
	}
	buf_release(&line);
}

/* Into dst, with what no terminal should see written as it is in paths. */
static void
name(char *dst, size_t size, const char *stage, const char *subject)
{
	struct buf b;

	buf_init(&b, (size_t)5 * LIMIT_PATH_BYTES);
	buf_add_str(&b, stage);
	if (subject[0] != '\0') {
		buf_add_byte(&b, ' ');
		text_escape(&b, subject, strlen(subject));
	}
	(void)snprintf(dst, size, "%s", buf_str(&b));
	buf_release(&b);
}

/* What is new is told at once where the line is shown, else not too soon. */
static void
tell_new(struct progress *p)
{
	uint64_t now = now_ms();

	if (p->is_line && p->shown)
		p->next_ms = now;
	else if (p->next_ms == 0)
		p->next_ms = now + (p->is_line ? FIRST_MS : QUIET_MS);
	show(p);
}

void
progress_begin(struct progress *p, const char *stage, const char *subject)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	name(p->stage, sizeof(p->stage), stage, subject);
	p->note[0] = '\0';
	p->state = (struct progress_state){ .stage = p->stage };
	p->started_ms = now_ms();
	tell_new(p);
	pthread_mutex_unlock(&p->lock);
}

void
progress_note(struct progress *p, const char *what, const char *subject)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	name(p->note, sizeof(p->note), what, subject);
	tell_new(p);
	pthread_mutex_unlock(&p->lock);
}

void
progress_expect(struct progress *p, uint64_t files, uint64_t bytes)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->state.total_files = files;
	p->state.total_bytes = bytes;
	pthread_mutex_unlock(&p->lock);
}

void
progress_add(struct progress *p, uint64_t files, uint64_t bytes)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->state.files += files;
	p->state.bytes += bytes;
	show(p);
	pthread_mutex_unlock(&p->lock);
}

void
progress_set(struct progress *p, uint64_t files, uint64_t bytes)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->state.files = files;
	p->state.bytes = bytes;
	show(p);
	pthread_mutex_unlock(&p->lock);
}

void
progress_end(struct progress *p)
{
	if (p == NULL || !p->shown)
		return;
	(void)fprintf(stderr, "\r\033[K");
	(void)fflush(stderr);
	p->shown = false;
}
