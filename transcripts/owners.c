/* Names of users and groups; the publisher runs it. */
#include "transcripts/owners.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "transcripts/manifest_text.h"

#define FIRST_BYTES 4096
#define LAST_BYTES  16777216 /* a group of a million members */

struct owner {
	struct table_node node;
	uint32_t id;
	char name[MANIFEST_OWNER_BYTES + 1];
};

/* What the system says of an id; *name stays empty when it knows none.  As
 * with getpwuid_r, the value is an error number. */
typedef int (*lookup_fn)(uint32_t id, struct buf *space, char *name);

static void
copy_name(char *dst, const char *name)
{
	size_t len = strlen(name);

	/* A '#' in front would read as a number. */
	if (name[0] != '#' && manifest_owner_fault(name, len) == NULL)
		memcpy(dst, name, len + 1);
}

static int
lookup_user(uint32_t uid, struct buf *space, char *name)
{
	struct passwd entry, *found = NULL;
	int sys =
	    getpwuid_r(uid, &entry, (char *)space->data, space->cap, &found);

	if (found != NULL)
		copy_name(name, found->pw_name);
	return sys;
}

static int
lookup_group(uint32_t gid, struct buf *space, char *name)
{
	struct group entry, *found = NULL;
	int sys =
	    getgrgid_r(gid, &entry, (char *)space->data, space->cap, &found);

	if (found != NULL)
		copy_name(name, found->gr_name);
	return sys;
}

/* From: getpwuid_r(3), the values that mean "not found". */
static bool
is_unknown(int sys)
{
	return sys == 0 || sys == ENOENT || sys == ESRCH || sys == EBADF ||
	    sys == EPERM;
}

static int
ask_system(lookup_fn lookup, uint32_t id, char *name, struct err *e)
{
	struct buf space;
	size_t size = FIRST_BYTES;
	int sys = ERANGE, rc = 0;

	buf_init(&space, LAST_BYTES);
	while (sys == ERANGE && size < LAST_BYTES) {
		if (buf_reserve(&space, size) == NULL) {
			rc = err_memory(e);
			goto out;
		}
		sys = lookup(id, &space, name);
		size *= 4;
	}
	if (!is_unknown(sys)) {
		errno = sys;
		rc = err_sys(e, "name of user or group %u", id);
	}
out:
	buf_release(&space);
	return rc;
}

static int
owner_new(lookup_fn lookup, uint32_t id, struct owner **out, struct err *e)
{
	struct owner *owner = calloc(1, sizeof(*owner));
	int rc;

	if (owner == NULL)
		return err_memory(e);
	owner->id = id;
	rc = lookup == NULL ? 0 : ask_system(lookup, id, owner->name, e);
	if (rc != 0) {
		free(owner);
		return rc;
	}
	if (owner->name[0] == '\0')
		(void)snprintf(owner->name, sizeof(owner->name), "#%u", id);
	*out = owner;
	return 0;
}

static int
find(struct table *t, lookup_fn lookup, uint32_t id, const struct owner **last,
    struct err *e)
{
	uint64_t hash = table_hash(&id, sizeof(id));
	struct table_node *node = table_find(t, hash);
	struct owner *owner = NULL;
	int rc;

	for (; node != NULL; node = table_find_next(node)) {
		owner = (struct owner *)node;
		if (owner->id == id) {
			*last = owner;
			return 0;
		}
	}
	rc = owner_new(lookup, id, &owner, e);
	if (rc != 0)
		return rc;
	rc = table_add(t, &owner->node, hash, e);
	if (rc != 0) {
		free(owner);
		return rc;
	}
	*last = owner;
	return 0;
}

int
owners_user(struct owners *o, uint32_t uid, const char **name, struct err *e)
{
	int rc = 0;

	if (o->last_user == NULL || o->last_user->id != uid)
		rc = find(&o->users, o->numeric ? NULL : lookup_user, uid,
		    &o->last_user, e);
	if (rc == 0)
		*name = o->last_user->name;
	return rc;
}

int
owners_group(struct owners *o, uint32_t gid, const char **name, struct err *e)
{
	int rc = 0;

	if (o->last_group == NULL || o->last_group->id != gid)
		rc = find(&o->groups, o->numeric ? NULL : lookup_group, gid,
		    &o->last_group, e);
	if (rc == 0)
		*name = o->last_group->name;
	return rc;
}

static void
release(struct table *t)
{
	struct table_node *node;

	while ((node = table_pop(t)) != NULL)
		free(node);
	table_release(t);
}

void
owners_release(struct owners *o)
{
	release(&o->users);
	release(&o->groups);
	o->last_user = NULL;
	o->last_group = NULL;
}
