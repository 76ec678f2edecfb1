/* Users and groups by name; runs in the client. */
#include "transcripts/compare_ids.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>

#include "common/buf.h"
#include "common/text.h"
#include "transcripts/manifest.h"

#define FIRST_BYTES 4096
#define LAST_BYTES  ((size_t)16 * 1024 * 1024) /* a group of a million members */

struct compare_id {
	char *name;
	uint32_t number;
};

static int
find_user(const char *name, struct buf *space, bool *found, uint32_t *number)
{
	struct passwd entry, *got = NULL;
	int sys =
	    getpwnam_r(name, &entry, (char *)space->data, space->cap, &got);

	*found = got != NULL;
	if (got != NULL)
		*number = got->pw_uid;
	return sys;
}

static int
find_group(const char *name, struct buf *space, bool *found, uint32_t *number)
{
	struct group entry, *got = NULL;
	int sys =
	    getgrnam_r(name, &entry, (char *)space->data, space->cap, &got);

	*found = got != NULL;
	if (got != NULL)
		*number = got->gr_gid;
	return sys;
}

/* From: getpwnam_r(3), the values that mean "not found". */
static bool
is_unknown(int sys)
{
	return sys == 0 || sys == ENOENT || sys == ESRCH || sys == EBADF ||
	    sys == EPERM;
}

static int
ask_system(enum compare_ids_kind kind, const char *name, uint32_t *number,
    struct err *e)
{
	const char *word = kind == COMPARE_USERS ? "user" : "group";
	size_t size = FIRST_BYTES;
	struct buf space;
	bool found = false;
	int sys = ERANGE, rc = 0;

	buf_init(&space, LAST_BYTES);
	while (sys == ERANGE && size < LAST_BYTES) {
		if (buf_reserve(&space, size) == NULL) {
			rc = err_memory(e);
			goto out;
		}
		sys = kind == COMPARE_USERS
		    ? find_user(name, &space, &found, number)
		    : find_group(name, &space, &found, number);
		size *= 4;
	}
	if (!is_unknown(sys)) {
		errno = sys;
		rc = err_sys(e, "%s %s", word, name);
	} else if (!found) {
		rc = err_set(
		    e, ERR_UNSUPPORTED, "no %s is called %s here", word, name);
	}
out:
	buf_release(&space);
	return rc;
}

static int
parse(const char *name, uint32_t *number, struct err *e)
{
	uint64_t v;

	if (text_u64(name + 1, strlen(name + 1), MANIFEST_ID_MAX, &v) != 0)
		return err_set(e, ERR_FORMAT, "owner %s: not a number", name);
	*number = (uint32_t)v;
	return 0;
}

static int
add(struct compare_ids *ids, const char *name, uint32_t number, struct err *e)
{
	struct compare_id *list =
	    reallocarray(ids->list, ids->count + 1, sizeof(*list));

	if (list == NULL)
		return err_memory(e);
	ids->list = list;
	list[ids->count].number = number;
	list[ids->count].name = strdup(name);
	if (list[ids->count].name == NULL)
		return err_memory(e);
	ids->count++;
	return 0;
}

/* Few different names own a tree, and mostly the same one twice running. */
int
compare_ids_find(
    struct compare_ids *ids, const char *name, uint32_t *number, struct err *e)
{
	uint32_t found = 0;
	int rc;

	if (name[0] == '#')
		return parse(name, number, e);
	for (size_t i = 0; i < ids->count; i++) {
		struct compare_id *id = &ids->list[i];

		if (strcmp(id->name, name) == 0) {
			*number = id->number;
			return 0;
		}
	}
	rc = ask_system(ids->kind, name, &found, e);
	if (rc == 0)
		rc = add(ids, name, found, e);
	if (rc == 0)
		*number = found;
	return rc;
}

void
compare_ids_release(struct compare_ids *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		free(ids->list[i].name);
	free(ids->list);
	ids->list = NULL;
	ids->count = 0;
}
