#ifndef PARLEY_WS_H
#define PARLEY_WS_H

/* The native WebSocket and its live dialect (protocols.md 6 and 11). */

#include "transport.h"

extern const struct transport ws_transport;

#endif
