#ifndef PARLEY_SSE_H
#define PARLEY_SSE_H

/* Server-Sent Events (protocols.md 3). */

#include "transport.h"

extern const struct transport sse_transport;

#endif
