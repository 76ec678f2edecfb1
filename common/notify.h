/* Telling a service manager, as sd_notify(3) describes. */
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

#include "common/err.h"

/* "NAME=value" lines to the socket in NOTIFY_SOCKET; nothing where there is
 * none. */
MUST_CHECK int notify_send(const char *lines, struct err *e);
/* "READY=1". */
MUST_CHECK int notify_ready(struct err *e);

#endif
