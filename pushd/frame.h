#ifndef PARLEY_FRAME_H
#define PARLEY_FRAME_H

/*
 * Bytes ready for the wire, shared by all connections that get them: a
 * connection queues pointers.  Counted; one thread, so no atomics.
 */

#include <stddef.h>
#include <stdint.h>

struct frame {
	uint32_t refs;
	uint32_t len;
	char data[]; /* ${len} bytes */
};

/*
 * frame_new(p, len):
 * Returns a new frame with a copy of ${len} bytes, held once by the caller;
 * NULL without memory.  ${p} NULL leaves the bytes to the caller.
 */
struct frame *frame_new(const void *p, size_t len);

/* frame_ref(f): hold it once more; returns it. */
struct frame *frame_ref(struct frame *f);

/* frame_unref(f): let go; the last one frees it.  Takes NULL. */
void frame_unref(struct frame *f);

#endif
