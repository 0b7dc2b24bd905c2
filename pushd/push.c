/*
 * push.c: small things that every transport does alike.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "dialect.h"
#include "id.h"
#include "json.h"
#include "log.h"
#include "push.h"

enum { CONNECTIONS_A_SECOND = 200 /* told to come back, in a drain */ };

struct push *
push_of(const struct conn *c)
{
	return (struct push *)((char *)c->all - offsetof(struct push, conns));
}

void
push_event(struct hub *h, struct hub_sub *sub, struct hub_event *he)
{
	struct push *p =
	    (struct push *)((char *)h - offsetof(struct push, hub));

	conns_give(
	    &p->conns, sub->outlet, dialect_frame(he, sub->dialect, sub->form));
}

int
push_cred(const struct conn *c, const struct request *rq,
    struct ident_cred *cred, char *token, char *session)
{
	const struct http_head *h = rq->head;

	memset(cred, 0, sizeof(*cred));
	cred->authorization =
	    http_field(h, rq->p, "Authorization", &cred->authorization_len);
	cred->cookie = http_field(h, rq->p, "Cookie", &cred->cookie_len);
	cred->origin = http_field(h, rq->p, "Origin", &cred->origin_len);
	cred->host = http_field(h, rq->p, "Host", &cred->host_len);
	cred->addr = conn_addr(c);
	cred->unlimited = c->unlimited;
	if (push_of(c)->cf.url_tokens) {
		if (http_query(h, rq->p, "token", token, PUSH_TOKEN_MAX) > 0)
			cred->token = token;
		else if (http_query(
			     h, rq->p, "session", session, PUSH_TOKEN_MAX) > 0)
			cred->session = session;
	}
	return cred->authorization != NULL || cred->token != NULL ||
	       cred->session != NULL || cred->cookie != NULL;
}

int
push_may(const struct conn *c, struct ident *id)
{
	const struct conf *cf = &push_of(c)->cf;
	uint32_t now = c->all->now_s;
	uint64_t over = (uint64_t)(now - id->asks_s) *
			(uint64_t)cf->credential_request_rate_max;

	if (c->unlimited)
		return 1;
	id->asks = over < id->asks ? id->asks - (uint32_t)over : 0;
	id->asks_s = now;
	if (id->asks >= cf->credential_request_burst_max)
		return 0;
	id->asks++;
	return 1;
}

int64_t
push_cursor(const char *p, size_t len)
{
	int64_t n;

	if (len == 0)
		return PUSH_NOW;
	n = id_cursor(p, len);
	return n < 0 ? PUSH_BAD : n;
}

void
push_drain(struct push *p)
{
	unsigned over_s = 1 + (unsigned)(p->conns.n / CONNECTIONS_A_SECOND);

	if (over_s > (unsigned)p->cf.drain_s)
		over_s = (unsigned)p->cf.drain_s;
	log_info("drain n=%zu over_s=%u", p->conns.n, over_s);
	conns_drain(&p->conns, over_s);
}

void
push_reset_count(struct push *p, int64_t cursor)
{
	p->resets[cursor < 0              ? RESET_BAD
		  : cursor > p->hub.head  ? RESET_FUTURE
		  : cursor < p->hub.floor ? RESET_OLD
					  : RESET_UNKNOWN]++;
}

struct json_object *
push_reset(const struct push *p)
{
	struct json_object *o = json_object_new_object();
	char text[24];

	json_put_str(o, "epoch", p->hub.epoch);
	snprintf(text, sizeof(text), "%lld", (long long)p->hub.floor);
	json_put_str(o, "oldest", text);
	snprintf(text, sizeof(text), "%lld", (long long)p->hub.head);
	json_put_str(o, "latest", text);
	return o;
}
