/* SPDX-License-Identifier: Apache-2.0 */
/* in_state - where an inbound SMTP session stands.
 *
 * Two lives: the session (from GREET on) and the transaction within it (MAIL to the answer after the data).
 *
 *   CONNECT -----> GREET <--------- TLS        TLS done: all that was said is forgotten
 *      greeting      | EHLO, HELO    ^
 *                    v               | STARTTLS
 *             .--> READY ------------'
 *             |      ^ | AUTH
 *             |      | v
 *             |      AUTH --> CHECK               235, 535; "*" or a bad line: 501
 *             |      | MAIL
 *             |      v
 *             |<-- MAIL                        back to READY: EHLO, HELO, RSET
 *             |      | RCPT
 *             |      v
 *             |<-- RCPT (more RCPT)            EHLO, HELO, RSET
 *             |      | DATA
 *             |      v
 *             |<-- BEGIN                       451, 452: no key, no space
 *             |      | 354
 *             |      v
 *             |<-- DATA                        554, 552, 45x after CRLF.CRLF: message refused
 *             |      | CRLF.CRLF
 *             |      v
 *             '--- COMMIT                      250, or 45x
 *
 * With BDAT instead of DATA: RCPT -> BEGIN -> CHUNK -> CHUNKS -> CHUNK ... -> COMMIT, and back to READY as drawn, also
 * from CHUNKS with RSET, EHLO or HELO.
 *
 *   any state --QUIT, timeout, shutdown, end of stream, breach of rules--> CLOSED
 *
 * With filters FILTER comes between a command (or the connection, or CRLF.CRLF) and its reply: the session waits there
 * for their word, and goes on as drawn, or stays where it was.
 *
 * BEGIN, COMMIT, FILTER, CHECK and TLS wait for somebody else: commands that have arrived meanwhile stay where they are. */
#ifndef RELAY_IN_IN_STATE_H
#define RELAY_IN_IN_STATE_H

/* X(name, what the session does in it) */
#define IN_STATES(X)                                                                               \
	X(CONNECT, "before the greeting")                                                          \
	X(GREET, "waits for EHLO")                                                                 \
	X(READY, "waits for MAIL")                                                                 \
	X(MAIL, "has a sender")                                                                    \
	X(RCPT, "has recipients")                                                                  \
	X(AUTH, "reads name and password")                                                         \
	X(CHECK, "waits until name and password are checked")                                      \
	X(BEGIN, "waits for a key to seal the message")                                            \
	X(DATA, "reads the message")                                                               \
	X(CHUNK, "reads a chunk of the message (BDAT)")                                            \
	X(CHUNKS, "waits for the next chunk")                                                      \
	X(COMMIT, "waits until the message is on stable storage")                                  \
	X(FILTER, "waits for the filters")                                                         \
	X(TLS, "waits for the handshake")                                                          \
	X(CLOSED, "is over")

enum in_state {
#define IN_STATE_ENUM(name, text) IN_STATE_##name,
	IN_STATES(IN_STATE_ENUM)
#undef IN_STATE_ENUM
	IN_STATE_COUNT
};

#define IN_STATE_BIT(name) (1u << IN_STATE_##name)

/* "READY". Static. */
const char *in_state_name(enum in_state s);

struct in_session;
/* The one place where a session changes its state; says so under debug topic "in". why is a static word. */
void in_state_set(struct in_session *s, enum in_state to, const char *why);

#endif
