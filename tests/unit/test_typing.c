/*
 * The end of typing: once, after its time or with its message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "typing.h"

static char out[1024];

static void
publish(void *arg, struct event *e)
{
	(void)arg;
	strncat(out, strstr(e->data, "\"typing\":true") ? "T" : "f",
	    sizeof(out) - strlen(out) - 1);
	if (e->public != NULL)
		strncat(out, strstr(e->public, "\"typing\":true") ? "T" : "f",
		    sizeof(out) - strlen(out) - 1);
	assert_string_equal(e->rooms[0], "inbox");
	assert_string_equal(e->except, "user:5");
	event_free(e);
}

static void
signal_typing(struct typing *t, const char *user, int typing, int public)
{
	char line[512];
	struct event *e;

	snprintf(line, sizeof(line),
	    "{\"id\":0,\"type\":\"typing_indicator\",\"rooms\":[\"inbox\"],"
	    "\"except\":\"user:5\",\"data\":{\"conversation_id\":\"4\","
	    "\"user_id\":\"%s\",\"kind\":\"agent\",\"typing\":%s}%s}",
	    user, typing ? "true" : "false", public ? ",\"public\":true" : "");
	assert_int_equal(event_parse(line, strlen(line), &e), 1);
	typing_signal(t, e);
}

static void
message(struct typing *t, const char *user)
{
	char line[512];
	struct event *e;

	snprintf(line, sizeof(line),
	    "{\"id\":9,\"prev\":8,\"type\":\"new_message\",\"rooms\":"
	    "[\"inbox\"],\"data\":{\"conversation_id\":\"4\",\"sender\":"
	    "{\"kind\":\"agent\",\"id\":\"%s\"}}}",
	    user);
	assert_int_equal(event_parse(line, strlen(line), &e), 1);
	typing_message(t, e);
	event_free(e);
}

static void
test_typing(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct typing t;

	(void)state;
	typing_init(&t, loop, 50, publish, NULL);

	signal_typing(&t, "5", 0, 0); /* an end without a beginning */
	assert_string_equal(out, "");
	signal_typing(&t, "5", 1, 0);
	signal_typing(&t, "5", 0, 0);
	signal_typing(&t, "5", 0, 0);
	assert_string_equal(out, "Tf");

	out[0] = '\0'; /* renewed, then left alone: one end */
	signal_typing(&t, "5", 1, 1);
	signal_typing(&t, "5", 1, 1);
	ev_run(loop, 0);
	assert_string_equal(out, "TTTTff");

	out[0] = '\0'; /* its message ends it, another's does not */
	signal_typing(&t, "5", 1, 0);
	message(&t, "6");
	assert_string_equal(out, "T");
	message(&t, "5");
	message(&t, "5");
	assert_string_equal(out, "Tf");
	ev_run(loop, 0);
	assert_string_equal(out, "Tf");

	typing_fini(&t);
	ev_loop_destroy(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_typing) };

	if (sodium_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
