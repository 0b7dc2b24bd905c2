/*
 * siopast.c: Socket.IO clients that broke off.
 */
#include <stdlib.h>
#include <string.h>

#include "siopast.h"

/* One client. */
struct siopast_one {
	struct siopast_one *next, **at; /* by time */
	struct siopast_one *who_next, **who_at;
	struct siopast_who *who;
	uint32_t since_s, len;
	char pid[SIOPAST_PID];
	char rooms[];
};

/* Somebody of whom there is one. */
struct siopast_who {
	struct siopast_one *first, **last; /* by time */
	size_t n;
	char name[];
};

void
siopast_init(struct siopast *x, const int64_t *life_s, const int64_t *max,
    const int64_t *who_max)
{
	memset(x, 0, sizeof(*x));
	x->last = &x->first;
	x->life_s = life_s;
	x->max = max;
	x->who_max = who_max;
}

static void
forget(struct siopast *x, struct siopast_one *o)
{
	*o->at = o->next;
	if (o->next != NULL)
		o->next->at = o->at;
	else
		x->last = o->at;
	*o->who_at = o->who_next;
	if (o->who_next != NULL)
		o->who_next->who_at = o->who_at;
	else
		o->who->last = o->who_at;
	table_del(&x->pids, o->pid, sizeof(o->pid));
	if (--o->who->n == 0) {
		table_del(&x->whos, o->who->name, strlen(o->who->name));
		free(o->who);
	}
	x->n--;
	free(o);
}

static void
forget_old(struct siopast *x, uint32_t now_s)
{
	while (x->first != NULL &&
	       now_s - x->first->since_s >= (uint64_t)*x->life_s)
		forget(x, x->first);
}

void
siopast_fini(struct siopast *x)
{
	while (x->first != NULL)
		forget(x, x->first);
	table_fini(&x->pids);
	table_fini(&x->whos);
}

static struct siopast_who *
who_of(struct siopast *x, const char *name)
{
	size_t len = strlen(name);
	struct siopast_who *w = table_get(&x->whos, name, len);

	if (w != NULL)
		return w;
	w = calloc(1, sizeof(*w) + len + 1);
	if (w == NULL)
		return NULL;
	w->last = &w->first;
	memcpy(w->name, name, len + 1);
	if (table_put(&x->whos, w->name, len, w) == -1) {
		free(w);
		return NULL;
	}
	return w;
}

void
siopast_add(struct siopast *x, const char pid[SIOPAST_PID], const char *who,
    const char *rooms, size_t len, uint32_t now_s)
{
	struct siopast_one *o = table_get(&x->pids, pid, SIOPAST_PID);
	struct siopast_who *w;

	if (o != NULL)
		forget(x, o);
	forget_old(x, now_s);
	if (*x->life_s == 0)
		return;
	/* Whoever breaks off in a loop pushes out what is its own. */
	w = table_get(&x->whos, who, strlen(who));
	if (w != NULL && w->n >= (size_t)*x->who_max)
		forget(x, w->first);
	else if (x->n >= (size_t)*x->max)
		forget(x, x->first);
	o = calloc(1, sizeof(*o) + len);
	if (o == NULL)
		return;
	memcpy(o->pid, pid, SIOPAST_PID);
	if (len > 0)
		memcpy(o->rooms, rooms, len);
	o->len = (uint32_t)len;
	o->since_s = now_s;
	w = o->who = who_of(x, who);
	if (w == NULL) {
		free(o);
		return;
	}
	w->n++;
	o->who_at = w->last;
	*w->last = o;
	w->last = &o->who_next;
	o->at = x->last;
	*x->last = o;
	x->last = &o->next;
	x->n++;
	if (table_put(&x->pids, o->pid, SIOPAST_PID, o) == -1)
		forget(x, o);
}

int
siopast_take(struct siopast *x, const char pid[SIOPAST_PID], const char *who,
    struct buf *rooms, uint32_t now_s)
{
	struct siopast_one *o;

	forget_old(x, now_s);
	o = table_get(&x->pids, pid, SIOPAST_PID);
	if (o == NULL || strcmp(o->who->name, who) != 0)
		return 0;
	buf_append(rooms, o->rooms, o->len);
	forget(x, o);
	return 1;
}

int
siopast_lost(struct siopast *x, const char *who, uint32_t now_s)
{
	forget_old(x, now_s);
	return table_get(&x->whos, who, strlen(who)) != NULL;
}

void
siopast_carry(const struct siopast *x,
    void (*each)(void *arg, const struct buf *one), void *arg)
{
	const struct siopast_one *o;
	struct buf b;

	buf_init(&b, CARRY_RECORD_MAX);
	for (o = x->first; o != NULL; o = o->next) {
		buf_reset(&b);
		carry_bytes(&b, o->pid, sizeof(o->pid));
		carry_text(&b, o->who->name);
		carry_num(&b, o->since_s);
		carry_bytes(&b, o->rooms, o->len);
		each(arg, &b);
	}
	buf_fini(&b);
}

int
siopast_adopt(struct siopast *x, struct carry_in *in)
{
	size_t npid, len;
	const char *pid = carry_get_bytes(in, &npid, SIOPAST_PID);
	const char *who = carry_get_text(in, 256);
	uint32_t since_s = (uint32_t)carry_get_num(in, UINT32_MAX);
	const char *rooms = carry_get_bytes(in, &len, 1 << 20);

	/* Names, each with its NUL. */
	if (carry_end(in) == -1 || npid != SIOPAST_PID || who == NULL ||
	    (len > 0 && rooms[len - 1] != '\0'))
		return -1;
	siopast_add(x, pid, who, rooms, len, since_s);
	return 0;
}
