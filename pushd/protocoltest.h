#ifndef PARLEY_PROTOCOLTEST_H
#define PARLEY_PROTOCOLTEST_H

/*
 * What public conformance suites of Engine.IO and Socket.IO expect of a
 * server under test; see MODE_PROTOCOL_TEST.
 */

#include "transport.h"

extern const struct transport protocoltest_eio_transport,
    protocoltest_sio_transport;

#endif
