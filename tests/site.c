/* A repository and its workers, for tests of server/serve. */
#include "tests/site.h"

#include <check.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/http_server.h"
#include "common/limits.h"
#include "common/log.h"
#include "server/serve.h"
#include "server/serve_view.h"
#include "tests/samples.h"
#include "transcripts/repo.h"

struct scratch site_repo;
static struct serve_stats *stats;
struct board *site_board;
static const struct serve_self self = {
	.repo = "/srv/pecia", .mirror = true, .started = 1000000000
};
uint16_t site_port;
static int listen_fd = -1;
static pid_t workers[4];
static unsigned worker_count;

void
site_put(const char *path, const void *data, size_t len)
{
	struct err e = ERR_INIT;

	ck_assert_msg(
	    fsat_write_file(site_repo.fd, path, 0644, data, len, &e) == 0, "%s",
	    e.msg);
}

void
site_put_str(const char *path, const char *text)
{
	site_put(path, text, strlen(text));
}

void
site_put_head(
    const char *channel, uint64_t serial, time_t issued, time_t expires)
{
	struct head h;
	struct buf text;
	char path[128];

	sample_head(&h);
	(void)snprintf(h.channel, sizeof(h.channel), "%s", channel);
	h.serial = serial;
	h.issued = issued;
	h.expires = expires;
	ck_assert_int_eq(
	    digest_parse(SITE_RELEASE, strlen(SITE_RELEASE), &h.release), 0);
	buf_init(&text, LIMIT_HEAD_BYTES);
	sample_head_text(&text, &h);
	(void)snprintf(path, sizeof(path), "v1/channel/%s", channel);
	site_put(path, text.data, text.len);
	buf_release(&text);
}

void
site_put_fresh_head(uint64_t serial)
{
	time_t now = time(NULL);

	site_put_head("production", serial, now, now + SAMPLE_DAY);
}

static void
put_release(void)
{
	struct release release;
	char path[REPO_PATH_BYTES];
	struct buf text;

	sample_release(&release);
	sample_release_text(&text, &release);
	site_put("v1/release/" SITE_RELEASE, text.data, text.len);
	for (size_t i = 0; i < release.transcript_count; i++) {
		repo_path_manifest(path, &release.transcripts[i].manifest);
		site_put_str(path, "manifest\n");
		repo_path_data(path, &release.transcripts[i].data);
		if (release.transcripts[i].has_data)
			site_put_str(path, "data\n");
	}
	buf_release(&text);
	release_release(&release);
}

void
site_set_up(void)
{
	static const char *const folders[] = { "v1/root", "v1/channel",
		"v1/release", "v1/manifest", "v1/data", "v1/object/01",
		"v1/object/ab", "secret" };
	struct err e = ERR_INIT;

	scratch_make(&site_repo);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		ck_assert_int_eq(
		    fsat_mkdir_all(site_repo.fd, folders[i], 0755, &e), 0);
	site_put_str("v1/root/1", "root one\n");
	site_put_str("v1/roster", "roster\n");
	site_put_str("v1/release/" SITE_NAME, "release\n");
	site_put_str("v1/manifest/" SITE_NAME, "manifest\n");
	site_put_str("v1/data/" SITE_NAME, "0123456789");
	site_put_str("v1/object/01/" SITE_NAME, "frame");
	site_put_str("secret/key", "secret\n");
	put_release();
	site_put_fresh_head(7);
	ck_assert_int_eq(serve_stats_new(4, &stats, &e), 0);
	ck_assert_int_eq(board_new(&site_board, &e), 0);
	worker_count = 0;
	ck_assert_int_eq(http_listen("127.0.0.1:0", &listen_fd, &e), 0);
	ck_assert_int_eq(http_port_of(listen_fd, &site_port, &e), 0);
}

void
site_start_worker(void)
{
	struct serve_options o = {
		.listen_fds = &listen_fd,
		.listen_count = 1,
		.repo = site_repo.fd,
		.self = &self,
		.board = site_board,
		.stats = stats,
		.worker = worker_count,
		.access_log = true,
	};
	struct err e = ERR_INIT;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int log = openat(site_repo.fd, "log",
		    O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
		int rc;

		dup2(log, STDERR_FILENO);
		log_start("peciad", LOG_INFO);
		rc = serve_run(&o, &e);
		if (rc != 0)
			log_err(LOG_ERROR, "serve", &e, NULL);
		close(log);
		exit(rc == 0 ? 0 : 1);
	}
	workers[worker_count++] = pid;
}

void
site_stop_worker(void)
{
	peer_stop(workers[--worker_count]);
}

void
site_tear_down(void)
{
	for (unsigned i = 0; i < worker_count; i++)
		peer_stop(workers[i]);
	close(listen_fd);
	serve_stats_free(stats);
	board_free(site_board);
	scratch_remove(&site_repo);
}

/* One request on a connection of its own. */
void
site_get(const char *path, const char *fields, struct peer_reply *r)
{
	struct peer p;

	peer_connect(&p, site_port);
	peer_get(&p, path, fields, r);
	ck_assert(r->whole);
	peer_close(&p);
}

unsigned
site_status_of(const char *path, const char *fields)
{
	struct peer_reply r;
	unsigned status;

	site_get(path, fields, &r);
	status = r.status;
	peer_reply_release(&r);
	return status;
}

bool
site_says(const char *path, const char *text)
{
	struct peer_reply r;
	bool found;

	site_get(path, "", &r);
	found = strstr(buf_str(&r.body), text) != NULL;
	peer_reply_release(&r);
	return found;
}

void
site_expect_text(const char *path, const char *text)
{
	ck_assert_msg(site_says(path, text), "%s does not say: %s", path, text);
}
