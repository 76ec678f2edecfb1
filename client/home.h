/* Home: the site that this machine belongs to: what the settings say, or where
 * the search for a server leads to first.  The latter is remembered in the state directory as `home`, so that
 * what crossed the lines between sites can be told from what did not when the
 * search leads elsewhere. */
#ifndef CLIENT_HOME_H
#define CLIENT_HOME_H

#include "client/session.h"

/* s->home, "" when it is not known yet. */
MUST_CHECK int home_read(struct session *s, struct err *e);
/* After a server was accepted: remembers its site if that is home. */
MUST_CHECK int home_learn(struct session *s, struct err *e);

/* Whether the search, or the operator, leads to the present server: one that
 * wan_fallback does not count as away. */
bool home_is_found(const struct session *s);
/* Whether bytes of this site's servers cross a line between sites; "": a
 * server that no roster lists. */
bool home_is_away(const struct session *s, const char *site);

#endif
