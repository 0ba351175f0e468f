/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_play - a keyd without sockets and threads, and clients that talk to its session engine in
 * bytes.
 *
 * Story: keyd_play_open makes a keyd on a temporary directory (or without any file: memory). A
 *        keyd_play_client says HELLO; keyd_play_begin and _call send one request and take its
 *        answer out of what the session wrote. Long work is done at once: there is no pool. */
#ifndef TEST_UNIT_KEYD_PLAY_H
#define TEST_UNIT_KEYD_PLAY_H

#include "keyd/keyd_permit.h"
#include "keyd/keyd_session.h"
#include "wire/wire_frame.h"

struct keyd_play {
	char dir[40]; /* empty: no files */
	struct keyd *keyd;
};

/* slots: text of the slots: key, e.g. "[{method: file, path: root.key}]". 0 or ERR_*. */
int keyd_play_open(struct keyd_play *p, const char *slots);
/* READY with a ring in memory, and no file anywhere. */
int keyd_play_memory(struct keyd_play *p);
/* Ends keyd; the files stay, keyd_play_restart begins again on them. */
void keyd_play_stop(struct keyd_play *p);
int keyd_play_restart(struct keyd_play *p, const char *slots);
void keyd_play_close(struct keyd_play *p);

struct keyd_play_client {
	struct keyd_session *session;
	struct buf in, body;
	uint64_t request;
	unsigned woken;
	unsigned pushed;  /* state of the last EVENT */
	unsigned pushes;  /* how many */
	struct buf reply; /* body of the last answer */
	uint32_t epoch;	  /* of the last frame */
};

#define KEYD_PLAY_ALL 0x3e /* every role */

/* Without HELLO if role is 0. */
void keyd_play_connect(struct keyd_play_client *c, struct keyd_play *p, unsigned roles,
		       unsigned socket, unsigned role);
void keyd_play_leave(struct keyd_play_client *c);
/* An empty buf for the body of the next request. */
struct buf *keyd_play_begin(struct keyd_play_client *c);
/* Sends it; the answer's status as ERR_* (0: good, body in reply); ERR_CLOSED if keyd ended the
 * connection, ERR_TIMEOUT if there was no answer. */
int keyd_play_call(struct keyd_play_client *c, unsigned op);
/* Bytes as they are. Returns what step returned last. */
int keyd_play_raw(struct keyd_play_client *c, const void *p, size_t n);
/* Takes frames out of the session's output: answers to c->request, and pushes. 1: the answer
 * came. */
int keyd_play_take(struct keyd_play_client *c, int *status);

/* Requests that tests make often. */
int keyd_play_init(struct keyd_play_client *c, const char *passphrase);
int keyd_play_unseal(struct keyd_play_client *c, unsigned method, const char *secret);
int keyd_play_customer(struct keyd_play_client *c, const char *name);
int keyd_play_key(struct keyd_play_client *c, const char *label, unsigned type);
int keyd_play_derive(struct keyd_play_client *c, const char *customer, unsigned purpose,
		     unsigned count, struct keyproto_derived *out);

#endif
