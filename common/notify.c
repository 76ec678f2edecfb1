/* The notification protocol of systemd; runs in supervisors. */
#include "common/notify.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int
notify_send(const char *lines, struct err *e)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len;
	int fd, rc = 0;

	if (path == NULL || (path[0] != '/' && path[0] != '@'))
		return 0;
	len = strlen(path);
	if (len >= sizeof(addr.sun_path))
		return err_set(e, ERR_LIMIT, "NOTIFY_SOCKET: too long");
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	if (sendto(fd, lines, strlen(lines), MSG_NOSIGNAL,
	        (const struct sockaddr *)&addr,
	        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		rc = err_sys(e, "%s", path);
	close(fd);
	return rc;
}

int
notify_ready(struct err *e)
{
	return notify_send("READY=1", e);
}
