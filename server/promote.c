/* Promotion of a mirror's repository.  Runs in peciactl. */
#include "server/promote.h"

#include <string.h>

#include "common/fsat.h"
#include "common/text.h"
#include "server/repo_anchor.h"

/* *signed_so stays where the newest root allows the signatures of the file. */
static int
check_signature(struct origin *o, enum root_role role, const char *path,
    bool *signed_so, struct err *e)
{
	struct statement s;
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_ROSTER_BYTES);
	rc = repo_read_statement(o->repo, path, LIMIT_ROSTER_BYTES, &text, e);
	if (rc == 0)
		rc = root_verify(
		    origin_root(o), role, text.data, text.len, &s, e);
	buf_release(&text);
	if (rc == ERR_VERIFY)
		*signed_so = false;
	return rc == ERR_VERIFY || rc == ERR_NOT_FOUND ? 0 : rc;
}

int
promote_sign_again(
    struct origin *o, const struct origin_signers *by, struct err *e)
{
	struct err why = ERR_INIT;
	char path[REPO_PATH_BYTES];
	bool signed_so = true;
	size_t count = 0;
	int rc;

	repo_path_roster(path);
	rc = check_signature(o, ROOT_ROLE_ROSTER, path, &signed_so, &why);
	for (size_t i = 0; rc == 0 && i < o->roster.channel_count; i++) {
		rc = repo_path_channel(path, o->roster.channels[i], &why);
		if (rc == 0)
			rc = check_signature(
			    o, ROOT_ROLE_HEAD, path, &signed_so, &why);
	}
	if (rc == 0 && !signed_so)
		rc = origin_put_roster(o, by->release, &why);
	if (rc == 0 && !signed_so)
		rc = origin_refresh(
		    o, by->head, by->lifetime_s, false, &count, &why);
	if (rc != 0 && e != NULL)
		*e = why;
	return rc;
}

static int
check_anchor(struct origin *o, struct digest *anchor, struct err *e)
{
	int rc = repo_anchor_settle(repo_fd(o->repo), NULL, anchor, e);

	if (rc == 0 && !digest_equal(anchor, &o->anchor))
		rc = err_set(e, ERR_VERIFY,
		    "%s: its first trust root is not that of its anchor",
		    repo_name(o->repo));
	return rc;
}

int
promote_check(struct origin *o, struct repo_verified *found, struct err *e)
{
	struct digest anchor;
	struct repo_verify how = { .anchor = &anchor };
	int rc = check_anchor(o, &anchor, e);

	if (rc == 0)
		rc = repo_clean(o->repo, e);
	if (rc == 0)
		rc = repo_verify(o->repo, &how, found, e);
	if (rc == ERR_VERIFY)
		return err_set(e, ERR_VERIFY,
		    "%s: %llu files damaged, %llu missing, %llu unknown; "
		    "peciactl verify names them: promote another mirror, or "
		    "let this one mend itself from one first",
		    repo_name(o->repo),
		    (unsigned long long)found->findings[REPO_DAMAGED],
		    (unsigned long long)found->findings[REPO_MISSING],
		    (unsigned long long)found->findings[REPO_UNKNOWN]);
	if (rc == 0 && found->releases == 0)
		rc = err_set(e, ERR_NOT_FOUND,
		    "%s has no release: it was never complete",
		    repo_name(o->repo));
	return rc;
}

/* A channel that was announced, and of which nothing came, has no content to
 * go on with; what is published to it first will be above what was seen. */
static int
carry_on(struct origin *o, const struct origin_signers *by,
    struct promote_channel *c, struct err *e)
{
	struct err why = ERR_INIT;
	struct head head;
	int rc = origin_highest(o, c->name, &head, &c->highest, &why);

	if (rc == 0)
		rc = origin_head(o, c->name, &head, &why);
	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc == 0) {
		c->held = head.serial;
		rc = origin_carry_on(o, c->name, by, &c->serial, &why);
	}
	if (rc != 0 && e != NULL)
		*e = why;
	return rc;
}

int
promote_run(struct origin *o, const struct origin_signers *by,
    struct promoted *out, struct err *e)
{
	int rc = origin_put_roster(o, by->release, e);

	*out = (struct promoted){ .count = 0 };
	for (size_t i = 0; rc == 0 && i < o->roster.channel_count; i++) {
		struct promote_channel *c = &out->channels[out->count++];

		memcpy(c->name, o->roster.channels[i], sizeof(c->name));
		rc = carry_on(o, by, c, e);
	}
	if (rc == 0)
		rc = repo_sync(o->repo, e);
	if (rc == 0)
		rc = fsat_unlink(repo_fd(o->repo), REPO_ANCHOR, e);
	return rc == 0 ? fsat_fsync(repo_fd(o->repo), e) : rc;
}

int
promote_undo(struct origin *o, struct err *e)
{
	char text[sizeof("sha256:") + DIGEST_HEX], hex[DIGEST_HEX];
	struct digest kept;

	digest_hex(&o->anchor, hex);
	(void)snprintf(text, sizeof(text), "sha256:%s", hex);
	return repo_anchor_settle(repo_fd(o->repo), text, &kept, e);
}
