/* URL paths of a repository. */
#include "server/serve_path.h"

#include "common/text.h"

static bool
parse_digest_name(const char *name, struct serve_path *out)
{
	out->name = name;
	return digest_parse(name, strlen(name), &out->digest) == 0;
}

static bool
parse_object(const char *name, struct serve_path *out)
{
	return strlen(name) > 3 && name[2] == '/' &&
	    parse_digest_name(name + 3, out) && strncmp(name, name + 3, 2) == 0;
}

static bool
parse_channel(const char *name, struct serve_path *out)
{
	out->name = name;
	return text_is_name(name, strlen(name));
}

static bool
parse_root(const char *name, struct serve_path *out)
{
	uint64_t version = 0;

	out->name = name;
	return text_u64(name, strlen(name), INT64_MAX, &version) == 0 &&
	    version > 0;
}

static bool
parse_exact(const char *rest, struct serve_path *out)
{
	out->name = out->file;
	return *rest == '\0';
}

static bool
parse_numbers(const char *name, struct serve_path *out)
{
	out->by_number = parse_digest_name(name, out);
	return out->by_number;
}

void
serve_path_parse(const char *path, struct serve_path *out)
{
	static const struct {
		const char *prefix;
		enum serve_kind kind;
		bool (*parse)(const char *rest, struct serve_path *out);
	} shapes[] = {
		{ "/v1/object/", SERVE_OBJECT, parse_object },
		{ "/v1/channel/", SERVE_CHANNEL, parse_channel },
		{ "/v1/data/", SERVE_DATA, parse_digest_name },
		{ "/v1/manifest/", SERVE_MANIFEST, parse_digest_name },
		{ "/v1/release/", SERVE_RELEASE, parse_digest_name },
		{ "/v1/root/", SERVE_ROOT, parse_root },
		{ "/v1/roster", SERVE_ROSTER, parse_exact },
		{ "/v1/objects", SERVE_BATCH, parse_exact },
		{ "/v1/objects/", SERVE_BATCH, parse_numbers },
		{ "/healthz", SERVE_HEALTH, parse_exact },
		{ "/metrics", SERVE_METRICS, parse_exact },
		{ "/status", SERVE_STATUS, parse_exact },
	};

	*out = (struct serve_path){ .kind = SERVE_NONE };
	if (*path != '/')
		return;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		size_t len = strlen(shapes[i].prefix);

		if (strncmp(path, shapes[i].prefix, len) != 0)
			continue;
		out->file = path + 1;
		if (shapes[i].parse(path + len, out)) {
			out->kind = shapes[i].kind;
			return;
		}
	}
}

const char *
serve_kind_name(enum serve_kind kind)
{
	static const char *const names[SERVE_KINDS] = {
		[SERVE_ROOT] = "root",
		[SERVE_ROSTER] = "roster",
		[SERVE_CHANNEL] = "channel",
		[SERVE_RELEASE] = "release",
		[SERVE_MANIFEST] = "manifest",
		[SERVE_DATA] = "data",
		[SERVE_OBJECT] = "object",
		[SERVE_BATCH] = "batch",
		[SERVE_HEALTH] = "health",
		[SERVE_METRICS] = "metrics",
		[SERVE_STATUS] = "status",
		[SERVE_NONE] = "none",
	};

	return names[kind];
}

bool
serve_kind_is_immutable(enum serve_kind kind)
{
	return kind == SERVE_ROOT || kind == SERVE_RELEASE ||
	    kind == SERVE_MANIFEST || kind == SERVE_DATA ||
	    kind == SERVE_OBJECT;
}
