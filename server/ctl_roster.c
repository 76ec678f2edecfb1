/* peciactl mirror, peciactl refresh: the roster, and heads that name it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/text.h"
#include "server/ctl.h"
#include "server/keys.h"
#include "server/origin.h"

/* An origin that is about to get another roster. */
struct change {
	struct origin origin;
	struct key *release, *head;
};

static int
open_change(const struct ctl_options *o, struct change *c, struct err *e)
{
	int ret = ctl_open(o, true, &c->origin, e);

	if (ret == 0)
		ret = keys_open(o->keys, KEYS_RELEASE, &c->release, e);
	if (ret == 0)
		ret = keys_open(o->keys, KEYS_HEAD, &c->head, e);
	if (ret == 0)
		ret = origin_check_key(
		    &c->origin, ROOT_ROLE_ROSTER, c->release, e);
	if (ret == 0)
		ret = origin_check_key(&c->origin, ROOT_ROLE_HEAD, c->head, e);
	return ret == 0 ? ctl_look(o, &c->origin, NULL, e) : ret;
}

static void
release_change(struct change *c)
{
	origin_release(&c->origin);
	key_free(c->release);
	key_free(c->head);
}

static int
put_change(const struct ctl_options *o, struct change *c, const char *done,
    struct err *e)
{
	size_t heads = 0;
	int ret = origin_put_roster(&c->origin, c->release, e);

	if (ret == 0)
		ret = origin_refresh(
		    &c->origin, c->head, o->lifetime_s, false, &heads, e);
	if (ret == 0)
		(void)printf("roster %llu: mirror %s %s\n",
		    (unsigned long long)c->origin.roster.version, o->name,
		    done);
	return ret;
}

/* roster_add_mirror or roster_replace_mirror. */
typedef int (*enter_fn)(
    struct roster *r, const struct roster_mirror *m, struct err *e);

static int
enter(const struct ctl_options *o, const struct roster_mirror *mirror,
    enter_fn put, struct roster *r, struct err *e)
{
	char *copies[LIMIT_MIRROR_ADDRESSES] = { NULL };
	struct roster_mirror m = *mirror;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < o->address_count; i++) {
		copies[i] = strdup(o->addresses[i]);
		if (copies[i] == NULL)
			ret = err_memory(e);
		m.addresses[i] = copies[i];
	}
	if (o->address_count > 0)
		m.address_count = o->address_count;
	if (ret == 0)
		ret = put(r, &m, e);
	for (size_t i = 0; i < o->address_count; i++)
		free(copies[i]);
	return ret;
}

int
ctl_roster_add(const struct ctl_options *o, const struct roster_mirror *mirror,
    struct roster *r, struct err *e)
{
	return enter(o, mirror, roster_add_mirror, r, e);
}

/* What is given, over what the roster has. */
static int
enter_given(
    const struct ctl_options *o, enter_fn put, struct roster *r, struct err *e)
{
	const struct roster_mirror *now = roster_find_name(r, o->name);
	struct roster_mirror m = { .key_count = 0 };

	if (now != NULL)
		m = *now;
	(void)snprintf(m.name, sizeof(m.name), "%s", o->name);
	if (o->site != NULL)
		(void)snprintf(m.site, sizeof(m.site), "%s", o->site);
	if (o->spki_count > 0) {
		memcpy(m.keys, o->spki, sizeof(m.keys));
		m.key_count = o->spki_count;
	}
	return enter(o, &m, put, r, e);
}

static int
put_given(
    const struct ctl_options *o, enter_fn put, const char *done, struct err *e)
{
	struct change c = { .release = NULL };
	int ret = open_change(o, &c, e);

	if (ret == 0)
		ret = enter_given(o, put, &c.origin.roster, e);
	if (ret == 0)
		ret = put_change(o, &c, done, e);
	release_change(&c);
	return ret;
}

int
ctl_mirror_add(const struct ctl_options *o, struct err *e)
{
	return put_given(o, roster_add_mirror, "added", e);
}

int
ctl_mirror_change(const struct ctl_options *o, struct err *e)
{
	return put_given(o, roster_replace_mirror, "changed", e);
}

int
ctl_mirror_remove(const struct ctl_options *o, struct err *e)
{
	struct change c = { .release = NULL };
	int ret = open_change(o, &c, e);

	if (ret == 0)
		ret = roster_remove_mirror(&c.origin.roster, o->name, e);
	if (ret == 0)
		ret = put_change(o, &c, "removed", e);
	release_change(&c);
	return ret;
}

static void
print_mirror(const struct roster_mirror *m)
{
	char hex[DIGEST_HEX];

	(void)printf("%s at site %s\n", m->name, m->site);
	for (size_t i = 0; i < m->key_count; i++) {
		digest_hex(&m->keys[i], hex);
		(void)printf("    key sha256:%s\n", hex);
	}
	for (size_t i = 0; i < m->address_count; i++)
		(void)printf("    address %s\n", m->addresses[i]);
}

static struct json *
mirror_json(const struct roster_mirror *m)
{
	struct json *j = json_object_new(), *keys = json_array_new(),
	            *addresses = json_array_new();
	char text[sizeof("sha256:") + DIGEST_HEX], hex[DIGEST_HEX];

	json_set_string(j, "name", m->name);
	json_set_string(j, "site", m->site);
	for (size_t i = 0; i < m->key_count; i++) {
		digest_hex(&m->keys[i], hex);
		(void)snprintf(text, sizeof(text), "sha256:%s", hex);
		json_append_string(keys, text);
	}
	for (size_t i = 0; i < m->address_count; i++)
		json_append_string(addresses, m->addresses[i]);
	json_set_child(j, "keys", keys);
	json_set_child(j, "addresses", addresses);
	return j;
}

static int
print_roster_json(const struct roster *r, struct err *e)
{
	struct json *j = json_object_new(), *channels = json_array_new(),
	            *mirrors = json_array_new();

	json_set_u64(j, "version", r->version);
	ctl_json_time(j, "expires", r->expires);
	for (size_t i = 0; i < r->channel_count; i++)
		json_append_string(channels, r->channels[i]);
	for (size_t i = 0; i < r->mirror_count; i++)
		json_append(mirrors, mirror_json(&r->mirrors[i]));
	json_set_child(j, "channels", channels);
	json_set_child(j, "mirrors", mirrors);
	return ctl_print_json(j, e);
}

int
ctl_mirror_list(const struct ctl_options *o, struct err *e)
{
	struct origin origin;
	int ret = ctl_open(o, false, &origin, e);

	if (ret == 0 && o->json)
		ret = print_roster_json(&origin.roster, e);
	for (size_t i = 0;
	     ret == 0 && !o->json && i < origin.roster.mirror_count; i++)
		print_mirror(&origin.roster.mirrors[i]);
	origin_release(&origin);
	return ret;
}

int
ctl_refresh(const struct ctl_options *o, struct err *e)
{
	struct origin origin;
	struct key *head = NULL;
	size_t count = 0;
	int ret = ctl_open(o, true, &origin, e);

	if (ret == 0)
		ret = keys_open(o->keys, KEYS_HEAD, &head, e);
	if (ret == 0)
		ret = origin_check_key(&origin, ROOT_ROLE_HEAD, head, e);
	if (ret == 0)
		ret = ctl_look(o, &origin, NULL, e);
	if (ret == 0)
		ret = origin_refresh(
		    &origin, head, o->lifetime_s, false, &count, e);
	if (ret == 0)
		(void)printf("%zu heads signed again, for %llu seconds\n",
		    count, (unsigned long long)o->lifetime_s);
	origin_release(&origin);
	key_free(head);
	return ret;
}
