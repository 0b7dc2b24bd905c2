/* What the test of an account tells: a code, their words, and what to do. */
#include "channel_probe.h"

#include <stdio.h>
#include <string.h>

#include "json.h"

/* The setting without which nothing can be asked. */
static const char *
key_of(const struct channel *ch)
{
	if (ch->token_key != NULL)
		return ch->token_key;
	for (size_t i = 0; i < ch->nkeys; i++)
		if (strstr(ch->keys[i].name, "token") != NULL ||
		    strstr(ch->keys[i].name, "out_url") != NULL)
			return ch->keys[i].name;
	return "the token";
}

static const char *
code_of(const struct channel_account *ac, const struct http_answer *an,
    const struct channel_result *rs)
{
	const char *ours = ac->ch->account_key != NULL
			       ? channel_conf(ac, ac->ch->account_key)
			       : "";

	if (an == NULL)
		return "unset";
	if (rs->cls == CHANNEL_SENT)
		return *ours != '\0' && rs->message_id[0] != '\0' &&
			       strcmp(ours, rs->message_id) != 0
			   ? "other_account"
			   : "ok";
	if (an->end != HTTP_ANSWERED)
		return "unreachable";
	if (rs->cls == CHANNEL_REAUTH)
		return "token";
	return rs->cls == CHANNEL_PERMANENT ? "refused" : "busy";
}

static void
advise(const struct channel *ch, const char *code, struct buf *b)
{
	if (strcmp(code, "unset") == 0)
		buf_printf(b, "Enter %s.", key_of(ch));
	else if (strcmp(code, "token") == 0)
		buf_printf(b,
		    "%s is refused. Make a new one there, enter it here, and"
		    " see that it has the permissions that the account needs.",
		    key_of(ch));
	else if (strcmp(code, "other_account") == 0)
		buf_printf(b,
		    "%s belongs to another account. Take that of %s, or"
		    " connect the other account as one of its own.",
		    key_of(ch), ch->account_key);
	else if (strcmp(code, "unreachable") == 0)
		buf_puts(b,
		    "Nobody answered. See that this machine may connect out,"
		    " and that the address in the settings is right.");
	else if (strcmp(code, "busy") == 0)
		buf_puts(b,
		    "There was no usable answer. Try again in some minutes.");
	else if (strcmp(code, "refused") == 0)
		buf_puts(b, "Compare the settings with those over there.");
}

struct json_object *
channel_probe_result(const struct channel_account *ac,
    const struct http_answer *an, const struct channel_result *rs)
{
	const char *code = code_of(ac, an, rs), *account = NULL, *text = NULL;
	struct json_object *o = json_object_new_object();
	bool good = an != NULL && rs->cls == CHANNEL_SENT;
	struct buf b;

	buf_init(&b, 4096);
	advise(ac->ch, code, &b);
	if (good)
		account = rs->message[0] != '\0' ? rs->message : rs->message_id;
	else if (an != NULL)
		text = rs->message[0] != '\0' ? rs->message : rs->code;
	json_put_bool(o, "ok", strcmp(code, "ok") == 0);
	json_put_str(o, "code", code);
	json_put_str(
	    o, "account", account != NULL && *account != '\0' ? account : NULL);
	json_put_str(o, "text", text != NULL && *text != '\0' ? text : NULL);
	json_put_str(o, "advice", b.len > 0 && !b.err ? b.data : NULL);
	buf_fini(&b);
	return o;
}
