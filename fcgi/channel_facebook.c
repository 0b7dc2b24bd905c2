/*
 * Facebook Messenger: a Page's conversations.  What it shares with Meta's
 * other two is in channel_meta.c and channel_meta_page.c.
 */
#include <stdio.h>
#include <string.h>

#include "channel_meta.h"

static const struct channel_key facebook_keys[] = {
	{ "fb_page_id", NULL, CHANNEL_REQUIRED, "the Page's id" },
	{ "fb_app_id", NULL, 0, "the application's id" },
	{ "fb_app_secret", NULL, CHANNEL_SECRET | CHANNEL_REQUIRED,
	    "the application's secret, which signs webhooks" },
	{ "fb_verify_token", NULL,
	    CHANNEL_SECRET | CHANNEL_REQUIRED | CHANNEL_MADE,
	    "a word that both sides know; made up where not given" },
	{ "fb_page_token", NULL, CHANNEL_SECRET,
	    "a long-lived access token of the Page" },
	{ "fb_api_base", "https://graph.facebook.com", 0,
	    "address of the API" },
	{ "fb_api_version", "v25.0", 0, "its version" },
	{ "fb_human_agent", "0", 0,
	    "1: people may answer for 7 days (needs Human Agent permission)" },
	{ "fb_text_max", "2000", 0, "UTF-16 units of one text" },
};

static int
facebook_parse(const struct channel_account *ac,
    const struct channel_hook *hook, struct channel_batch *b)
{
	return meta_page_parse(ac, hook, b, "page");
}

static size_t
facebook_text_max(const struct channel_account *ac)
{
	return (size_t)channel_conf_int(ac, "fb_text_max", 20, 100000);
}

static int
facebook_profile(const struct channel_account *ac, const char *user,
    const char *conversation, struct http_request *rq)
{
	(void)conversation;
	return meta_page_profile(
	    ac, user, "first_name,last_name,profile_pic", rq);
}

static enum channel_class
facebook_profiled(const struct channel_account *ac,
    const struct http_answer *an, struct channel_profile *pf)
{
	struct channel_batch b;
	const char *first, *last, *name;
	enum channel_class cls;

	channel_batch_init(&b);
	cls = meta_page_profiled(ac, an, &b, pf);
	if (cls == CHANNEL_SENT) {
		first = channel_some(&b, b.root, "first_name");
		last = channel_some(&b, b.root, "last_name");
		name = channel_batch_printf(&b, "%s%s%s",
		    first != NULL ? first : "",
		    first != NULL && last != NULL ? " " : "",
		    last != NULL ? last : "");
		channel_face(pf, name, NULL);
	}
	channel_batch_fini(&b);
	return cls;
}

static int
facebook_probe(
    const struct channel_account *ac, int64_t now_ms, struct http_request *rq)
{
	(void)now_ms;
	return meta_page_probe(ac, "id,name", rq);
}

static void
facebook_probed(const struct channel_account *ac, const struct http_answer *an,
    struct channel_result *rs)
{
	meta_page_probed(ac, an, "id", "name", rs);
}

const struct channel channel_facebook = {
	.platform = "facebook",
	.prefix = "fb",
	.account_key = "fb_page_id",
	.token_key = "fb_page_token",
	.methods = "GET, POST",
	.paste =
	    "At developers.facebook.com, in the application under Messenger,"
	    " webhooks:\n"
	    "  callback URL  {webhook}\n"
	    "  verify token  {fb_verify_token}\n"
	    "  fields        messages, messaging_postbacks, message_echoes,\n"
	    "                message_deliveries, message_reads,"
	    " message_edits,\n"
	    "                standby\n",
	.keys = facebook_keys,
	.nkeys = sizeof(facebook_keys) / sizeof(facebook_keys[0]),
	.at_once = 16,
	.per_s = 100,
	.handshake = meta_handshake,
	.verify = meta_verify,
	.parse = facebook_parse,
	.window = meta_page_window,
	.text_max = facebook_text_max,
	.send = meta_page_send,
	.answer = meta_page_answer,
	.act = meta_page_act,
	.profile = facebook_profile,
	.profiled = facebook_profiled,
	.probe = facebook_probe,
	.probed = facebook_probed,
};
