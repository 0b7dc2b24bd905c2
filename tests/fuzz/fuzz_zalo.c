/*
 * Zalo's adapter over any bytes.  The first byte chooses: a webhook with a good
 * or bad proof, or an answer.  Whatever comes, texts are UTF-8 without NUL.
 */
#include <assert.h>
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
	    "mac="
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
			text(it->message_id);
			text(it->media_url);
			text(it->name);
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
answer(const struct channel_account *ac, const char *p, size_t len)
{
	struct channel_out out = { .kind = "text", .text = "t" };
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
	if (ac->ch->profiled(ac, &an, &pf) == CHANNEL_SENT)
		text(pf.name);
	json_object_put(ac->ch->refreshed(ac, &an, 1));
	http_answer_fini(&an);
}

/* Cutting any text keeps characters whole and loses nothing but a space. */
static void
split(const char *p, size_t len)
{
	char copy[512];
	size_t next, n;

	if (len < 1 || len > sizeof(copy) - 1 || memchr(p, '\0', len) != NULL ||
	    !utf8_valid(p, len))
		return;
	memcpy(copy, p, len);
	copy[len] = '\0';
	for (const char *t = copy; *t != '\0'; t += next) {
		n = channel_split(
		    t, 2 + (size_t)(unsigned char)p[0] % 40, &next);
		assert(next > 0 && n <= next && utf8_valid(t, n));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct channel_account ac;
	const char *p = (const char *)data;

	if (ac.ch == NULL) {
		ac.ch = channel_find("zalo");
		ac.config = json_object_new_object();
		json_put_str(ac.config, "zalo_app_id", "1845200000000000123");
		json_put_str(ac.config, "zalo_oa_id", "2520000000000000017");
		json_put_str(ac.config, "zalo_oa_secret", "s");
	}
	if (len == 0)
		return 0;
	webhook(&ac, p, len);
	answer(&ac, p, len);
	split(p, len);
	return 0;
}
