/* Keeping: before a run's first rename, what it is about to replace, change or
 * delete is recorded as a kept run (client/kept.h), and content is held by a
 * hard link.  A copy, shared by the file system where it can, takes the link's
 * place on another device and for files that have other names, through which
 * they could still be written to.
 *
 * Calling sequence: keep_space, then keep_store before the journal, which may be
 * while others stage, by a thread of its own, unless some files have other names;
 * keep_publish when the journal was carried out, or keep_discard when there is
 * none.  keep_publish and keep_discard may be called again. */
#ifndef CLIENT_KEEP_H
#define CLIENT_KEEP_H

#include "client/kept.h"
#include "client/plan.h"
#include "client/session.h"

/* What has to be copied, and how many files are held. */
struct keep_space {
	uint64_t copy_bytes, files;
	bool linked; /* some of them have other names */
};
MUST_CHECK int keep_space(const struct session *s, const struct plan *p,
    struct keep_space *out, struct err *e);

/* Makes kept/new, durable once the state directory's file system is synced.
 * Nothing when the settings say that nothing is kept. */
MUST_CHECK int keep_store(struct session *s, const struct plan *p,
    const struct kept_facts *facts, const struct keep_space *space,
    struct err *e);
/* kept/new gets the next number; the caller syncs.  0 when there is none. */
MUST_CHECK int keep_publish(int state, struct err *e);
MUST_CHECK int keep_discard(int state, struct err *e);

/* Removes the oldest until the settings are met.  The newest one stays
 * however large it is. */
MUST_CHECK int keep_prune(const struct session *s, struct err *e);

/* Manifests of the releases that kept runs go back to. */
struct keep_manifests {
	struct digest *list; /* with room for `extra` more; free() it */
	size_t count;
};
MUST_CHECK int keep_manifests_find(const struct session *s, size_t extra,
    struct keep_manifests *out, struct err *e);

#endif
