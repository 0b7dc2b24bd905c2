/*
 * The adapters of Meta's platforms over any bytes: a webhook with a bad proof,
 * a handshake, an answer.  Whatever comes, texts are UTF-8 without NUL.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "channel.h"
#include "json.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *
header(void *arg, const char *name)
{
	(void)name;
	return arg;
}

static void
text(const char *t)
{
	assert(t == NULL || utf8_valid(t, strlen(t)));
}

static void
webhook(const struct channel_account *ac, const char *p, size_t len)
{
	char sig[] =
	    "sha256="
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct channel_hook hook = {
		.body = p, .len = len, .now_ms = 1, .header = header, .arg = sig
	};
	struct channel_batch b;

	assert(ac->ch->verify(ac, &hook) == CHANNEL_FORGED);
	channel_batch_init(&b);
	if (ac->ch->parse(ac, &hook, &b) == 0 && !b.err)
		for (size_t i = 0; i < b.n; i++) {
			const struct channel_item *it = &b.items[i];

			text(it->text);
			text(it->conversation);
			text(it->user);
			text(it->user_name);
			text(it->message_id);
			text(it->media_url);
			text(it->media_ref);
			text(it->payload);
			text(it->reply_to);
			text(it->name);
			text(it->mime);
			text(it->what);
			assert(it->outbound >= 0);
			assert(
			    it->op != CHANNEL_MESSAGE ||
			    (it->kind != NULL && it->message_id != NULL &&
				it->conversation != NULL && it->sent_at > 0));
			for (size_t k = 0; k < it->nids; k++)
				text(it->ids[k]);
		}
	channel_batch_fini(&b);
}

static void
handshake(const struct channel_account *ac, const char *p, size_t len)
{
	char *query = calloc(1, len + 1);
	struct buf out;

	assert(query != NULL);
	memcpy(query, p, len);
	buf_init(&out, 512);
	if (ac->ch->handshake(ac, query, &out) == 200 && out.len > 0)
		text(out.data);
	buf_fini(&out);
	free(query);
}

static void
answer(const struct channel_account *ac, const char *p, size_t len)
{
	struct channel_out out = { .kind = "text", .text = "t", .tries = 1 };
	struct channel_media md = { .ref = "wa:1" };
	struct channel_result rs;
	struct channel_profile pf;
	struct http_answer an;

	http_answer_init(&an);
	an.end = HTTP_ANSWERED;
	an.status = 200;
	buf_append(&an.body, p, len);
	ac->ch->answer(ac, &out, &an, &rs);
	text(rs.message);
	text(rs.message_id);
	text(rs.reason);
	if (ac->ch->profiled != NULL &&
	    ac->ch->profiled(ac, &an, &pf) == CHANNEL_SENT) {
		text(pf.name);
		text(pf.avatar_url);
	}
	if (ac->ch->media_answer != NULL) {
		(void)ac->ch->media_answer(ac, &md, &an);
		text(md.handle);
	}
	http_answer_fini(&an);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const accounts[][2] = {
		{ "facebook", "104857600000001" },
		{ "instagram", "17841400000000001" },
		{ "whatsapp", "106540352242922" },
	};
	const char *p = (const char *)data;

	for (size_t i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++) {
		struct channel_account ac = { .ch =
						  channel_find(accounts[i][0]),
			.config = json_object_new_object() };
		char name[64];

		json_put_str(ac.config, ac.ch->account_key, accounts[i][1]);
		json_put_str(ac.config, ac.ch->token_key, "a-token");
		snprintf(name, sizeof(name), "%s_app_secret", ac.ch->prefix);
		json_put_str(ac.config, name, "s");
		snprintf(name, sizeof(name), "%s_verify_token", ac.ch->prefix);
		json_put_str(ac.config, name, "v");
		webhook(&ac, p, len);
		answer(&ac, p, len);
		handshake(&ac, p, len);
		json_object_put(ac.config);
	}
	return 0;
}
