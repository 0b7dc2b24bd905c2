/*
 * Thousands of event streams, and what they cost the server.
 *
 *	swarm fan KIND STREAMS BURST SECONDS OURS FLOOR HEAD TOKENS
 *	swarm turn KIND STREAMS SECONDS OURS FLOOR HEAD TOKENS
 *	swarm rate KIND STREAMS PER_S SECONDS OURS FLOOR HEAD TOKENS
 *	swarm live KIND STREAMS PER_S SECONDS ADDR WEB CONVERSATION TOKENS
 *	swarm storm KIND STREAMS ADDR CURSOR EVENTS FLOOR TOKENS
 *	swarm over KIND STREAMS PER_S SECONDS OURS HEAD TOKENS
 *	swarm hold KIND STREAMS ADDR TOKENS
 *
 * KIND is sse, ws or sio.  OURS and FLOOR are ADDR:PORT,HINT_SOCKET,PID of
 * pushd and of the floor: both are held at once and measured in turns.  HEAD
 * is the newest event id that pushd knows; TOKENS a file of lines `TOKEN
 * ROOM`.
 *
 * fan   one event to all, BURST at a time, each time when all have the ones
 *       before
 * turn  one event to each, in turn, all of them at once
 * rate  PER_S events a second to all, whatever the readers do
 * live  as rate, but each event is a message posted at WEB (ADDR:PORT) to
 *       CONVERSATION with the first token; says "ready" when it begins
 * storm open the streams, say "ready", wait until the server has cut them all,
 *       and come back with CURSOR, behind which there are so many EVENTS; then
 *       what only to open as many costs the floor
 * over  as rate, but without a floor, and each event to one of the rooms of
 *       TOKENS, in turn; says "ready" when it begins, and takes no end of a
 *       stream for given: whoever takes over from pushd meanwhile is to go on
 * hold  open the streams, say so, and hold them until stdin ends
 *
 * Every stream must get every event once, in order.  Prints a line of JSON,
 * with a figure for each turn.
 */
#define _GNU_SOURCE /* strcasestr, sched_setaffinity */

#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "tests/bench/lib/streams.h"

enum {
	TURNS = 5,
	TURNS_SHORT = 25,
	WAIT_MS = 20000,
	EVENT_BYTES = 256,
	QUIET_MS = 400
};

/* One of the two that are compared. */
struct side {
	struct streams x;
	struct source src;
	pid_t pid;
	const char *name;
	int floor;
	uint32_t number; /* of the newest event sent */
	uint64_t due;    /* events that its streams are to see in all */
	double figure[TURNS_SHORT];
	double p50[TURNS], p99[TURNS], worst[TURNS];
};

static struct side sides[2];
static char **tokens, **rooms;
static size_t ntokens;

/* What pushd makes of an event, which the floor is to send as well. */
static char frame[FRAME_MAX];
static size_t frame_len;

/* Read whatever comes for so long. */
static void
streams_quiet(int ms)
{
	double ends = now_s() + ms / 1e3;

	while (now_s() < ends)
		streams_read(20);
}

static void
check(const struct side *s)
{
	if (s->x.wrong == 0 && s->x.ended == 0)
		return;
	fprintf(stderr, "swarm: %s: %llu events wrong, %llu streams ended\n",
	    s->name, (unsigned long long)s->x.wrong,
	    (unsigned long long)s->x.ended);
	exit(1);
}

static void
side_open(struct side *s, const char *name, enum kind kind, size_t n,
    const char *where, int64_t head)
{
	static char text[2][256];
	char *hints, *pid;
	int i = s == &sides[1];

	snprintf(text[i], sizeof(text[i]), "%s", where);
	hints = strchr(text[i], ',');
	pid = hints ? strchr(hints + 1, ',') : NULL;
	if (pid == NULL) {
		fprintf(stderr, "swarm: %s is no ADDR,HINTS,PID\n", where);
		exit(2);
	}
	*hints++ = *pid++ = '\0';
	s->name = name;
	s->floor = i;
	s->pid = (pid_t)strtol(pid, NULL, 10);
	streams_init(&s->x, kind, text[i], n);
	s->x.tokens = (const char *const *)tokens;
	s->x.ntokens = ntokens;
	source_open(&s->src, hints, head);
	if (streams_open(&s->x, WAIT_MS) == -1) {
		fprintf(stderr, "swarm: %s: %zu of %zu streams open\n", name,
		    s->x.nready, n);
		exit(1);
	}
}

/*
 * Both servers on one core, we on the others: who is moved to which core, and
 * shares it with us for how long, is chance otherwise.
 */
static void
apart(void)
{
	cpu_set_t may, theirs, ours;
	size_t i = 0;

	if (sched_getaffinity(0, sizeof(may), &may) == -1 ||
	    CPU_COUNT(&may) < 2)
		return;
	while (!CPU_ISSET(i, &may))
		i++;
	CPU_ZERO(&theirs);
	CPU_SET(i, &theirs);
	ours = may;
	CPU_CLR(i, &ours);
	sched_setaffinity(sides[0].pid, sizeof(theirs), &theirs);
	sched_setaffinity(sides[1].pid, sizeof(theirs), &theirs);
	sched_setaffinity(0, sizeof(ours), &ours);
}

static void
both_open(enum kind kind, size_t n, char **argv)
{
	ntokens = tokens_read(argv[3], &tokens, &rooms);
	side_open(
	    &sides[0], "pushd", kind, n, argv[0], strtoll(argv[2], NULL, 10));
	side_open(&sides[1], "floor", kind, n, argv[1], 0);
	streams_quiet(QUIET_MS);
}

/* To one stream, or to all. */
static void
send_event(struct side *s, uint32_t number, uint32_t to)
{
	if (s->floor)
		source_frame(&s->src, number, to, frame, frame_len);
	else
		source_hint(&s->src, number,
		    to == FLOOR_ALL ? "inbox" : rooms[to], EVENT_BYTES);
}

static void
wait_all(struct side *s)
{
	if (streams_until(&s->x, s->due, WAIT_MS) == -1) {
		check(s);
		fprintf(stderr, "swarm: %s: %llu of %llu events came\n",
		    s->name, (unsigned long long)s->x.seen,
		    (unsigned long long)s->due);
		exit(1);
	}
	check(s);
}

/* ${burst} events to all, until all have them. */
static void
round_trip(struct side *s, int burst)
{
	while (burst-- > 0) {
		send_event(s, ++s->number, FLOOR_ALL);
		s->due += s->x.n;
	}
	wait_all(s);
}

/* Learn from pushd what its frame looks like, so that the floor's is alike. */
static void
learn(int in_turn)
{
	struct side *s = &sides[0];
	if (in_turn) {
		send_event(s, ++s->number, 0);
		s->due++;
		streams_want(&s->x, 1, 0);
		wait_all(s);
	} else {
		streams_want(&s->x, 1, 0);
		streams_want(&sides[1].x, 1, 0);
		round_trip(s, 1);
	}
	streams_quiet(100);
	memcpy(frame, s->x.frame, s->x.frame_len);
	frame_len = s->x.frame_len;
	if (!in_turn)
		round_trip(&sides[1], 1);
}

static void
put_list(const char *name, const double *v, int n)
{
	int i;

	printf(",\"%s\":[", name);
	for (i = 0; i < n; i++)
		printf("%s%.3f", i ? "," : "", v[i]);
	putchar(']');
}

static void
report(int turns, int rate)
{
	printf("{\"bytes\":%zu,\"deliveries\":%llu", frame_len,
	    (unsigned long long)sides[0].x.seen);
	put_list("ours", sides[0].figure, turns);
	put_list("floor", sides[1].figure, turns);
	if (rate) {
		put_list("ours_p50", sides[0].p50, turns);
		put_list("floor_p50", sides[1].p50, turns);
		put_list("ours_p99", sides[0].p99, turns);
		put_list("floor_p99", sides[1].p99, turns);
		put_list("ours_max", sides[0].worst, turns);
		put_list("floor_max", sides[1].worst, turns);
	}
	puts("}");
}

/*
 * Each side for so many seconds, in turns, after one that does not count: CPU
 * for each delivery.
 */
static void
in_turns(int turns, double seconds, void (*round)(struct side *, int), int arg)
{
	struct side *s;
	double ends, cpu;
	uint64_t had;
	int i, k;

	seconds /= 2 * (turns + 1);
	for (i = -1; i < turns; i++) {
		for (k = 0; k < 2; k++) {
			s = &sides[(i + 1 + k) % 2];
			had = s->x.seen;
			cpu = cpu_us(s->pid);
			ends = now_s() + seconds;
			do
				round(s, arg);
			while (now_s() < ends);
			if (i >= 0)
				s->figure[i] = (cpu_us(s->pid) - cpu) /
					       (double)(s->x.seen - had);
		}
	}
}

/* --- one event to all ----------------------------------------------------- */

static int
fan(char **argv)
{
	enum kind kind = kind_of(argv[0]);
	size_t n = strtoul(argv[1], NULL, 10);
	int burst = (int)strtol(argv[2], NULL, 10);
	int turns = burst == 1 ? TURNS_SHORT : TURNS;

	both_open(kind, n, argv + 4);
	apart();
	learn(0);
	in_turns(turns, strtod(argv[3], NULL), round_trip, burst);
	report(turns, 0);
	return 0;
}

/* --- one event to each ---------------------------------------------------- */

static void
each_once(struct side *s, int n)
{
	int i;

	streams_want(&s->x, s->number + 1, 1);
	for (i = 0; i < n; i++) {
		send_event(s, ++s->number, (uint32_t)i);
		if (i % 64 == 0)
			streams_read(0);
	}
	s->due += (uint64_t)n;
	wait_all(s);
}

static int
turn(char **argv)
{
	enum kind kind = kind_of(argv[0]);
	size_t n = strtoul(argv[1], NULL, 10);

	both_open(kind, n, argv + 3);
	if (n > ntokens) {
		fputs("swarm: a token for each stream, please\n", stderr);
		return 2;
	}
	apart();
	learn(1);
	in_turns(TURNS_SHORT, strtod(argv[2], NULL), each_once, (int)n);
	report(TURNS_SHORT, 0);
	return 0;
}

/* --- so many a second ----------------------------------------------------- */

static double rate_began, rate_every;
static uint32_t rate_first;

static double
rate_due(uint32_t number)
{
	return rate_began + rate_every * (double)(number - rate_first);
}

static void
rate_wait(uint32_t number)
{
	double at = rate_due(number);
	struct timespec ts = { .tv_sec = (time_t)at,
		.tv_nsec = (long)((at - floor(at)) * 1e9) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* In a process of its own, so that reading does not delay it. */
static void
rate_send(struct side *s, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		rate_wait(rate_first + i);
		send_event(s, rate_first + i, FLOOR_ALL);
	}
	_exit(0);
}

/* The time in ms below which ${share} of the deliveries came. */
static double
late_ms(const uint32_t *late, double share)
{
	uint64_t n = 0, seen = 0;
	size_t i;

	for (i = 0; i <= LATE_US; i++)
		n += late[i];
	for (i = 0; i <= LATE_US; i++) {
		seen += late[i];
		if ((double)seen >= (double)n * share)
			break;
	}
	return (double)i / 1e3;
}

static void
rate_turn(struct side *s, double per_s, double seconds, int i)
{
	static uint32_t late[LATE_US + 1];
	uint32_t count = (uint32_t)(per_s * seconds);
	uint64_t had = s->x.seen;
	double cpu;
	pid_t child;

	memset(late, 0, sizeof(late));
	s->x.late = late;
	s->x.due = rate_due;
	rate_first = s->number + 1;
	rate_every = 1 / per_s;
	rate_began = now_s() + 0.05;
	cpu = cpu_us(s->pid);
	if ((child = fork()) == 0)
		rate_send(s, count);
	s->number += count;
	s->due += (uint64_t)count * s->x.n;
	wait_all(s);
	waitpid(child, NULL, 0);
	s->figure[i] = (cpu_us(s->pid) - cpu) / (double)(s->x.seen - had);
	s->x.due = NULL;
	s->p50[i] = late_ms(late, 0.5);
	s->p99[i] = late_ms(late, 0.99);
	s->worst[i] = late_ms(late, 1);
}

static int
rate(char **argv)
{
	enum kind kind = kind_of(argv[0]);
	size_t n = strtoul(argv[1], NULL, 10);
	double per_s = strtod(argv[2], NULL), seconds = strtod(argv[3], NULL);
	int i, k;

	both_open(kind, n, argv + 4);
	learn(0);
	for (i = 0; i < TURNS; i++)
		for (k = 0; k < 2; k++)
			rate_turn(&sides[(i + k) % 2], per_s,
			    seconds / (2 * TURNS), i);
	report(TURNS, 1);
	return 0;
}

/* --- from a message posted to every stream -------------------------------- */

/*
 * One request; exits unless it is answered with 201.  The web server may end
 * the connection in ${fd} after an answer, or before: it is made again.
 */
static void
post(int *fd, const char *web, const char *conversation, uint32_t number)
{
	struct pollfd pf = { .events = POLLIN };
	char body[256], text[8192], *end;
	size_t len = 0, whole = 0;
	int m, size, again = 0;
	ssize_t n;

	m = snprintf(body, sizeof(body),
	    "{\"content\":\"" MARK "%010u of the benchmark\","
	    "\"client_id\":\"live-%ld-%u\"}",
	    number, (long)getpid(), number);
	do {
		if (*fd == -1 && (*fd = dial(web, 0)) == -1)
			die(web);
		size = snprintf(text, sizeof(text),
		    "POST /api/conversations/%s/messages HTTP/1.1\r\n"
		    "Host: %s\r\nAuthorization: Bearer %s\r\n"
		    "Content-Type: application/json\r\n"
		    "Content-Length: %d\r\n\r\n%s",
		    conversation, web, tokens[0], m, body);
		pf.fd = *fd;
		if (put_all(*fd, text, (size_t)size) == 0 &&
		    poll(&pf, 1, 10000) == 1 &&
		    (n = recv(*fd, text, sizeof(text) - 1, 0)) > 0) {
			len = (size_t)n;
			break;
		}
		close(*fd);
		*fd = -1;
	} while (again++ == 0);
	while (len > 0) {
		text[len] = '\0';
		if ((end = strstr(text, "\r\n\r\n")) != NULL && whole == 0) {
			whole = (size_t)(end + 4 - text);
			if ((end = strcasestr(text, "content-length:")) != NULL)
				whole += strtoul(end + 15, NULL, 10);
		}
		if (whole > 0 && len >= whole)
			break;
		if (poll(&pf, 1, 10000) != 1 ||
		    (n = recv(*fd, text + len, sizeof(text) - 1 - len, 0)) <= 0)
			die("post");
		len += (size_t)n;
	}
	if (len == 0 || strncmp(text + 9, "201", 3) != 0) {
		fprintf(stderr, "swarm: post: %.*s\n", (int)len, text);
		exit(1);
	}
	if (strcasestr(text, "connection: close") != NULL) {
		close(*fd);
		*fd = -1;
	}
}

/* In a process of its own: so many a second. */
static void
live_post(const char *web, const char *conversation, uint32_t count)
{
	uint32_t i;
	int fd = -1;

	for (i = 0; i < count; i++) {
		rate_wait(rate_first + i);
		post(&fd, web, conversation, rate_first + i);
	}
	_exit(0);
}

static int
live(char **argv)
{
	static uint32_t late[LATE_US + 1];
	size_t n = strtoul(argv[1], NULL, 10);
	double per_s = strtod(argv[2], NULL);
	uint32_t count = (uint32_t)(per_s * strtod(argv[3], NULL));
	struct streams x;
	int status, whole;
	pid_t child;

	streams_init(&x, kind_of(argv[0]), argv[4], n);
	ntokens = tokens_read(argv[7], &tokens, &rooms);
	x.tokens = (const char *const *)tokens;
	x.ntokens = ntokens;
	if (streams_open(&x, WAIT_MS) == -1) {
		fprintf(
		    stderr, "swarm: %zu of %zu streams open\n", x.nready, n);
		return 1;
	}
	streams_quiet(QUIET_MS);
	x.late = late;
	x.due = rate_due;
	rate_first = 1;
	rate_every = 1 / per_s;
	rate_began = now_s() + 0.05;
	streams_want(&x, 1, 0);
	puts("ready");
	fflush(stdout);
	if ((child = fork()) == 0)
		live_post(argv[5], argv[6], count);
	whole = streams_until(&x, (uint64_t)count * n, WAIT_MS) == 0;
	waitpid(child, &status, 0);
	printf("{\"sent\":%u,\"wanted\":%llu,\"seen\":%llu,\"wrong\":%llu,"
	       "\"ended\":%llu,\"whole\":%s,\"p50\":%.3f,\"p99\":%.3f,"
	       "\"max\":%.3f}\n",
	    count, (unsigned long long)((uint64_t)count * n),
	    (unsigned long long)x.seen, (unsigned long long)x.wrong,
	    (unsigned long long)x.ended, whole ? "true" : "false",
	    late_ms(late, 0.5), late_ms(late, 0.99), late_ms(late, 1));
	return status == 0 ? 0 : 1;
}

/* --- all cut, all back ---------------------------------------------------- */

static int
storm(char **argv)
{
	size_t n = strtoul(argv[1], NULL, 10);
	uint64_t events = strtoull(argv[4], NULL, 10);
	struct streams x, bare;
	double began, open, whole, least;
	int fd;

	streams_init(&x, kind_of(argv[0]), argv[2], n);
	ntokens = tokens_read(argv[6], &tokens, &rooms);
	x.tokens = (const char *const *)tokens;
	x.ntokens = ntokens;
	if (streams_open(&x, 3 * WAIT_MS) == -1) {
		fprintf(
		    stderr, "swarm: %zu of %zu streams open\n", x.nready, n);
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (x.nopen > 0)
		streams_read(100);
	x.ended = x.seen = x.wrong = 0;
	x.cursor = argv[3];
	x.opening_max = 1000;
	streams_want(&x, 1, 0);
	while ((fd = dial(x.addr, 0)) == -1)
		usleep(1000);
	began = now_s();
	close(fd);
	open = streams_open(&x, WAIT_MS) == 0 ? now_s() - began : -1;
	whole =
	    streams_until(&x, events * n, WAIT_MS) == 0 ? now_s() - began : -1;
	streams_close(&x);
	streams_init(&bare, x.kind, argv[5], n);
	bare.opening_max = 1000;
	began = now_s();
	least = streams_open(&bare, WAIT_MS) == 0 ? now_s() - began : -1;
	streams_close(&bare);
	printf("{\"open_s\":%.3f,\"whole_s\":%.3f,\"floor_s\":%.3f,"
	       "\"seen\":%llu,\"wrong\":%llu,\"ended\":%llu}\n",
	    open, whole, least, (unsigned long long)x.seen,
	    (unsigned long long)x.wrong, (unsigned long long)x.ended);
	return 0;
}

/* --- while another takes over --------------------------------------------- */

/* In a process of its own: each event to the next room. */
static void
over_send(struct side *s, uint32_t count, uint32_t groups)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		rate_wait(rate_first + i);
		source_hint(
		    &s->src, rate_first + i, rooms[i % groups], EVENT_BYTES);
	}
	_exit(0);
}

static int
over(char **argv)
{
	static uint32_t late[LATE_US + 1];
	size_t n = strtoul(argv[1], NULL, 10), i;
	double per_s = strtod(argv[2], NULL);
	uint32_t count = (uint32_t)(per_s * strtod(argv[3], NULL)), groups;
	struct side *s = &sides[0];
	int status, whole;
	pid_t child;

	ntokens = tokens_read(argv[6], &tokens, &rooms);
	/* Rooms come round again and again, in the order of the file. */
	for (groups = 1;
	     groups < ntokens && strcmp(rooms[groups], rooms[0]) != 0; groups++)
		;
	count -= count % groups;
	side_open(s, "pushd", kind_of(argv[0]), n, argv[4],
	    strtoll(argv[5], NULL, 10));
	streams_quiet(QUIET_MS);
	s->x.step = groups;
	for (i = 0; i < n; i++)
		s->x.s[i].want = 1 + (uint32_t)(i % ntokens % groups);
	s->x.late = late;
	s->x.due = rate_due;
	rate_first = 1;
	rate_every = 1 / per_s;
	rate_began = now_s() + 0.05;
	puts("ready");
	fflush(stdout);
	if ((child = fork()) == 0)
		over_send(s, count, groups);
	s->due = (uint64_t)count / groups * n;
	whole = streams_until(&s->x, s->due, WAIT_MS) == 0;
	waitpid(child, &status, 0);
	streams_quiet(QUIET_MS);
	printf("{\"sent\":%u,\"wanted\":%llu,\"seen\":%llu,\"wrong\":%llu,"
	       "\"ended\":%llu,\"whole\":%s,\"p50\":%.3f,\"p99\":%.3f,"
	       "\"max\":%.3f}\n",
	    count, (unsigned long long)s->due, (unsigned long long)s->x.seen,
	    (unsigned long long)s->x.wrong, (unsigned long long)s->x.ended,
	    whole ? "true" : "false", late_ms(late, 0.5), late_ms(late, 0.99),
	    late_ms(late, 1));
	return status == 0 ? 0 : 1;
}

/* --- nothing at all ------------------------------------------------------- */

static int
hold(char **argv)
{
	struct pollfd pf = { .fd = 0, .events = POLLIN };
	struct streams x;
	char c;

	streams_init(&x, kind_of(argv[0]), argv[2], strtoul(argv[1], NULL, 10));
	ntokens = tokens_read(argv[3], &tokens, &rooms);
	x.tokens = (const char *const *)tokens;
	x.ntokens = ntokens;
	if (streams_open(&x, WAIT_MS) == -1) {
		fprintf(
		    stderr, "swarm: %zu of %zu streams open\n", x.nready, x.n);
		return 1;
	}
	puts("ready");
	fflush(stdout);
	while (poll(&pf, 1, 0) == 0 || read(0, &c, 1) > 0)
		streams_read(20);
	printf("{\"ended\":%llu,\"bytes\":%llu}\n", (unsigned long long)x.ended,
	    (unsigned long long)x.bytes);
	streams_close(&x);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int argc;
		int (*run)(char **);
	} rows[] = { { "fan", 10, fan }, { "turn", 9, turn },
		{ "rate", 10, rate }, { "live", 10, live },
		{ "storm", 9, storm }, { "over", 9, over },
		{ "hold", 6, hold } };
	size_t i;

	log_open("swarm", NULL, LOG_WARN);
	signal(SIGPIPE, SIG_IGN);
	descriptors();
	for (i = 0; argc > 1 && i < sizeof(rows) / sizeof(*rows); i++)
		if (strcmp(argv[1], rows[i].name) == 0 && argc == rows[i].argc)
			return rows[i].run(argv + 2);
	fputs("usage: swarm fan KIND STREAMS BURST SECONDS OURS FLOOR HEAD "
	      "TOKENS\n"
	      "       swarm turn KIND STREAMS SECONDS OURS FLOOR HEAD TOKENS\n"
	      "       swarm rate KIND STREAMS PER_S SECONDS OURS FLOOR HEAD "
	      "TOKENS\n"
	      "       swarm live KIND STREAMS PER_S SECONDS ADDR WEB "
	      "CONVERSATION TOKENS\n"
	      "       swarm storm KIND STREAMS ADDR CURSOR EVENTS FLOOR "
	      "TOKENS\n"
	      "       swarm over KIND STREAMS PER_S SECONDS OURS HEAD TOKENS\n"
	      "       swarm hold KIND STREAMS ADDR TOKENS\n",
	    stderr);
	return 2;
}
