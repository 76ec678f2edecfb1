/* A replicator without a daemon, for scripts that look at its board:
 *
 *     tool_replicate REPO IDENTITY ANCHOR BOARD LOOK_S UPSTREAM...
 *
 * In the folder BOARD the file "board" has "name value" lines, and is written
 * again and again. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"
#include "server/board.h"
#include "server/replicate.h"

struct run {
	const char *repo, *identity, *board;
	struct digest anchor;
	struct board *shared;
};

static int
replicate(struct run *run, const char *look_s, char **upstreams, size_t count,
    struct err *e)
{
	struct replicate_options o = { .anchor = &run->anchor,
		.upstreams = (const char *const *)upstreams,
		.upstream_count = count,
		.port = 7440,
		.board = run->shared,
		.look_s = (unsigned)strtoul(look_s, NULL, 10) };
	struct tls_identity *id = NULL;
	int rc;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	rc = tls_identity_open(run->identity, true, &id, e);
	o.identity = id;
	if (rc == 0)
		rc = repo_create(run->repo, e);
	if (rc == 0)
		rc = repo_open(run->repo, &o.repo, e);
	return rc != 0 ? rc : replicate_run(&o, e);
}

static void
describe(const struct board_replication *b, struct buf *out)
{
	static const char *const kinds[] = { "statements", "manifests", "data",
		"objects" };
	static const char *const troubles[] = { "unreachable", "timeout",
		"wrong", "lacks", "storage", "other" };
	char text[BOARD_TEXT_BYTES];

	board_read(&b->upstream, text);
	buf_addf(out, "upstream %s\n", text);
	board_read(&b->trouble, text);
	buf_addf(out, "trouble %s\n", text);
	for (size_t i = 0; i < BOARD_KINDS; i++)
		buf_addf(out, "%s %llu\n", kinds[i],
		    (unsigned long long)board_get(&b->bytes[i]));
	for (size_t i = 0; i < BOARD_TROUBLES; i++)
		buf_addf(out, "%s %llu\n", troubles[i],
		    (unsigned long long)board_get(&b->troubles[i]));
	buf_addf(out,
	    "contact %llu\ncomplete %llu\nreleases %llu\nforks %llu\n",
	    (unsigned long long)board_get(&b->contact_s),
	    (unsigned long long)board_get(&b->complete_s),
	    (unsigned long long)board_get(&b->releases),
	    (unsigned long long)board_get(&b->forks));
	for (size_t i = 0; i < LIMIT_CHANNELS; i++) {
		board_read(&b->channels[i].name, text);
		if (text[0] != '\0')
			buf_addf(out, "channel-%s %llu\n", text,
			    (unsigned long long)board_get(
			        &b->channels[i].upstream_serial));
	}
}

static int
show(const struct run *run, struct err *e)
{
	const struct timespec pause = { 0, 50000000 };
	struct buf out;
	int dir = -1, rc = fsat_operator_dir(run->board, false, 0, &dir, e);

	buf_init(&out, 65536);
	while (rc == 0) {
		buf_clear(&out);
		describe(&run->shared->replication, &out);
		rc = buf_check(&out, "board", e);
		if (rc == 0)
			rc = fsat_write_file(
			    dir, "board", 0644, out.data, out.len, e);
		nanosleep(&pause, NULL);
	}
	buf_release(&out);
	return rc;
}

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct run run = { .repo = NULL };
	pid_t child = -1;
	int rc;

	if (argc < 7 || text_sha256(argv[3], run.anchor.b) != 0)
		return 2;
	run.repo = argv[1];
	run.identity = argv[2];
	run.board = argv[4];
	rc = board_new(&run.shared, &e);
	if (rc == 0)
		child = fork();
	if (rc == 0 && child == 0) {
		rc = replicate(&run, argv[5], argv + 6, (size_t)argc - 6, &e);
	} else if (rc == 0) {
		rc = show(&run, &e);
	}
	if (rc != 0)
		(void)fprintf(stderr, "tool_replicate: %s\n", e.msg);
	return rc != 0;
}
