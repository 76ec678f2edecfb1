/* Where a seed's files come from. */
#include "server/seed_source.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/ipc.h"
#include "common/sandbox.h"
#include "transcripts/data_archive.h"
#include "transcripts/scan.h"

#define PIECE_BYTES  ((size_t)128 * 1024)
#define MEMORY_BYTES (1ULL << 30) /* of the process that unpacks */

/* What that process says. */
enum {
	MSG_FILE = 1, /* a file begins: 8 bytes, its size */
	MSG_DATA,     /* some of it */
	MSG_END,      /* of the archive */
	MSG_FAILED,   /* a text: why */
};

int
seed_source_open(const char *path, struct seed_source *out, struct err *e)
{
	struct fsat_stat st;
	int rc;

	out->fd = -1;
	if ((rc = fsat_operator_open(path, &out->fd, e)) != 0)
		return rc;
	rc = fsat_stat_fd(out->fd, &st, e);
	if (rc == 0 && !S_ISDIR(st.mode) && !S_ISREG(st.mode))
		rc = err_set(e, ERR_USAGE,
		    "%s: neither a directory nor an archive", path);
	if (rc != 0)
		seed_source_close(out);
	else
		out->is_archive = S_ISREG(st.mode);
	return rc;
}

void
seed_source_close(struct seed_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

/* ---- a directory ---- */

/* scan_options.want: digests of what does not fit are nobody's concern. */
static int
take_job(void *arg, struct scan_job *job, struct err *e)
{
	const struct digest none = { { 0 } };
	const struct seed_files *f = arg;
	int rc = 0;

	if (f->fits(f->arg, job->st.size_bytes))
		rc = f->file(f->arg, job->fd, job->path, job->st.size_bytes, e);
	scan_job_done(job, &none, rc, e);
	return 0;
}

static int
pass_entry(void *arg, const struct manifest_entry *entry, struct err *e)
{
	(void)arg;
	(void)entry;
	(void)e;
	return 0;
}

static int
walk_directory(int dir, struct seed_files *files, struct err *e)
{
	struct scan_options o = { .dir = dir,
		.numeric_owner = true,
		.devices = true,
		.entry = pass_entry,
		.want = take_job,
		.arg = files };
	struct scan_totals totals;

	return scan_run(&o, &totals, e);
}

/* ---- an archive: the side that reads it ---- */

static int
send_file(
    struct ipc *ipc, struct data_archive *a, uint64_t size_bytes, struct err *e)
{
	static uint8_t piece[PIECE_BYTES];
	size_t got;
	int rc;

	rc = ipc_send(ipc, MSG_FILE, &size_bytes, sizeof(size_bytes), e);
	while (rc == 0 &&
	    (rc = data_archive_read(a, piece, sizeof(piece), &got, e)) == 0 &&
	    got > 0)
		rc = ipc_send(ipc, MSG_DATA, piece, got, e);
	return rc;
}

static int
send_files(
    struct ipc *ipc, int fd, const struct seed_files *files, struct err *e)
{
	struct data_archive *a = NULL;
	uint64_t size_bytes;
	bool more = true;
	int rc;

	rc = data_archive_open(fd, &a, e);
	while (rc == 0 &&
	    (rc = data_archive_next(a, &size_bytes, &more, e)) == 0 && more)
		if (files->fits(files->arg, size_bytes))
			rc = send_file(ipc, a, size_bytes, e);
	data_archive_free(a);
	return rc != 0 ? rc : ipc_send(ipc, MSG_END, "", 0, e);
}

static _Noreturn void
read_archive(int end, int fd, const struct seed_files *files, pid_t parent)
{
	const int keep[] = { end, fd };
	struct sandbox box = { .user = "nobody",
		.no_tcp = true,
		.keep_fds = keep,
		.keep_count = 2,
		.close_others = true,
		.max_memory_bytes = MEMORY_BYTES,
		.parent = parent };
	struct err e = ERR_INIT, ignored = ERR_INIT;
	struct ipc *ipc = NULL;
	int rc;

	rc = sandbox_enter(&box, &e);
	if (rc == 0)
		rc = ipc_new(end, &ipc, &e);
	if (rc == 0)
		rc = send_files(ipc, fd, files, &e);
	/* One that cannot be told is seen to have ended. */
	if (rc != 0 && ipc != NULL &&
	    ipc_send(ipc, MSG_FAILED, e.msg, strlen(e.msg), &ignored) != 0)
		rc = ERR_NET;
	_exit(rc == 0 ? 0 : 1);
}

/* ---- an archive: the side that takes the files ---- */

struct receipt {
	const struct seed_files *files;
	int temp; /* what came so far of the present file, or -1 */
	uint64_t size_bytes, got_bytes;
	bool over;
};

static int
end_file(struct receipt *r, struct err *e)
{
	int temp = r->temp, rc = 0;

	if (temp < 0)
		return 0;
	r->temp = -1;
	if (lseek(temp, 0, SEEK_SET) < 0)
		rc = err_sys(e, "temporary file");
	if (rc == 0 && r->got_bytes == r->size_bytes)
		rc = r->files->file(
		    r->files->arg, temp, "archive member", r->size_bytes, e);
	close(temp);
	return rc;
}

static int
begin_file(struct receipt *r, const struct ipc_msg *msg, struct err *e)
{
	int rc;

	if ((rc = end_file(r, e)) != 0)
		return rc;
	if (msg->len != sizeof(r->size_bytes))
		return err_set(e, ERR_NET, "archive reader: nonsense");
	memcpy(&r->size_bytes, msg->data, sizeof(r->size_bytes));
	r->got_bytes = 0;
	if (!r->files->fits(r->files->arg, r->size_bytes))
		return err_set(e, ERR_NET, "archive reader: unwanted file");
	return repo_temp_nameless(r->files->repo, &r->temp, e);
}

static int
take_message(struct receipt *r, const struct ipc_msg *msg, struct err *e)
{
	switch (msg->type) {
	case MSG_FILE:
		return begin_file(r, msg, e);
	case MSG_DATA:
		if (r->temp < 0 || msg->len > r->size_bytes - r->got_bytes)
			return err_set(e, ERR_NET, "archive reader: too much");
		r->got_bytes += msg->len;
		return fsat_write_all(r->temp, msg->data, msg->len, e);
	case MSG_END:
		r->over = true;
		return end_file(r, e);
	case MSG_FAILED:
		return err_set(e, ERR_FORMAT, "%.*s", (int)msg->len,
		    (const char *)msg->data);
	default:
		return err_set(e, ERR_NET, "archive reader: nonsense");
	}
}

static int
take_files(struct ipc *ipc, const struct seed_files *files, struct err *e)
{
	struct receipt r = { .files = files, .temp = -1 };
	struct ipc_msg msg;
	int rc = 0;

	while (rc == 0 && !r.over)
		if ((rc = ipc_recv(ipc, &msg, IPC_FOREVER, e)) == 0)
			rc = take_message(&r, &msg, e);
	if (r.temp >= 0)
		close(r.temp);
	return rc;
}

static int
walk_archive(int fd, const struct seed_files *files, struct err *e)
{
	struct ipc *ipc = NULL;
	pid_t parent = getpid(), pid;
	int ends[2], rc;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(e, "archive");
	if ((rc = ipc_pair(ends, e)) != 0)
		return rc;
	pid = fork();
	if (pid == 0)
		read_archive(ends[1], fd, files, parent);
	close(ends[1]);
	rc = pid < 0 ? err_sys(e, "fork") : ipc_new(ends[0], &ipc, e);
	if (ipc == NULL)
		close(ends[0]);
	if (rc == 0)
		rc = take_files(ipc, files, e);
	ipc_free(ipc); /* a reader that still sends ends by that */
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	return rc;
}

int
seed_source_walk(
    const struct seed_source *source, struct seed_files *files, struct err *e)
{
	return source->is_archive ? walk_archive(source->fd, files, e)
	                          : walk_directory(source->fd, files, e);
}
