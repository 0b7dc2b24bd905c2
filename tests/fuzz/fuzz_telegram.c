/* Telegram's adapter over any bytes. */
#include "channel_fuzz.h"

/* What a path is made of leads nowhere but below the bot's files. */
static void
media(const struct channel_account *ac, const struct http_answer *an)
{
	static const char under[] =
	    "https://api.telegram.org/file/bot7:AAtoken/";
	struct channel_media md = { .kind = "image", .ref = "tg:a" };
	struct http_request rq;

	if (ac->ch->media_answer(ac, &md, an) != CHANNEL_MORE)
		return;
	md.step = 1;
	http_request_init(&rq, "GET");
	assert(ac->ch->media(ac, &md, &rq) == 2);
	assert(strncmp(rq.url.data, under, strlen(under)) == 0);
	assert(strstr(rq.url.data, "/..") == NULL);
	assert(strpbrk(rq.url.data, "?# \\") == NULL);
	http_request_fini(&rq);
}

/* The token is in each address and in no text. */
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
	assert(strstr(rs.message, "AAtoken") == NULL);
	media(ac, &an);
	http_answer_fini(&an);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct channel_account ac;
	const char *p = (const char *)data;

	if (ac.ch == NULL) {
		ac.ch = channel_find("telegram");
		ac.config = json_object_new_object();
		json_put_str(ac.config, "tg_bot_token", "7:AAtoken");
		json_put_str(ac.config, "tg_secret", "s");
	}
	fuzz_webhook(&ac, "t", p, len);
	fuzz_answer(&ac, "tg:a", p, len);
	answer(&ac, p, len);
	return 0;
}
