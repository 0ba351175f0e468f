/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_session - one client's conversation: bytes in, bytes out, no socket.
 *
 * Story:     the owner (keyd_listen, a test, a fuzzer) knows who the peer is and which socket he
 *            came in on. He feeds what arrived to keyd_session_step, one frame at a time, and
 *            sends what gathers in out. HELLO comes first and once, and picks one of the peer's
 *            roles; then requests, at most KEYPROTO_CREDIT unanswered. Answers of long work, and
 *            pushes, appear in out later; wake tells. wake must not end the session; it may come
 *            within step.
 * Ownership: counted: jobs in the pool hold the session that asked. keyd_session_end takes the
 *            owner's part.
 * Errors:    from step, all of which end the connection: ERR_FORMAT (bad frame or body),
 *            ERR_LIMIT (out is full), ERR_DENIED (HELLO refused; the answer is in out),
 *            ERR_NOMEM.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_SESSION_H
#define KEYD_KEYD_SESSION_H

#include "keyd/keyd.h"

#define KEYD_SESSION_OUT_MAX (2 * 1024 * 1024)

struct keyd_session {
	struct list_link link; /* in keyd's sessions; not once ended */
	struct keyd *keyd;
	char name[24]; /* for the log: "k17" */
	uid_t uid;
	unsigned roles;	 /* bits, as configured at connect */
	unsigned socket; /* enum keyd_permit_socket */
	unsigned role;	 /* 0 before HELLO */
	struct buf out;	 /* for the owner to send; wiped */
	int failed;	 /* a late answer found no room: the owner closes */
	int answering, push_after;
	unsigned unanswered;
	unsigned refs;
	void (*wake)(void *arg); /* NULL once ended */
	void *arg;
	int64_t denied_at, limited_at; /* last time that a denial, or a rate, was logged */
	unsigned denied_quietly;
};

/* NULL: out of memory. */
struct keyd_session *keyd_session_new(struct keyd *k, uid_t uid, unsigned roles, unsigned socket,
				      void (*wake)(void *arg), void *arg);
/* The connection is gone. */
void keyd_session_end(struct keyd_session *s);

/* 1: one frame taken from in and dealt with. 0: more bytes are needed. Else ERR_*. */
int keyd_session_step(struct keyd_session *s, struct buf *in);

/* A late answer: the request was held by keyd_session_hold. rc as from an operation. */
void keyd_session_hold(struct keyd_session *s);
void keyd_session_answer(struct keyd_session *s, unsigned op, uint64_t request, int rc,
			 struct span body);
/* EVENT with keyd's state, if HELLO was said. */
void keyd_session_push(struct keyd_session *s);
/* Counts a denial, and logs it unless it did so within a second. */
void keyd_session_denied(struct keyd_session *s, unsigned op);

#endif
