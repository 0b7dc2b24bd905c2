/*
 * pages.fcgi: the pages, complete without a script for visitors and agents.
 * Forms post to addresses of their own and are answered by a redirect.
 */
#include "p_bots.h"
#include "p_channels.h"
#include "p_chat.h"
#include "p_customer.h"
#include "p_hook.h"
#include "p_inbox.h"
#include "p_login.h"
#include "p_me.h"
#include "p_settings.h"
#include "p_view.h"
#include "serve.h"

#define FORM_MAX (1u << 24) /* the setting form_bytes_max is the lower wall */
#define PAGE (ROUTE_PAGE | ROUTE_HERE)
#define FORM (ROUTE_PAGE | ROUTE_FORM)
#define VISITOR (WHO_ANY | WHO_CUST) /* the customer's cookie counts first */

/* clang-format off */
static const struct route routes[] = {
	/* method  path				who	   body      handler */
	{ "GET",   "/",				WHO_ANY,   0,        home_page, PAGE },
	{ "GET",   "/login",			WHO_ANY,   0,        login_page, PAGE },
	{ "POST",  "/login",			WHO_ANY,   FORM_MAX, login_post, FORM },
	{ "POST",  "/logout",			WHO_ANY,   FORM_MAX, logout_post, FORM },

	{ "GET",   "/inbox",			WHO_AGENT, 0,        inbox_page, PAGE },
	{ "GET",   "/inbox/:id",		WHO_AGENT, 0,        inbox_conversation, PAGE },
	{ "POST",  "/inbox/:id/messages",	WHO_AGENT, FORM_MAX, inbox_post_message, FORM },
	{ "POST",  "/inbox/:id/update",		WHO_AGENT, FORM_MAX, inbox_post_update, FORM },

	{ "GET",   "/customers",		WHO_AGENT, 0,        people_page, PAGE },
	{ "POST",  "/customers",		WHO_AGENT, FORM_MAX, people_post, FORM },
	{ "GET",   "/customers/:id",		WHO_AGENT, 0,        person_page, PAGE },
	{ "POST",  "/customers/:id",		WHO_AGENT, FORM_MAX, person_post, FORM },

	{ "GET",   "/me",			WHO_AGENT, 0,        account_page, PAGE },
	{ "POST",  "/me",			WHO_AGENT, FORM_MAX, account_post, FORM },
	{ "POST",  "/me/status",		WHO_AGENT, FORM_MAX, account_post_status, FORM },
	{ "POST",  "/me/password",		WHO_AGENT, FORM_MAX, account_post_password, FORM },

	{ "GET",   "/settings",			WHO_ADMIN, 0,        settings_page, PAGE },
	{ "GET",   "/settings/push",		WHO_ADMIN, 0,        settings_push_page, PAGE },
	{ "GET",   "/settings/webhooks",	WHO_ADMIN, 0,        hooks_page, PAGE },
	{ "POST",  "/settings/webhooks",	WHO_ADMIN, FORM_MAX, hooks_post, FORM },
	{ "GET",   "/settings/webhooks/:id",	WHO_ADMIN, 0,        hook_page, PAGE },
	{ "POST",  "/settings/webhooks/:id",	WHO_ADMIN, FORM_MAX, hook_post_change, FORM },
	{ "POST",  "/settings/webhooks/:id/state",
						WHO_ADMIN, FORM_MAX, hook_post_state, FORM },
	{ "POST",  "/settings/webhooks/:id/test",
						WHO_ADMIN, FORM_MAX, hook_post_ping, FORM },
	{ "POST",  "/settings/webhooks/:id/replay",
						WHO_ADMIN, FORM_MAX, hook_post_again, FORM },
	{ "POST",  "/settings/webhooks/:id/secret",
						WHO_ADMIN, FORM_MAX, hook_post_key, FORM },
	{ "POST",  "/settings/webhooks/:id/delete",
						WHO_ADMIN, FORM_MAX, hook_post_remove, FORM },
	{ "GET",   "/settings/channels",	WHO_ADMIN, 0,        channels_page, PAGE },
	{ "GET",   "/settings/channels/new/:platform", WHO_ADMIN, 0, channel_new_page, PAGE },
	{ "POST",  "/settings/channels/new/:platform", WHO_ADMIN, FORM_MAX, channel_new_post, FORM },
	{ "GET",   "/settings/channels/:id",	WHO_ADMIN, 0,        channel_page, PAGE },
	{ "POST",  "/settings/channels/:id",	WHO_ADMIN, FORM_MAX, channel_post_change, FORM },
	{ "POST",  "/settings/channels/:id/state", WHO_ADMIN, FORM_MAX, channel_post_state, FORM },
	{ "POST",  "/settings/channels/:id/test", WHO_ADMIN, FORM_MAX, channel_post_probe, FORM },
	{ "GET",   "/settings/channels/:id/delete", WHO_ADMIN, 0,    channel_delete_page, PAGE },
	{ "POST",  "/settings/channels/:id/delete", WHO_ADMIN, FORM_MAX, channel_post_delete, FORM },
	{ "GET",   "/settings/bots",		WHO_ADMIN, 0,        bots_page, PAGE },
	{ "GET",   "/settings/bots/new/:kind",	WHO_ADMIN, 0,        bot_new_page, PAGE },
	{ "POST",  "/settings/bots/new/:kind",	WHO_ADMIN, FORM_MAX, bot_new_post, FORM },
	{ "GET",   "/settings/bots/:id",	WHO_ADMIN, 0,        bot_page, PAGE },
	{ "POST",  "/settings/bots/:id",	WHO_ADMIN, FORM_MAX, bot_post_change, FORM },
	{ "POST",  "/settings/bots/:id/state",	WHO_ADMIN, FORM_MAX, bot_post_state, FORM },
	{ "POST",  "/settings/bots/:id/test",	WHO_ADMIN, FORM_MAX, bot_post_try, FORM },
	{ "POST",  "/settings/bots/:id/key",	WHO_ADMIN, FORM_MAX, bot_post_renew, FORM },
	{ "GET",   "/settings/bots/:id/delete",	WHO_ADMIN, 0,        bot_delete_page, PAGE },
	{ "POST",  "/settings/bots/:id/delete",	WHO_ADMIN, FORM_MAX, bot_post_delete, FORM },

	{ "GET",   "/chat",			VISITOR,   0,        visit_page, PAGE },
	{ "POST",  "/chat/new",			VISITOR,   FORM_MAX, visit_post_start, FORM },
	{ "GET",   "/chat/:resume",		VISITOR,   0,        visit_conversation, PAGE },
	{ "POST",  "/chat/:resume/messages",	VISITOR,   FORM_MAX, visit_post_message, FORM },
	{ "POST",  "/chat/:resume/end",		VISITOR,   FORM_MAX, visit_post_end, FORM },
};
/* clang-format on */

int
main(int argc, char **argv)
{
	rsp_page_error = view_page_error;
	return serve(argc, argv, routes, sizeof(routes) / sizeof(routes[0]));
}
