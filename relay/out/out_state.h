/* SPDX-License-Identifier: Apache-2.0 */
/* out_state - the states of an outgoing SMTP session.
 *
 *   CONNECT --> GREETING --> EHLO ------------------------------> READY <------------------------.
 *                             |  ^ \                               | message                     |
 *                         5xx |  |  `--> STARTTLS                  v                             |
 *                             v  |           |                    MAIL --> RCPT --> DATA         |
 *                           HELO |           v                     |        |        |           |
 *                             |  '------ HANDSHAKE                 |        |        v           |
 *                             `----------------------> READY       |        |       BODY         |
 *                                                                  |        |        |           |
 *                                                                  |        |        v           |
 *                                                                  |        |       DOT -------->|
 *                                                                  '--------+------> RSET ------>'
 *   every state --> CLOSED (421, lost, timed out, protocol broken, QUIT)
 *
 * A state waits for one reply (RCPT: for one per recipient); BODY waits for the message itself.
 * With PIPELINING MAIL, RCPT and DATA leave together, and the states say only which answer comes
 * next. With CHUNKING there is no DATA: BODY follows RCPT, or the body has left before and DOT
 * follows, which waits for the answer to BDAT then. Where a login is asked for, LOGIN (waits for
 * user and password, from our side) and AUTH stand before the first READY.
 *
 * Source: RFC 3030, RFC 4954, RFC 5321 4.5.3.2 (timeouts: none but that for connect is shorter than asked there; after
 *         the final dot a short wait makes duplicates), RFC 2920, RFC 3207. */
#ifndef RELAY_OUT_OUT_STATE_H
#define RELAY_OUT_OUT_STATE_H

#include <stdint.h>

/* X(state, name, seconds to wait (0: for ever), reason when the server says no or ends it here) */
#define OUT_STATES(X)                                \
	X(CONNECT, "connect", 30, QUEUE_CONNECT)     \
	X(GREETING, "greeting", 300, QUEUE_GREETING) \
	X(EHLO, "ehlo", 300, QUEUE_GREETING)         \
	X(HELO, "helo", 300, QUEUE_GREETING)         \
	X(STARTTLS, "starttls", 120, QUEUE_TLS)      \
	X(HANDSHAKE, "handshake", 60, QUEUE_TLS)     \
	X(LOGIN, "login", 0, QUEUE_AUTH)             \
	X(AUTH, "auth", 120, QUEUE_AUTH)             \
	X(READY, "ready", 0, QUEUE_LOST)             \
	X(MAIL, "mail", 300, QUEUE_SENDER)           \
	X(RCPT, "rcpt", 300, QUEUE_RECIPIENT)        \
	X(DATA, "data", 120, QUEUE_DATA)             \
	X(BODY, "body", 180, QUEUE_DATA)             \
	X(DOT, "dot", 600, QUEUE_DATA)               \
	X(RSET, "rset", 20, QUEUE_PROTOCOL)          \
	X(CLOSED, "closed", 0, QUEUE_LOST)

enum out_state {
#define OUT_STATE_X(sym, name, seconds, reason) OUT_STATE_##sym,
	OUT_STATES(OUT_STATE_X)
#undef OUT_STATE_X
	    OUT_STATE_COUNT
};

/* "mail" and the like; static. */
const char *out_state_name(enum out_state s);
/* How long the state may wait for one answer, microseconds; 0: for ever. */
int64_t out_state_timeout(enum out_state s);
/* enum queue_reason for a failure in it. */
unsigned out_state_reason(enum out_state s);

#endif
