/* Judging the health of a repository, from its names and the board. */
#include "server/health.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/text.h"
#include "server/peek.h"
#include "transcripts/repo.h"

#define LOW_SPACE_BYTES (64ULL << 20)
#define LOW_INODES      1024

/* The files that one release names. */
struct needs {
	bool known;
	struct digest release;
	char (*paths)[REPO_PATH_BYTES];
	size_t count;
};

struct health_memory {
	struct needs channels[LIMIT_CHANNELS];
};

int
health_memory_new(struct health_memory **out, struct err *e)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? 0 : err_memory(e);
}

void
health_memory_free(struct health_memory *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < LIMIT_CHANNELS; i++)
		free(m->channels[i].paths);
	free(m);
}

static int
list_needs(const struct release *r, struct needs *n, struct err *e)
{
	n->paths = calloc(2 * r->transcript_count + 1, sizeof(*n->paths));
	if (n->paths == NULL)
		return err_memory(e);
	for (size_t i = 0; i < r->transcript_count; i++) {
		const struct release_transcript *t = &r->transcripts[i];

		repo_path_manifest(n->paths[n->count++], &t->manifest);
		if (t->has_data)
			repo_path_data(n->paths[n->count++], &t->data);
	}
	return 0;
}

/* Reads a release when a head is the first to name it. */
static int
learn_needs(int repo, const char *path, const struct serve_head *head,
    struct needs *n, struct err *e)
{
	struct release release;
	int rc;

	if (n->known && digest_equal(&n->release, &head->release))
		return 0;
	free(n->paths);
	*n = (struct needs){ .release = head->release };
	release_init(&release);
	rc = peek_release(repo, path, &release, e);
	if (rc == 0)
		rc = list_needs(&release, n, e);
	release_release(&release);
	n->known = rc == 0;
	return rc;
}

/* Whether one channel is complete; why not. */
static bool
has_all(struct needs *n, int repo, const struct serve_head *head,
    char why[HEALTH_WHY_BYTES])
{
	char path[REPO_PATH_BYTES];
	struct err e = ERR_INIT;
	struct fsat_stat st;

	repo_path_release(path, &head->release);
	if (fsat_stat(repo, path, &st, NULL) != 0) {
		(void)snprintf(why, HEALTH_WHY_BYTES,
		    "channel %s: its release is not here", head->name);
		return false;
	}
	if (learn_needs(repo, path, head, n, &e) != 0) {
		(void)snprintf(why, HEALTH_WHY_BYTES,
		    "channel %s: its release is damaged: %.300s", head->name,
		    e.msg);
		return false;
	}
	for (size_t i = 0; i < n->count; i++) {
		if (fsat_stat(repo, n->paths[i], &st, NULL) == 0)
			continue;
		(void)snprintf(why, HEALTH_WHY_BYTES,
		    "channel %s: %s is not here", head->name, n->paths[i]);
		return false;
	}
	return true;
}

static void
judge_complete(struct health_memory *m, int repo,
    const struct serve_heads *heads, const struct board *board,
    struct health_mark *out)
{
	uint64_t lacking = board_get(&board->keeping.lacking);
	const struct serve_head *head;
	size_t n = 0;

	out->yes = false;
	for (; (head = serve_heads_at(heads, n)) != NULL; n++) {
		if (!head->good) {
			(void)snprintf(out->why, sizeof(out->why),
			    "channel %s: %s", head->name, head->why);
			return;
		}
		if (!has_all(&m->channels[n], repo, head, out->why))
			return;
	}
	if (n == 0) {
		(void)snprintf(
		    out->why, sizeof(out->why), "no channel is here yet");
	} else if (lacking > 0) {
		(void)snprintf(out->why, sizeof(out->why),
		    "files lost %" PRIu64 " and not mended yet", lacking);
	} else {
		out->yes = true;
		(void)snprintf(out->why, sizeof(out->why), "channels %zu", n);
	}
}

/* false: stale beyond use. */
static bool
judge_fresh(const struct serve_heads *heads, struct health_mark *out)
{
	const struct serve_head *head, *oldest = NULL;
	time_t now = time(NULL);
	char when[TEXT_TIME_BYTES];
	bool usable = true;

	out->yes = false;
	for (size_t i = 0; (head = serve_heads_at(heads, i)) != NULL; i++) {
		if (!head->good)
			continue;
		if (oldest == NULL || head->expires < oldest->expires)
			oldest = head;
		if (now - head->expires > head->expires - head->issued)
			usable = false;
	}
	if (oldest == NULL) {
		(void)snprintf(
		    out->why, sizeof(out->why), "no head is here yet");
		return false;
	}
	text_time(when, oldest->expires);
	out->yes = oldest->expires > now;
	(void)snprintf(out->why, sizeof(out->why), "channel %s %s %s",
	    oldest->name, out->yes ? "expires" : "expired", when);
	return usable;
}

static void
judge_writable(int repo, struct health *h)
{
	struct health_mark *out = &h->writable;
	struct err e = ERR_INIT;
	bool read_only = false;
	char size[32];

	h->free_bytes = h->free_inodes = UINT64_MAX;
	if (fsat_free_space(repo, &h->free_bytes, &h->free_inodes, &e) != 0 ||
	    fsat_is_read_only(repo, &read_only, &e) != 0) {
		(void)snprintf(out->why, sizeof(out->why), "%.500s", e.msg);
		return;
	}
	out->yes = !read_only && h->free_bytes >= LOW_SPACE_BYTES &&
	    h->free_inodes >= LOW_INODES;
	text_bytes(size, sizeof(size), h->free_bytes);
	if (read_only)
		(void)snprintf(out->why, sizeof(out->why),
		    "its file system is mounted read-only");
	else
		(void)snprintf(out->why, sizeof(out->why),
		    "%s and %" PRIu64 " inodes free", size, h->free_inodes);
}

void
health_judge(struct health_memory *m, int repo, const struct serve_heads *heads,
    const struct board *board, struct health *out)
{
	memset(out, 0, sizeof(*out));
	judge_complete(m, repo, heads, board, &out->complete);
	out->ok = judge_fresh(heads, &out->fresh) && out->complete.yes;
	judge_writable(repo, out);
}
