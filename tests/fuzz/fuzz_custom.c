/*
 * The generic webhook's adapter over any bytes, as a webhook that proves
 * nothing and as an answer.  Whatever comes, texts are UTF-8 without NUL.
 */
#include <assert.h>
#include <string.h>

#include "channel.h"
#include "json.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *
header(void *arg, const char *name)
{
	return strcmp(name, "X-Parley-Timestamp") == 0 ? "1" : arg;
}

static void
text(const char *t)
{
	assert(t == NULL || utf8_valid(t, strlen(t)));
}

static void
item(const struct channel_item *it)
{
	text(it->text);
	text(it->conversation);
	text(it->user);
	text(it->user_name);
	text(it->message_id);
	text(it->media_url);
	text(it->media_ref);
	text(it->name);
	text(it->payload);
	text(it->what);
	assert(it->op != CHANNEL_MESSAGE ||
	       (it->kind != NULL && it->message_id != NULL &&
		   it->conversation != NULL && it->sent_at > 0));
	for (size_t k = 0; k < it->nids; k++)
		text(it->ids[k]);
}

static void
webhook(const struct channel_account *ac, const char *p, size_t len)
{
	char sig[] =
	    "v1="
	    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct channel_hook hook = { .body = p,
		.len = len,
		.now_ms = 1000,
		.header = header,
		.arg = sig };
	struct channel_batch b;
	int rc;

	assert(ac->ch->verify(ac, &hook) == CHANNEL_FORGED);
	channel_batch_init(&b);
	rc = ac->ch->parse(ac, &hook, &b);
	if (rc != 0)
		assert(rc == 400 || (rc == 422 && b.field != NULL));
	else if (!b.err)
		for (size_t i = 0; i < b.n; i++)
			item(&b.items[i]);
	channel_batch_fini(&b);
}

static void
answer(const struct channel_account *ac, const char *p, size_t len)
{
	struct channel_out out = {
		.kind = "text", .text = "t", .conversation = "5"
	};
	struct channel_result rs;
	struct http_answer an;

	http_answer_init(&an);
	an.end = HTTP_ANSWERED;
	an.status = 200;
	buf_append(&an.body, p, len);
	ac->ch->answer(ac, &out, &an, &rs);
	text(rs.message);
	text(rs.message_id);
	http_answer_fini(&an);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct channel_account ac;
	const char *p = (const char *)data;

	if (ac.ch == NULL) {
		ac.ch = channel_find("custom");
		ac.config = json_object_new_object();
		json_put_str(ac.config, "custom_secret", "s");
	}
	if (len == 0)
		return 0;
	webhook(&ac, p, len);
	answer(&ac, p, len);
	return 0;
}
