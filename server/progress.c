/* The progress line of peciactl. */
#include "server/progress.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"

#define INTERVAL_MS 200
#define FIRST_MS    500 /* what is done by then needs no line */

struct progress {
	pthread_mutex_t lock;
	char stage[160];
	uint64_t files, bytes;
	uint64_t started_ms, next_ms;
	bool shown;
};

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct progress *
progress_new(void)
{
	struct progress *p;

	if (!isatty(STDERR_FILENO))
		return NULL;
	p = calloc(1, sizeof(*p));
	if (p != NULL)
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

void
progress_begin(struct progress *p, const char *stage, const char *subject)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	(void)snprintf(p->stage, sizeof(p->stage), "%s%s%s", stage,
	    subject[0] == '\0' ? "" : " ", subject);
	p->files = p->bytes = 0;
	p->started_ms = now_ms();
	p->next_ms = p->started_ms + (p->shown ? 0 : FIRST_MS);
	pthread_mutex_unlock(&p->lock);
}

/* With the lock held. */
static void
show(struct progress *p)
{
	char bytes[32], rate[32];
	uint64_t now = now_ms(), ms = now - p->started_ms;

	if (now < p->next_ms)
		return;
	p->next_ms = now + INTERVAL_MS;
	p->shown = true;
	text_bytes(bytes, sizeof(bytes), p->bytes);
	text_bytes(rate, sizeof(rate), p->bytes * 1000 / (ms == 0 ? 1 : ms));
	(void)fprintf(stderr, "\r%s: %llu files, %s, %s/s\033[K", p->stage,
	    (unsigned long long)p->files, bytes, rate);
	(void)fflush(stderr);
}

void
progress_add(struct progress *p, uint64_t files, uint64_t bytes)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->files += files;
	p->bytes += bytes;
	show(p);
	pthread_mutex_unlock(&p->lock);
}

void
progress_set(struct progress *p, uint64_t files, uint64_t bytes)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->files = files;
	p->bytes = bytes;
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
