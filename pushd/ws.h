#ifndef PARLEY_WS_H
#define PARLEY_WS_H

/* The native WebSocket, with the live and with the chat dialect. */

#include "transport.h"

extern const struct transport ws_transport, ws_chat_transport;

#endif
