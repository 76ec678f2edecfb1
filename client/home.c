/* Which site is home; runs in the applier. */
#include "client/home.h"

#include "common/fsat.h"
#include "common/text.h"

#define HOME_NAME "home"

int
home_read(struct session *s, struct err *e)
{
	const char *told = s->settings->site;
	struct err mine = ERR_INIT;
	struct buf b;
	int rc;

	(void)snprintf(
	    s->home, sizeof(s->home), "%s", told != NULL ? told : "");
	if (told != NULL)
		return 0;
	buf_init(&b, sizeof(s->home));
	rc = fsat_read_file(
	    s->state.dir, HOME_NAME, sizeof(s->home) - 1, &b, &mine);
	if (rc == 0 && b.len > 1 && text_is_name(buf_str(&b), b.len - 1))
		(void)snprintf(s->home, sizeof(s->home), "%.*s",
		    (int)(b.len - 1), buf_str(&b));
	buf_release(&b);
	if (rc == 0 || rc == ERR_NOT_FOUND || rc == ERR_LIMIT)
		return 0;
	*e = mine;
	return rc;
}

bool
home_is_found(const struct session *s)
{
	return strcmp(s->peer.source, "fallback") != 0 &&
	    strcmp(s->peer.source, "roster") != 0;
}

/* A server that the operator named may be elsewhere, so that it counts only
 * where no search ever found one. */
static bool
is_home(const struct session *s)
{
	if (!home_is_found(s) || s->peer.number > 1 ||
	    s->settings->site != NULL)
		return false;
	return strcmp(s->peer.source, "server") != 0 || s->home[0] == '\0';
}

int
home_learn(struct session *s, struct err *e)
{
	struct buf b;
	int rc;

	if (!is_home(s) || strcmp(s->home, s->site) == 0)
		return 0;
	memcpy(s->home, s->site, sizeof(s->home));
	buf_init(&b, sizeof(s->home) + 1);
	buf_addf(&b, "%s\n", s->home);
	rc = buf_check(&b, HOME_NAME, e);
	if (rc == 0)
		rc = fsat_write_file(
		    s->state.dir, HOME_NAME, 0600, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

bool
home_is_away(const struct session *s, const char *site)
{
	if (site[0] == '\0' || s->home[0] == '\0')
		return !home_is_found(s);
	return strcmp(site, s->home) != 0;
}
