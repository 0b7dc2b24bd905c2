#ifndef PARLEY_SSE_H
#define PARLEY_SSE_H

/* Server-Sent Events. */

#include "transport.h"

extern const struct transport sse_transport;

#endif
