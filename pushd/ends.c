/*
 * ends.c: why connections ended.
 */
#include <stddef.h>
#include <string.h>

#include "ends.h"

/* clang-format off */
enum end {
	END_ANSWERED, END_REFUSED, END_CLIENT, END_SLOW, END_STALLED,
	END_SILENT, END_LOGIN, END_SESSION, END_CROWDED, END_PROTOCOL,
	END_LIFE, END_RESTART, END_CARRIED, END_UNABLE, END_MEMORY, END_OTHER
};

static const char *const names[ENDS] = {
	[END_ANSWERED] = "answered", [END_REFUSED] = "refused",
	[END_CLIENT] = "client", [END_SLOW] = "slow",
	[END_STALLED] = "stalled", [END_SILENT] = "silent",
	[END_LOGIN] = "login", [END_SESSION] = "session",
	[END_CROWDED] = "crowded", [END_PROTOCOL] = "protocol",
	[END_LIFE] = "life", [END_RESTART] = "restart",
	[END_CARRIED] = "carried", [END_UNABLE] = "unable",
	[END_MEMORY] = "memory", [END_OTHER] = "other",
};

/* How the reasons begin; the first that fits counts. */
static const struct {
	const char *why;
	enum end end;
} whys[] = {
	{ "answered", END_ANSWERED }, { "head", END_ANSWERED },
	{ "refused", END_REFUSED },
	{ "gone", END_CLIENT }, { "close", END_CLIENT },
	{ "done", END_CLIENT }, { "came back", END_CLIENT },
	{ "Connection reset", END_CLIENT }, { "Broken pipe", END_CLIENT },
	{ "slow", END_SLOW }, { "stalled", END_STALLED },
	{ "silent", END_SILENT }, { "ping timeout", END_SILENT },
	{ "upgrade timeout", END_SILENT },
	{ "Connection timed out", END_SILENT },
	{ "no authentication", END_LOGIN }, { "no CONNECT", END_LOGIN },
	{ "authentication failed", END_LOGIN }, { "identity", END_UNABLE },
	{ "session", END_SESSION }, { "resume", END_LIFE },
	{ "life", END_LIFE }, { "too many connections", END_CROWDED },
	{ "too many", END_PROTOCOL }, { "too large", END_PROTOCOL },
	{ "not UTF-8", END_PROTOCOL }, { "protocol", END_PROTOCOL },
	{ "drain", END_RESTART }, { "restart", END_RESTART },
	{ "log restart", END_RESTART }, { "end", END_RESTART },
	{ "carried", END_CARRIED }, { "full", END_CROWDED },
	{ "replay", END_UNABLE }, { "try again", END_UNABLE },
	{ "memory", END_MEMORY },
};
/* clang-format on */

void
ends_count(struct ends *e, const char *why)
{
	size_t i;

	for (i = 0; i < sizeof(whys) / sizeof(*whys); i++)
		if (strncmp(why, whys[i].why, strlen(whys[i].why)) == 0) {
			e->n[whys[i].end]++;
			return;
		}
	e->n[END_OTHER]++;
}

const char *
ends_name(unsigned i)
{
	return i < ENDS ? names[i] : NULL;
}
