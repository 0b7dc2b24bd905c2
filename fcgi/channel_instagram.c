/*
 * Instagram: the messages of a professional account.  Its events and its Send
 * API are Messenger's, but for names; see channel_meta_page.c.
 */
#include <stdio.h>
#include <string.h>

#include "channel_meta.h"

static const struct channel_key instagram_keys[] = {
	{ "ig_account_id", NULL, CHANNEL_REQUIRED,
	    "the professional account's id" },
	{ "ig_page_id", "", 0,
	    "the Page it is linked to, where a Page's token is used" },
	{ "ig_app_secret", NULL, CHANNEL_SECRET | CHANNEL_REQUIRED,
	    "the secret that signs webhooks" },
	{ "ig_verify_token", NULL,
	    CHANNEL_SECRET | CHANNEL_REQUIRED | CHANNEL_MADE,
	    "a word that both sides know; made up where not given" },
	{ "ig_token", NULL, CHANNEL_SECRET, "a long-lived access token" },
	{ "ig_token_expires_at", "0", 0,
	    "when that token ends, in ms; 0: not known" },
	{ "ig_api_base", "https://graph.instagram.com", 0,
	    "address of the API; https://graph.facebook.com with a Page" },
	{ "ig_api_version", "v25.0", 0, "its version" },
	{ "ig_human_agent", "0", 0,
	    "1: people may answer for 7 days (needs Human Agent permission)" },
	/* 1000 bytes, of which a unit has three at most. */
	{ "ig_text_max", "333", 0, "UTF-16 units of one text" },
};

static int
instagram_parse(const struct channel_account *ac,
    const struct channel_hook *hook, struct channel_batch *b)
{
	return meta_page_parse(ac, hook, b, "instagram");
}

static size_t
instagram_text_max(const struct channel_account *ac)
{
	return (size_t)channel_conf_int(ac, "ig_text_max", 20, 100000);
}

static int
instagram_profile(const struct channel_account *ac, const char *user,
    const char *conversation, struct http_request *rq)
{
	(void)conversation;
	return meta_page_profile(ac, user, "name,username,profile_pic", rq);
}

static enum channel_class
instagram_profiled(const struct channel_account *ac,
    const struct http_answer *an, struct channel_profile *pf)
{
	struct channel_batch b;
	enum channel_class cls;
	const char *name;

	channel_batch_init(&b);
	cls = meta_page_profiled(ac, an, &b, pf);
	if (cls == CHANNEL_SENT) {
		if ((name = channel_some(&b, b.root, "name")) == NULL)
			name = channel_some(&b, b.root, "username");
		channel_face(pf, name, NULL);
	}
	channel_batch_fini(&b);
	return cls;
}

/* A Page's token names the Page, one of Instagram's the account. */
static bool
by_page(const struct channel_account *ac)
{
	return *channel_conf(ac, "ig_page_id") != '\0';
}

static int
instagram_probe(
    const struct channel_account *ac, int64_t now_ms, struct http_request *rq)
{
	(void)now_ms;
	return meta_page_probe(
	    ac, by_page(ac) ? "id,name" : "user_id,username", rq);
}

static void
instagram_probed(const struct channel_account *ac, const struct http_answer *an,
    struct channel_result *rs)
{
	if (!by_page(ac)) {
		meta_page_probed(ac, an, "user_id", "username", rs);
		return;
	}
	meta_page_probed(ac, an, "id", "name", rs);
	/* Not the account's id, but it must be the Page's. */
	if (rs->cls == CHANNEL_SENT &&
	    strcmp(rs->message_id, channel_conf(ac, "ig_page_id")) == 0)
		rs->message_id[0] = '\0';
}

const struct channel channel_instagram = {
	.platform = "instagram",
	.prefix = "ig",
	.account_key = "ig_account_id",
	.token_key = "ig_token",
	.expires_key = "ig_token_expires_at",
	.methods = "GET, POST",
	.paste =
	    "At developers.facebook.com, in the application under Instagram,"
	    " webhooks:\n"
	    "  callback URL  {webhook}\n"
	    "  verify token  {ig_verify_token}\n"
	    "  fields        messages, messaging_postbacks, messaging_seen,\n"
	    "                message_edit, standby\n",
	.keys = instagram_keys,
	.nkeys = sizeof(instagram_keys) / sizeof(instagram_keys[0]),
	.at_once = 8,
	.per_s = 20,
	.handshake = meta_handshake,
	.verify = meta_verify,
	.parse = instagram_parse,
	.window = meta_page_window,
	.text_max = instagram_text_max,
	.send = meta_page_send,
	.answer = meta_page_answer,
	.act = meta_page_act,
	.profile = instagram_profile,
	.profiled = instagram_profiled,
	.probe = instagram_probe,
	.probed = instagram_probed,
};
