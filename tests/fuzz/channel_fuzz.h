#ifndef CHANNEL_FUZZ_H
#define CHANNEL_FUZZ_H

/*
 * An adapter over any bytes: as a webhook with a bad proof, and as the answer
 * to each of its requests.  Whatever comes, texts are UTF-8 without NUL, and
 * what is to be stored has what the store needs.
 */
#include <assert.h>
#include <string.h>

#include "channel.h"
#include "json.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The header that every name has in a webhook of the fuzzer. */
struct fuzz_proof {
	const char *value;
};

static inline const char *
fuzz_header(void *arg, const char *name)
{
	const struct fuzz_proof *proof = arg;

	return strcmp(name, "X-Parley-Timestamp") == 0 ? "1" : proof->value;
}

static inline void
fuzz_text(const char *t)
{
	assert(t == NULL || utf8_valid(t, strlen(t)));
}

static inline void
fuzz_item(const struct channel_item *it)
{
	fuzz_text(it->text);
	fuzz_text(it->conversation);
	fuzz_text(it->user);
	fuzz_text(it->user_name);
	fuzz_text(it->message_id);
	fuzz_text(it->media_url);
	fuzz_text(it->media_ref);
	fuzz_text(it->name);
	fuzz_text(it->payload);
	fuzz_text(it->reply_to);
	fuzz_text(it->reply_token);
	fuzz_text(it->mime);
	fuzz_text(it->what);
	assert(it->outbound >= 0);
	for (size_t k = 0; k < it->nids; k++)
		fuzz_text(it->ids[k]);
	if (it->op == CHANNEL_MESSAGE)
		assert(it->kind != NULL && it->message_id != NULL &&
		       it->conversation != NULL && it->sent_at > 0);
	if (it->op == CHANNEL_EDIT)
		assert(it->message_id != NULL && it->text != NULL);
	if (it->op == CHANNEL_DELETE)
		assert(it->message_id != NULL);
	if (it->op == CHANNEL_CONTACT)
		assert(it->user != NULL);
}

/* ${sig}: a proof of the right form that fits nothing. */
static inline void
fuzz_webhook(const struct channel_account *ac, const char *sig, const char *p,
    size_t len)
{
	struct fuzz_proof proof = { sig };
	struct channel_hook hook = { .body = p,
		.len = len,
		.now_ms = 1000,
		.header = fuzz_header,
		.arg = &proof };
	struct channel_batch b;
	int rc;

	assert(ac->ch->verify(ac, &hook) == CHANNEL_FORGED);
	channel_batch_init(&b);
	if ((rc = ac->ch->parse(ac, &hook, &b)) != 0)
		assert(rc == 400 || (rc == 422 && b.field != NULL));
	else if (!b.err)
		for (size_t i = 0; i < b.n; i++)
			fuzz_item(&b.items[i]);
	channel_batch_fini(&b);
}

/* The bytes as the proof itself, over an empty body. */
static inline void
fuzz_signature(const struct channel_account *ac, const char *p, size_t len)
{
	char sig[256];
	struct fuzz_proof proof = { sig };
	struct channel_hook hook = {
		.body = "", .now_ms = 1, .header = fuzz_header, .arg = &proof
	};

	if (len >= sizeof(sig))
		return;
	memcpy(sig, p, len);
	sig[len] = '\0';
	assert(ac->ch->verify(ac, &hook) == CHANNEL_FORGED);
}

/*
 * As what came back, with each status that means something; ${ref}: a file of
 * the platform's that it may be about.
 */
static inline void
fuzz_answer(const struct channel_account *ac, const char *ref, const char *p,
    size_t len)
{
	static const long statuses[] = { 200, 400, 409, 429, 500 };
	struct channel_media md = { .kind = "video", .ref = ref };
	struct channel_out out = { .kind = "text",
		.text = "t",
		.uuid = "u",
		.conversation = "5",
		.tries = 1 };
	struct channel_result rs;
	struct channel_profile pf;
	struct http_answer an;

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		http_answer_init(&an);
		an.end = HTTP_ANSWERED;
		an.status = statuses[i];
		buf_append(&an.body, p, len);
		ac->ch->answer(ac, &out, &an, &rs);
		fuzz_text(rs.message);
		fuzz_text(rs.message_id);
		fuzz_text(rs.reason);
		if (ac->ch->profiled != NULL &&
		    ac->ch->profiled(ac, &an, &pf) == CHANNEL_SENT) {
			fuzz_text(pf.name);
			fuzz_text(pf.avatar_url);
		}
		if (ac->ch->refreshed != NULL)
			json_object_put(ac->ch->refreshed(ac, &an, 1));
		if (ac->ch->media_answer != NULL) {
			(void)ac->ch->media_answer(ac, &md, &an);
			fuzz_text(md.handle);
		}
		http_answer_fini(&an);
	}
}

#endif
