#ifndef PARLEY_METRICS_H
#define PARLEY_METRICS_H

/* /health and /metrics: how pushd is, for machines. */

#include "push.h"
#include "transport.h"

extern const struct transport health_transport, metrics_transport;

/* metrics_start(p), metrics_stop(p): begin to take the time, and end. */
void metrics_start(struct push *p);
void metrics_stop(struct push *p);

/* metrics_event(p, id): an event was given to readers, and is written next. */
void metrics_event(struct push *p, int64_t id);

#endif
