/*
 * api.fcgi: the REST interface.  The table says who may call what and how
 * much they may send; the handlers' comments are the manual, docs/openapi.yaml
 * the same for machines.  Polling has a program of its own, poll.c.
 */

#include "h_ask.h"
#include "h_auth.h"
#include "h_bot.h"
#include "h_channel.h"
#include "h_chat.h"
#include "h_conversation.h"
#include "h_customer.h"
#include "h_health.h"
#include "h_hook.h"
#include "h_internal.h"
#include "h_message.h"
#include "h_stream.h"
#include "h_tag.h"
#include "h_user.h"
#include "h_widget.h"
#include "serve.h"

#define JSON_MAX (16u << 20) /* bytes; json_bytes_max is the nearer wall */

/* clang-format off */
static const struct route routes[] = {
	/* method  path				who	      body  handler */
	{ "POST",   "/api/auth/login",		WHO_ANY,      JSON_MAX, auth_post_login, 0 },
	{ "POST",   "/api/auth/logout",		WHO_ANY,      JSON_MAX, auth_post_logout, 0 },
	{ "POST",   "/api/auth/refresh",	WHO_AGENT,    JSON_MAX, auth_post_refresh, 0 },
	{ "GET",    "/api/me",			WHO_AGENT,    0,        me_get, 0 },
	{ "PATCH",  "/api/me",			WHO_AGENT,    JSON_MAX, me_patch, 0 },

	{ "POST",   "/api/widget/session",	WHO_ANY,      JSON_MAX, widget_post_session, 0 },
	{ "GET",    "/api/widget/messages",	WHO_CUST,     0,        widget_get_messages, 0 },
	{ "POST",   "/api/widget/messages",	WHO_CUST,     JSON_MAX, widget_post_message, 0 },

	{ "GET",    "/api/conversations",	WHO_MEMBER,   0,        conversation_list, 0 },
	{ "POST",   "/api/conversations",	WHO_AGENT,    JSON_MAX, conversation_post, 0 },
	{ "GET",    "/api/conversations/:id",	WHO_MEMBER,   0,        conversation_get, 0 },
	{ "PATCH",  "/api/conversations/:id",	WHO_AGENT,    JSON_MAX, conversation_patch, 0 },
	{ "POST",   "/api/conversations/:id/participants",
						WHO_AGENT,    JSON_MAX, participant_post, 0 },
	{ "DELETE", "/api/conversations/:id/participants/:user",
						WHO_AGENT,    0,        participant_delete, 0 },
	{ "GET",    "/api/conversations/:id/messages",
						WHO_MEMBER,   0,        message_list, 0 },
	{ "POST",   "/api/conversations/:id/messages",
						WHO_MEMBER,   JSON_MAX, message_post, 0 },
	{ "POST",   "/api/conversations/:id/read",
						WHO_MEMBER,   JSON_MAX, message_post_read, 0 },
	{ "POST",   "/api/conversations/:id/typing",
						WHO_MEMBER,   JSON_MAX, message_post_typing, 0 },
	{ "PATCH",  "/api/messages/:id",	WHO_MEMBER,   JSON_MAX, message_patch, 0 },
	{ "DELETE", "/api/messages/:id",	WHO_MEMBER,   0,        message_delete, 0 },
	{ "POST",   "/api/messages/:id/resend",	WHO_AGENT,    JSON_MAX, message_post_resend, 0 },
	{ "POST",   "/api/messages/:id/read",	WHO_MEMBER,   JSON_MAX, message_post_read_to, 0 },
	{ "GET",    "/api/unread",		WHO_MEMBER,   0,        unread_get, 0 },

	{ "GET",    "/api/customers",		WHO_AGENT,    0,        customer_list, 0 },
	{ "POST",   "/api/customers",		WHO_AGENT,    JSON_MAX, customer_post, 0 },
	{ "GET",    "/api/customers/:id",	WHO_AGENT,    0,        customer_get, 0 },
	{ "PATCH",  "/api/customers/:id",	WHO_AGENT,    JSON_MAX, customer_patch, 0 },
	{ "DELETE", "/api/customers/:id",	WHO_AGENT,    0,        customer_delete, 0 },
	{ "GET",    "/api/customers/:id/conversations",
						WHO_AGENT,    0,        customer_conversations, 0 },

	{ "GET",    "/api/users",		WHO_AGENT,    0,        user_list, 0 },
	{ "POST",   "/api/users/:id/messages",	WHO_AGENT,    JSON_MAX, message_post_user, 0 },
	{ "GET",    "/api/bots",		WHO_ADMIN,    0,        bot_list, 0 },
	{ "POST",   "/api/bots",		WHO_ADMIN,    JSON_MAX, bot_post, 0 },
	{ "GET",    "/api/bots/:id",		WHO_ADMIN,    0,        bot_get, 0 },
	{ "PATCH",  "/api/bots/:id",		WHO_ADMIN,    JSON_MAX, bot_patch, 0 },
	{ "DELETE", "/api/bots/:id",		WHO_ADMIN,    0,        bot_delete, 0 },
	{ "POST",   "/api/bots/:id/messages",	WHO_ANY,      JSON_MAX, bot_post_message, 0 },
	{ "POST",   "/api/bots/:id/test",	WHO_ADMIN,    JSON_MAX, bot_post_test, 0 },

	{ "GET",    "/api/presence",		WHO_AGENT,    0,        presence_get, 0 },
	{ "GET",    "/api/tags",		WHO_AGENT,    0,        tag_list, 0 },
	{ "POST",   "/api/tags",		WHO_AGENT,    JSON_MAX, tag_post, 0 },
	{ "DELETE", "/api/tags/:id",		WHO_AGENT,    0,        tag_delete, 0 },

	{ "GET",    "/api/webhooks",		WHO_ADMIN,    0,        hook_list, 0 },
	{ "POST",   "/api/webhooks",		WHO_ADMIN,    JSON_MAX, hook_post, 0 },
	{ "GET",    "/api/webhooks/:id",	WHO_ADMIN,    0,        hook_get, 0 },
	{ "PATCH",  "/api/webhooks/:id",	WHO_ADMIN,    JSON_MAX, hook_patch, 0 },
	{ "DELETE", "/api/webhooks/:id",	WHO_ADMIN,    0,        hook_delete, 0 },
	{ "POST",   "/api/webhooks/:id/secret",	WHO_ADMIN,    JSON_MAX, hook_post_secret, 0 },
	{ "POST",   "/api/webhooks/:id/test",	WHO_ADMIN,    JSON_MAX, hook_post_test, 0 },
	{ "GET",    "/api/webhooks/:id/attempts",
						WHO_ADMIN,    0,        hook_attempts, 0 },
	{ "POST",   "/api/webhooks/:id/attempts/:attempt/replay",
						WHO_ADMIN,    JSON_MAX, hook_post_replay, 0 },

	{ "GET",    "/api/channels",		WHO_ADMIN,    0,        channel_list, 0 },
	{ "POST",   "/api/channels",		WHO_ADMIN,    JSON_MAX, channel_create, 0 },
	{ "GET",    "/api/channels/:id",	WHO_ADMIN,    0,        channel_get, 0 },
	{ "PATCH",  "/api/channels/:id",	WHO_ADMIN,    JSON_MAX, channel_patch, 0 },
	{ "DELETE", "/api/channels/:id",	WHO_ADMIN,    0,        channel_delete, 0 },
	{ "POST",   "/api/channels/:id/test",	WHO_ADMIN,    JSON_MAX, channel_post_test, 0 },

	{ "POST",   "/chat",			WHO_MEMBER,   JSON_MAX, ask_post, 0 },
	{ "POST",   "/chat/send",		WHO_AGENT,    JSON_MAX, chat_post_send, 0 },
	{ "POST",   "/chat/notify",		WHO_AGENT,    JSON_MAX, chat_post_notify, 0 },
	{ "POST",   "/chat/broadcast",		WHO_ADMIN,    JSON_MAX, chat_post_broadcast, 0 },

	{ "POST",   "/internal/identify",	WHO_INTERNAL, JSON_MAX, internal_post_identify, 0 },
	{ "POST",   "/internal/join",		WHO_INTERNAL, JSON_MAX, internal_post_join, 0 },
	{ "POST",   "/internal/presence",	WHO_INTERNAL, JSON_MAX, internal_post_presence, 0 },
	{ "GET",    "/internal/events",		WHO_INTERNAL, 0,        internal_get_events, 0 },
	{ "GET",    "/internal/replay",		WHO_INTERNAL, 0,        internal_get_replay, 0 },

	{ "GET",    "/api/events/stream",	WHO_ANY,      0,        stream_get, ROUTE_NODB },
	{ "GET",    "/api/api/events/stream",	WHO_ANY,      0,        stream_get, ROUTE_NODB },
	{ "GET",    "/chat/sse",		WHO_ANY,      0,        stream_get, ROUTE_NODB },
	{ "GET",    "/notifications/sse",	WHO_ANY,      0,        stream_get, ROUTE_NODB },

	{ "GET",    "/health",			WHO_ANY,      0,        health_get, ROUTE_NODB },
	{ "GET",    "/metrics",			WHO_ANY,      0,        metrics_get, ROUTE_NODB },
};
/* clang-format on */

int
main(int argc, char **argv)
{
	return serve(argc, argv, routes, sizeof(routes) / sizeof(routes[0]));
}
