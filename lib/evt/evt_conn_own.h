/* SPDX-License-Identifier: Apache-2.0 */
/* evt_conn_own - the inside of a connection, for the sources of evt only.
 *
 * States:
 *
 *   CONNECTING --> OPEN --> STARTTLS --> HANDSHAKE --> OPEN (ssl set)
 *                   |        what was written leaves in clear
 *                   +--> finishing: output leaves --> LINGERING: the peer's last bytes are ignored
 *   any --> BROKEN: ERROR is told, only closing is left
 *
 * Rules:  the owner's fn is called only from emit, and emit only from the loop's callbacks, all of
 *         which stand between evt_conn_enter and evt_conn_leave; after each emit that fails nothing
 *         of c may be used. What the owner's calls cause is noted in flags and done by
 *         evt_conn_work at the end of the turn. Reading is switched off lazily: by the first event
 *         that comes while it is not wanted. */
#ifndef EVT_EVT_CONN_OWN_H
#define EVT_EVT_CONN_OWN_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "evt/evt_async_own.h"
#include "evt/evt_conn.h"
#include "evt/evt_loop_own.h"
#include "evt/evt_timer.h"

#define EVT_CONN_OUT_MAX (4u << 20)
#define EVT_CONN_FLUSH_AT (64u << 10)
#define EVT_CONN_FINISH_USEC 5000000

enum evt_conn_state {
	EVT_CONN_CONNECTING,
	EVT_CONN_OPEN,
	EVT_CONN_STARTTLS,
	EVT_CONN_HANDSHAKE,
	EVT_CONN_LINGERING,
	EVT_CONN_BROKEN
};

struct evt_conn {
	struct evt_loop *loop;
	evt_conn_fn fn;
	void *arg;
	struct event read;    /* EV_READ, persistent */
	struct event *write;  /* EV_WRITE, once; made when a write blocks for the first time */
	SSL *ssl;
	struct buf in, out;
	struct evt_timer timer;
	struct evt_defer defer;
	size_t low;	   /* DRAINED at this mark */
	size_t clear_left; /* STARTTLS: bytes of out that still belong before the handshake */
	struct evt_async async;
	const char *why;
	char *why_owned;
	int fd;
	int err;
	uint8_t state; /* enum evt_conn_state */
	uint8_t depth; /* callbacks of the loop that are on the stack */
	unsigned dead : 1, gone : 1;		/* closed by the owner; everything released */
	unsigned finishing : 1;			/* the owner has left */
	unsigned reading : 1, writing : 1;	/* events that are added */
	unsigned paused : 1, full : 1, eof : 1; /* why not to read */
	unsigned connected : 1;			/* CONNECTED is to be told */
	unsigned again : 1, reread : 1;		/* DATA is to be told; bytes may lie within ssl */
	unsigned want_drained : 1;
	unsigned read_wants_write : 1, write_wants_read : 1;
	unsigned write_broken : 1; /* err is set; what the peer said last is still worth reading */
	unsigned told : 1;	   /* ERROR was told */
	unsigned verify : 1;	   /* the handshake checks the peer's name */
	unsigned secret : 1;	   /* wipe memory whenever it is given back */
};

/* evt_conn.c */
void evt_conn_schedule(struct evt_conn *c);
/* Notes a failure; ERROR follows. why: static. */
void evt_conn_fail(struct evt_conn *c, int err, const char *why);
/* As fail, with OpenSSL's reason behind what; takes it from the error queue. */
void evt_conn_fail_tls(struct evt_conn *c, int err, const char *what, const char *reason);
/* 0, or -1 if the connection was closed meanwhile. */
int evt_conn_emit(struct evt_conn *c, enum evt_conn_event ev);
static inline void evt_conn_enter(struct evt_conn *c)
{
	c->depth++;
}
void evt_conn_leave(struct evt_conn *c);
struct evt_conn *evt_conn_make(struct evt_loop *l, int fd, size_t in_max, evt_conn_fn fn, void *arg);
const char *evt_conn_errno_text(int errnum);

/* evt_conn_io.c */
int evt_conn_want_read(struct evt_conn *c);  /* 0, or ERR_NOMEM and c is failed */
int evt_conn_want_write(struct evt_conn *c); /* same */
void evt_conn_stop_read(struct evt_conn *c);
/* Reads what is there and tells DATA, EOF. */
void evt_conn_read(struct evt_conn *c);
void evt_conn_flush(struct evt_conn *c);
/* Output has left: says goodbye; the connection closes now or after the peer did. */
void evt_conn_farewell(struct evt_conn *c);
void evt_conn_linger(struct evt_conn *c);
/* Bytes that epoll knows nothing of. */
int evt_conn_inside(const struct evt_conn *c);

/* evt_conn_tls.c */
void evt_conn_begin(struct evt_conn *c);
void evt_conn_step(struct evt_conn *c);
/* Lets a paused handshake end, so that its SSL can be freed. */
void evt_conn_abandon(struct evt_conn *c);
/* An errno, or the TLS failure in the error queue, of a read or write that failed with result. */
enum evt_conn_why { EVT_CONN_AGAIN_READ, EVT_CONN_AGAIN_WRITE, EVT_CONN_END, EVT_CONN_FAILED };
enum evt_conn_why evt_conn_ssl_why(struct evt_conn *c, int result, int *err, const char **reason);

/* evt_conn_connect.c */
void evt_conn_connected(struct evt_conn *c);

#endif
