/* SPDX-License-Identifier: Apache-2.0 */
/* http_client - asks a server on a Unix socket, and waits: relay's local API, by the CLI and by the milter.
 *
 * Story:     one request a connection, as relay's API wants it. The answer's body is read whole, up to the limit of the buf that
 *            it goes into. What it says is the caller's matter. The only file of this folder that opens a socket.
 * Ownership: nothing is kept. What is sent and received may hold addresses and passwords: the request's copy is wiped; give a
 *            buf from buf_init_wiped for the answer.
 * Errors:    ERR_AWAY (nobody listens there), ERR_DENIED (may not), ERR_LIMIT (path of the socket too long, answer
 *            larger than in takes), ERR_TIMEOUT, ERR_CLOSED (hung up before the end of its answer), ERR_FORMAT, ERR_NOMEM.
 * Thread:    any. */
#ifndef HTTP_HTTP_CLIENT_H
#define HTTP_HTTP_CLIENT_H

#include "core/buf.h"

/* target: path and query. body: JSON, or empty. timeout_usec: for each step of sending and receiving.
 * 0: *status is the answer's and in holds its body alone. */
int http_client_ask(const char *socket_path, const char *method, const char *target, struct span body, int64_t timeout_usec,
		    int *status, struct buf *in);

#endif
