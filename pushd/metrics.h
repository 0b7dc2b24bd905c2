#ifndef PARLEY_METRICS_H
#define PARLEY_METRICS_H

/* /health and /metrics: how pushd is, for machines. */

#include "push.h"
#include "transport.h"

extern const struct transport health_transport, metrics_transport;

/* metrics_latency(m, ms): an event came so long after its commit. */
void metrics_latency(struct push_latency *m, int64_t ms);

#endif
