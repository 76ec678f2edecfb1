/* The fetcher as a process: its beginning and its end. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "transcripts/fetch_impl.h"
#include "transcripts/fetch_wire.h"
#include "transcripts/fetcher.h"
#include "transcripts/sessions.h"

/* A fetcher that is asked for its sessions has nothing else to do. */
#define SESSIONS_MS 2000

int
fetch_start_process(struct fetch *f, struct err *e)
{
	int fds[2] = { -1, -1 };
	int rc;

	if ((rc = ipc_slots_new(&f->slots, e)) != 0)
		return rc;
	if ((rc = ipc_pair(fds, e)) != 0)
		goto out;
	f->owner = getpid();
	f->pid = fork();
	if (f->pid < 0) {
		rc = err_sys(e, "fork of the fetcher");
		goto out;
	}
	if (f->pid == 0)
		_exit(fetcher_run(fds[1], f->slots, f->options));
	if ((rc = ipc_new(fds[0], &f->ipc, e)) != 0)
		goto out;
	fds[0] = -1;
	rc = ipc_take_from(f->ipc, f->slots, e);
	f->broken = rc != 0;
out:
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return rc;
}

void
fetch_end_process(struct fetch *f)
{
	/* It holds nothing that needs an orderly end, and says no goodbyes that
	 * a server would answer. */
	if (fetch_pid(f) > 0)
		kill(f->pid, SIGKILL);
	ipc_free(f->ipc);
	f->ipc = NULL;
	ipc_slots_free(f->slots);
	f->slots = NULL;
	if (fetch_pid(f) <= 0)
		return;
	while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	f->pid = 0;
}

int
fetch_fd(const struct fetch *f)
{
	return ipc_fd(f->ipc);
}

pid_t
fetch_pid(const struct fetch *f)
{
	return f->pid > 0 && f->owner == getpid() ? f->pid : 0;
}

bool
fetch_is_borrowed(const struct fetch *f)
{
	return f->owner != getpid() && !f->broken;
}

int
fetch_start(
    const struct fetch_options *options, struct fetch **out, struct err *e)
{
	struct fetch *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return err_memory(e);
	f->options = options;
	buf_init(
	    &f->keys, (size_t)DIGEST_BYTES * LIMIT_MIRRORS * LIMIT_MIRROR_KEYS);
	buf_init(&f->aim, 1 + FETCH_HOST_BYTES);
	rc = digest_new(&f->hash, e);
	if (rc == 0)
		rc = fetch_start_process(f, e);
	if (rc != 0) {
		fetch_stop(f);
		return rc;
	}
	*out = f;
	return 0;
}

/* Without them the next connection costs a full handshake, no more. */
static void
take_sessions(struct fetch *f)
{
	struct err none = ERR_INIT;
	struct ipc_msg msg;

	if (f->options->sessions == NULL || f->options->sessions_stay ||
	    f->ipc == NULL || f->broken)
		return;
	if (ipc_send(f->ipc, WIRE_SESSIONS, NULL, 0, &none) != 0 ||
	    ipc_recv(f->ipc, &msg, SESSIONS_MS, &none) != 0 ||
	    msg.type != WIRE_SESSIONS_ARE ||
	    sessions_merge(f->options->sessions, msg.data, msg.len, &none) != 0)
		sessions_clear(f->options->sessions);
}

void
fetch_dismiss(struct fetch *f)
{
	if (f == NULL || fetch_pid(f) <= 0)
		return;
	take_sessions(f);
	f->broken = true;
	kill(f->pid, SIGKILL);
}

void
fetch_stop(struct fetch *f)
{
	if (f == NULL)
		return;
	take_sessions(f);
	fetch_end_process(f);
	digest_free(f->hash);
	buf_release(&f->keys);
	buf_release(&f->aim);
	free(f);
}
