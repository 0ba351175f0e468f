/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in and out. One system call reads what came, one writes what was gathered; only a short
 * count or EAGAIN asks the kernel for more. */
#include "evt/evt_conn_own.h"

#include <errno.h>
#include <sys/socket.h>

#include <openssl/err.h>

#include "core/err.h"

#define READ_SIZE     16384 /* one TLS record */
#define READ_LEAST    4096  /* less room than this is not worth a read */
#define READ_TURN     65536 /* then the others have their turn */
#define LINGER_ROUNDS 16

int evt_conn_want_read(struct evt_conn *c)
{
	if (c->reading)
		return 0;
	if (event_add(&c->read, NULL) < 0) {
		evt_conn_fail(c, ERR_NOMEM, "out of memory");
		return ERR_NOMEM;
	}
	c->reading = 1;
	return 0;
}

void evt_conn_stop_read(struct evt_conn *c)
{
	if (c->reading)
		event_del(&c->read);
	c->reading = 0;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct evt_conn *c = arg;

	(void)fd;
	(void)what;
	c->writing = 0;
	evt_conn_enter(c);
	if (c->state == EVT_CONN_CONNECTING) {
		evt_conn_connected(c);
	} else if (c->state == EVT_CONN_HANDSHAKE) {
		evt_conn_step(c);
	} else if (c->state != EVT_CONN_BROKEN) {
		c->reread |= c->read_wants_write;
		c->read_wants_write = 0;
		evt_conn_schedule(c);
	}
	evt_conn_leave(c);
}

int evt_conn_want_write(struct evt_conn *c)
{
	if (c->writing)
		return 0;
	if (!c->write)
		c->write = event_new(c->loop->base, c->fd, EV_WRITE, on_writable, c);
	if (!c->write || event_add(c->write, NULL) < 0) {
		evt_conn_fail(c, ERR_NOMEM, "out of memory");
		return ERR_NOMEM;
	}
	c->writing = 1;
	return 0;
}

int evt_conn_inside(const struct evt_conn *c)
{
	return c->ssl && c->state == EVT_CONN_OPEN && SSL_has_pending(c->ssl);
}

/* What came of one attempt to read or to write. */
struct attempt {
	size_t n;
	int full;	       /* read as much as there was room for: there may be more */
	enum evt_conn_why why; /* if n is 0 */
	int err;
	const char *reason; /* a TLS failure; else the cause is text */
	const char *text;
};

static void classify_errno(struct attempt *a, enum evt_conn_why again)
{
	a->why = errno == EAGAIN || errno == EWOULDBLOCK ? again : EVT_CONN_FAILED;
	a->err = err_from_errno(errno);
	a->text = evt_conn_errno_text(errno);
}

static void classify_ssl(struct evt_conn *c, struct attempt *a, int result)
{
	a->why = evt_conn_ssl_why(c, result, &a->err, &a->reason);
	a->text = a->reason ? "TLS" : a->err == ERR_CLOSED ? "closed without close_notify" : "TLS";
	if (!a->reason && errno) {
		a->err = err_from_errno(errno);
		a->text = evt_conn_errno_text(errno);
	}
}

/* Old errors of this thread, perhaps of another connection, would be taken for new ones. */
static void forget_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
	errno = 0;
}

static struct attempt read_once(struct evt_conn *c, uint8_t *dst, size_t room)
{
	struct attempt a = {0};
	int result;

	if (c->ssl) {
		forget_errors();
		result = SSL_read_ex(c->ssl, dst, room, &a.n);
		if (result <= 0)
			classify_ssl(c, &a, result);
		return a;
	}
	for (;;) {
		ssize_t n = recv(c->fd, dst, room, 0);
		a.full = n == (ssize_t)room;
		if (n > 0)
			a.n = (size_t)n;
		else if (n == 0)
			a.why = EVT_CONN_END;
		else if (errno == EINTR)
			continue;
		else
			classify_errno(&a, EVT_CONN_AGAIN_READ);
		return a;
	}
}

static size_t room_to_read(struct evt_conn *c)
{
	size_t room = buf_room(&c->in), free_now = c->in.cap - c->in.len;

	if (buf_size(&c->in) == 0 || free_now < READ_LEAST)
		free_now = READ_SIZE;
	return room < free_now ? room : free_now;
}

/* Reads until there is no more, or enough for one DATA. Returns bytes added; *last says how it
 * ended. */
static size_t fill(struct evt_conn *c, struct attempt *last)
{
	size_t got = 0;

	do {
		size_t room = room_to_read(c);
		uint8_t *dst = evt_pool_reserve(&c->loop->pool, &c->in, room, c->secret);
		if (!dst) {
			c->in.failed = 0;
			*last = (struct attempt){
			    .why = EVT_CONN_FAILED, .err = ERR_NOMEM, .text = "out of memory"};
			break;
		}
		*last = read_once(c, dst, room);
		buf_commit(&c->in, last->n);
		got += last->n;
	} while (last->n > 0 && got + READ_LEAST <= READ_SIZE && buf_room(&c->in) > 0 &&
		 evt_conn_inside(c));
	return got;
}

/* Nothing more came: why. */
static void end_of_read(struct evt_conn *c, const struct attempt *a)
{
	switch (a->why) {
	case EVT_CONN_AGAIN_READ:
		break;
	case EVT_CONN_AGAIN_WRITE:
		c->read_wants_write = 1;
		evt_conn_want_write(c);
		break;
	case EVT_CONN_END:
		c->eof = 1;
		evt_conn_stop_read(c);
		evt_conn_emit(c, EVT_CONN_EOF);
		break;
	case EVT_CONN_FAILED:
		if (a->reason)
			evt_conn_fail_tls(c, a->err, a->text, a->reason);
		else
			evt_conn_fail(c, a->err, a->text);
		break;
	}
}

void evt_conn_read(struct evt_conn *c)
{
	size_t total = 0, got;
	struct attempt last = {0};

	do {
		if (buf_room(&c->in) == 0) {
			c->full = 1;
			return;
		}
		got = fill(c, &last);
		total += got;
		if (got > 0 && evt_conn_emit(c, EVT_CONN_DATA) < 0)
			return;
		evt_pool_return(&c->loop->pool, &c->in, c->secret);
		if (c->state != EVT_CONN_OPEN)
			return;
		if (got == 0 || (last.n == 0 && last.why == EVT_CONN_AGAIN_WRITE)) {
			end_of_read(c, &last);
			return;
		}
		if (last.n == 0 && last.why != EVT_CONN_AGAIN_READ) {
			/* An end behind the data: it is told next, unless the owner stops reading.
			 */
			c->reread = 1;
			evt_conn_schedule(c);
			return;
		}
		if (c->paused || !(last.full || evt_conn_inside(c)))
			return;
	} while (total < READ_TURN);
	c->reread = 1;
	evt_conn_schedule(c);
}

static struct attempt write_once(struct evt_conn *c, const uint8_t *p, size_t n)
{
	struct attempt a = {0};
	int result;

	if (c->ssl && c->state == EVT_CONN_OPEN) {
		forget_errors();
		result = SSL_write_ex(c->ssl, p, n, &a.n);
		if (result <= 0) {
			a.n = 0;
			classify_ssl(c, &a, result);
		}
		return a;
	}
	for (;;) {
		ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
		if (sent >= 0)
			a.n = (size_t)sent;
		else if (errno == EINTR)
			continue;
		else
			classify_errno(&a, EVT_CONN_AGAIN_WRITE);
		return a;
	}
}

static void write_failed(struct evt_conn *c, const struct attempt *a)
{
	if (a->why == EVT_CONN_AGAIN_WRITE) {
		evt_conn_want_write(c);
		return;
	}
	if (a->why == EVT_CONN_AGAIN_READ) {
		c->write_wants_read = 1;
		evt_conn_want_read(c);
		return;
	}
	if (a->reason || a->why == EVT_CONN_END || c->state != EVT_CONN_OPEN) {
		evt_conn_fail_tls(c, a->err ? a->err : ERR_CLOSED, a->text, a->reason);
		return;
	}
	c->write_broken = 1;
	c->err = a->err;
	c->why = a->text;
	buf_reset(&c->out);
	evt_conn_schedule(c);
}

void evt_conn_flush(struct evt_conn *c)
{
	size_t left = c->state == EVT_CONN_STARTTLS ? c->clear_left : buf_size(&c->out);

	if (c->writing || c->write_wants_read || c->write_broken ||
	    (c->state != EVT_CONN_OPEN && c->state != EVT_CONN_STARTTLS))
		return;
	while (left > 0) {
		struct attempt a = write_once(c, buf_ptr(&c->out), left);
		if (a.n == 0) {
			write_failed(c, &a);
			break;
		}
		buf_drain(&c->out, a.n);
		left -= a.n;
		if (c->state == EVT_CONN_STARTTLS)
			c->clear_left = left;
	}
	evt_pool_return(&c->loop->pool, &c->out, c->secret);
}

/* Throws away what the peer still sends. 1: it sent something; 0: nothing there; -1: it has ended.
 */
static int discard(struct evt_conn *c)
{
	char waste[4096];
	int some = 0;

	for (int i = 0; i < LINGER_ROUNDS; i++) {
		ssize_t n = recv(c->fd, waste, sizeof(waste), 0);
		if (n == 0)
			return -1;
		if (n < 0)
			return errno != EAGAIN && errno != EINTR ? -1 : some;
		some = 1;
	}
	return some;
}

void evt_conn_farewell(struct evt_conn *c)
{
	int unread = buf_size(&c->in) > 0, found;

	buf_reset(&c->in);
	if (c->ssl && SSL_shutdown(c->ssl) < 0)
		ERR_clear_error();
	/* Closing over bytes that were not read sends a reset, which may overtake our last words.
	 */
	found = discard(c);
	if (found < 0 || (found == 0 && !unread) || shutdown(c->fd, SHUT_WR) < 0) {
		evt_conn_close(c);
		return;
	}
	c->state = EVT_CONN_LINGERING;
	evt_pool_return(&c->loop->pool, &c->in, c->secret);
	evt_conn_want_read(c);
}

void evt_conn_linger(struct evt_conn *c)
{
	if (discard(c) < 0)
		evt_conn_close(c);
}
