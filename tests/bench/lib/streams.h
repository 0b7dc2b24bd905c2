#ifndef PARLEY_BENCH_STREAMS_H
#define PARLEY_BENCH_STREAMS_H

/*
 * Many event streams to one server, read by one thread without a library, so
 * that the client is not what is measured.  Each event carries a number, and
 * every stream is held to getting its numbers once and in order.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FLOOR_ALL UINT32_MAX /* of the floor's packets: every subscriber */

#define MARK "fan#" /* in front of an event's number, 10 digits */

enum kind { KIND_SSE, KIND_WS, KIND_SIO, KINDS };

enum { CARRY = 13, FRAME_MAX = 4096 };

struct stream {
	int fd; /* -1: not open */
	uint8_t asked, ready, carried;
	char carry[CARRY]; /* the end of what came: perhaps part of a mark */
	uint32_t want;     /* the number that must come next */
	struct streams *all;
};

struct streams {
	const char *addr; /* HOST:PORT */
	enum kind kind;
	struct stream *s;
	size_t n, nready, nopen;
	size_t opening_max;        /* asked, not yet let in */
	const char *const *tokens; /* one for each, round and round */
	size_t ntokens;
	const char *cursor; /* NULL: none */
	uint32_t step;      /* from one number to a stream's next */
	uint64_t seen;      /* events that came as they should */
	uint64_t wrong;     /* missed, doubled or out of order */
	uint64_t ended;     /* streams that the server ended */
	uint64_t bytes;
	double (*due)(uint32_t number); /* seconds; NULL: times do not matter */
	uint32_t *late;        /* histogram of microseconds since due */
	char frame[FRAME_MAX]; /* the last event of the first stream, raw */
	size_t frame_len;
};

#define LATE_US 1000000 /* of the histogram; the last takes all above */

/* now_s(): monotonic seconds. */
double now_s(void);

/* die(what): say it with errno, exit 1. */
void die(const char *what) __attribute__((noreturn));

/* kind_of(name): sse, ws or sio; exits on others. */
enum kind kind_of(const char *name);

/* descriptors(): as many as the hard limit allows. */
void descriptors(void);

/* cpu_us(pid): CPU that a process has used, in microseconds. */
double cpu_us(pid_t pid);

/*
 * tokens_read(path, tokens, rooms):
 * A file of lines `TOKEN ROOM`.  Returns how many; both arrays are new.
 */
size_t tokens_read(const char *path, char ***tokens, char ***rooms);

/*
 * dial(addr, source):
 * Connect, from 127.0.0.${source} if that is not 0.  Non-blocking; -1 with
 * errno if it is refused.
 */
int dial(const char *addr, unsigned source);

/*
 * dial_small(addr, source):
 * The same with the smallest buffers and segments there are, so that what is
 * sent to it waits at the sender.
 */
int dial_small(const char *addr, unsigned source);

/*
 * request(kind, addr, token, cursor, out, size):
 * What a client sends first: its request, and for a socket the frames that
 * say who it is.  Returns the bytes.
 */
size_t request(enum kind kind, const char *addr, const char *token,
    const char *cursor, char *out, size_t size);

/* ws_frame(out, opcode, p, len): a masked frame; returns its bytes. */
size_t ws_frame(char *out, int opcode, const char *p, size_t len);

/* put_all(fd, p, len): send it all, waiting; -1 if the peer is gone. */
int put_all(int fd, const char *p, size_t len);

/* streams_init(x, kind, addr, n): none is open yet. */
void streams_init(
    struct streams *x, enum kind kind, const char *addr, size_t n);

/* streams_open(x, ms): open all that are not; -1 if they are not in time. */
int streams_open(struct streams *x, int ms);

/*
 * streams_read(ms):
 * Read what there is, of all streams of the process; wait at most so long.
 */
void streams_read(int ms);

/* streams_want(x, number): the next event of stream i is number + i * of. */
void streams_want(struct streams *x, uint32_t number, uint32_t of);

/*
 * streams_until(x, seen, ms):
 * Read until ${x} has seen so many events.  -1 if ${ms} pass without one.
 */
int streams_until(struct streams *x, uint64_t seen, int ms);

/* streams_close(x): reset them all. */
void streams_close(struct streams *x);

/* Where events come from: pushd's hint socket, or the floor's. */
struct source {
	int fd;
	int64_t base; /* an event's id is this and its number */
};

/* source_open(s, path, base): connect, blocking. */
void source_open(struct source *s, const char *path, int64_t base);

/* source_hint(s, number, room, bytes): an event of ${bytes} of data. */
void source_hint(
    struct source *s, uint32_t number, const char *room, size_t bytes);

/*
 * source_frame(s, number, to, frame, len):
 * The same to the floor: ${frame} with its number replaced.
 */
void source_frame(struct source *s, uint32_t number, uint32_t to,
    const char *frame, size_t len);

#endif
