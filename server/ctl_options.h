/* The command line of peciactl, as a pure function. */
#ifndef SERVER_CTL_OPTIONS_H
#define SERVER_CTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto_digest.h"
#include "common/limits.h"

#define CTL_DEFAULT_REPO       "/var/lib/pecia/repo"
#define CTL_DEFAULT_KEYS       "/etc/pecia/keys"
#define CTL_DEFAULT_CHANNEL    "production"
#define CTL_DEFAULT_WAIT_S     60
#define CTL_DEFAULT_LIFETIME_S 86400
#define CTL_DEFAULT_GRACE_S    86400

enum ctl_verb {
	CTL_NONE,
	CTL_HELP, /* of `topic` */
	CTL_VERSION,
	CTL_INIT,
	CTL_PUBLISH,
	CTL_LOG,
	CTL_SHOW,
	CTL_VERIFY,
	CTL_MIRROR_ADD,
	CTL_MIRROR_CHANGE,
	CTL_MIRROR_LIST,
	CTL_MIRROR_REMOVE,
	CTL_REFRESH,
	CTL_BACKUP,
	CTL_RESTORE,
	CTL_PROMOTE,
	CTL_DEMOTE,
	CTL_ROTATE,
	CTL_COLLECT,
	CTL_VERBS,
};

/* Texts are borrowed from argv; NULL where not given, but for those that
 * have a default. */
struct ctl_options {
	enum ctl_verb verb;
	enum ctl_verb topic; /* what --help is about; CTL_NONE: the program */
	const char *repo, *keys; /* see ctl_options_defaults */
	bool json, noop, exact, full;
	unsigned wait_ms;    /* for the repository's lock */
	uint64_t lifetime_s; /* of heads */

	const char *channel;
	const char *message, *author, *source;
	bool expects;
	uint64_t expect; /* serial the channel must have; 0: none yet */
	uint64_t serial; /* show: 0 is the newest */

	/* collect; 0: not bounded */
	uint64_t keep_releases, keep_age_s, keep_bytes;
	uint64_t grace_s;

	const char *org, *identity;
	const char *name, *site; /* of a mirror */
	struct digest spki[LIMIT_MIRROR_KEYS];
	size_t spki_count;
	const char *addresses[LIMIT_MIRROR_ADDRESSES];
	size_t address_count;
	bool has_anchor;
	struct digest anchor;

	const char *passphrase_file, *key_file; /* of a backup; or NULL */
	bool list, force;                       /* backup */
	bool offline;                           /* ask no mirror */
	uint64_t above;                         /* serial; promote, rotate */
	const char *root_keys; /* rotate: where root.pem is; NULL: keys */

	/* publish: FILE.conf, or NAME=DIR[:TARGET]...; backup: FILE and
	 * policy files; restore: FILE; rotate: names of keys */
	char *const *sources;
	size_t source_count;
};

/* ERR_USAGE says what is wrong.  getopt may reorder argv. */
MUST_CHECK int ctl_options_parse(
    int argc, char *const argv[], struct ctl_options *out, struct err *e);
/* Fills in repo and keys that were not given: from the environment's values
 * (NULL or "": not set), then from the defaults. */
void ctl_options_defaults(
    struct ctl_options *o, const char *env_repo, const char *env_keys);

/* "publish", "mirror add", ... */
const char *ctl_verb_name(enum ctl_verb verb);
/* The text of --help; CTL_NONE: of the program. */
const char *ctl_help(enum ctl_verb topic);

/* Whether a word of `publish` is NAME=DIR[:TARGET] and not a file. */
bool ctl_is_pair(const char *word);

#endif
