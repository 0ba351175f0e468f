/* SPDX-License-Identifier: Apache-2.0 */
#include "evt/evt_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/err.h"
#include "evt/evt_conn_own.h"

static const struct {
	int errnum;
	const char *text;
} errno_texts[] = {
    {ECONNREFUSED, "connection refused"}, {ECONNRESET, "connection reset"},
    {EPIPE, "connection reset"},	  {ETIMEDOUT, "timed out"},
    {EHOSTUNREACH, "no route to host"},	  {ENETUNREACH, "network unreachable"},
    {ENOENT, "no such socket"},		  {ENOMEM, "out of memory"},
    {EAGAIN, "not accepting now"},
};

const char *evt_conn_errno_text(int errnum)
{
	const char *text;

	for (size_t i = 0; i < sizeof(errno_texts) / sizeof(errno_texts[0]); i++)
		if (errno_texts[i].errnum == errnum)
			return errno_texts[i].text;
	text = strerrordesc_np(errnum);
	return text ? text : "unknown error";
}

/* Gives everything back but the struct itself, which a caller further up may still look at. */
static void release(struct evt_conn *c)
{
	event_del(&c->read);
	if (c->write)
		event_free(c->write);
	if (c->ssl) {
		if (c->async.paused)
			evt_conn_abandon(c);
		evt_async_forget(&c->async);
		/* Else OpenSSL would forbid resuming the session because we did not say goodbye. */
		SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(c->ssl);
	}
	close(c->fd);
	evt_timer_clear(&c->timer);
	evt_loop_undefer(c->loop, &c->defer);
	buf_reset(&c->in);
	buf_reset(&c->out);
	evt_pool_return(&c->loop->pool, &c->in, c->secret);
	evt_pool_return(&c->loop->pool, &c->out, c->secret);
	c->gone = 1;
}

static void bury(struct evt_conn *c)
{
	free(c->why_owned);
	free(c);
}

static void reap(void *arg)
{
	release(arg);
	bury(arg);
}

void evt_conn_close(struct evt_conn *c)
{
	if (!c || c->dead)
		return;
	c->dead = 1;
	c->fn = NULL;
	if (evt_async_running()) {
		/* Within a job of some handshake, perhaps our own: an SSL can be neither resumed
		 * nor freed. */
		event_del(&c->read);
		if (c->write)
			event_del(c->write);
		evt_timer_stop(&c->timer);
		evt_loop_undefer(c->loop, &c->defer);
		c->defer.fn = reap;
		evt_loop_defer(c->loop, &c->defer);
		return;
	}
	release(c);
	if (c->depth == 0)
		bury(c);
}

void evt_conn_leave(struct evt_conn *c)
{
	if (--c->depth == 0 && c->gone)
		bury(c);
}

int evt_conn_emit(struct evt_conn *c, enum evt_conn_event ev)
{
	if (c->fn)
		c->fn(c->arg, c, ev);
	return c->dead ? -1 : 0;
}

void evt_conn_schedule(struct evt_conn *c)
{
	if (!c->dead)
		evt_loop_defer(c->loop, &c->defer);
}

void evt_conn_fail(struct evt_conn *c, int err, const char *why)
{
	if (c->state == EVT_CONN_BROKEN)
		return;
	c->state = EVT_CONN_BROKEN;
	c->err = err;
	c->why = why;
	evt_conn_stop_read(c);
	if (c->writing)
		event_del(c->write);
	c->writing = 0;
	evt_conn_schedule(c);
}

void evt_conn_fail_tls(struct evt_conn *c, int err, const char *what, const char *reason)
{
	if (reason && !c->why_owned && asprintf(&c->why_owned, "%s: %s", what, reason) < 0)
		c->why_owned = NULL;
	evt_conn_fail(c, err, c->why_owned ? c->why_owned : what);
}

/* What has to be told or done because of failure. 1: nothing else is to be done. */
static int work_on_failure(struct evt_conn *c)
{
	if (c->write_broken && c->state == EVT_CONN_OPEN) {
		/* A peer that closed on us may have said why: that comes first. */
		if (!c->paused && !c->eof && !c->finishing)
			evt_conn_read(c);
		if (c->dead)
			return 1;
		evt_conn_fail(c, c->err, c->why);
	}
	if (c->state != EVT_CONN_BROKEN)
		return 0;
	if (c->finishing) {
		evt_conn_close(c);
	} else if (!c->told) {
		c->told = 1;
		evt_conn_emit(c, EVT_CONN_ERROR);
	}
	return 1;
}

/* Goes on reading where the owner has made it possible again. */
static void work_on_input(struct evt_conn *c)
{
	if (c->full && buf_room(&c->in) > 0) {
		c->full = 0;
		c->reread |= (unsigned)evt_conn_inside(c);
	}
	if (c->again && c->state == EVT_CONN_OPEN) {
		c->again = 0;
		if (evt_conn_emit(c, EVT_CONN_DATA) < 0)
			return;
	}
	if (c->paused || c->full || c->eof || c->state != EVT_CONN_OPEN)
		return;
	if (c->reread) {
		c->reread = 0;
		evt_conn_read(c);
		if (c->dead || c->paused || c->full || c->eof || c->state != EVT_CONN_OPEN)
			return;
	}
	evt_conn_want_read(c);
}

static void work_on_output(struct evt_conn *c)
{
	evt_conn_flush(c);
	if (c->write_broken)
		return;
	if (c->state == EVT_CONN_STARTTLS && c->clear_left == 0)
		evt_conn_begin(c);
	if (c->finishing && c->state == EVT_CONN_OPEN && buf_size(&c->out) == 0) {
		evt_conn_farewell(c);
		return;
	}
	if (c->want_drained && buf_size(&c->out) <= c->low && c->state == EVT_CONN_OPEN) {
		c->want_drained = 0;
		evt_conn_emit(c, EVT_CONN_DRAINED);
	}
}

static void work(void *arg)
{
	struct evt_conn *c = arg;

	evt_conn_enter(c);
	if (c->connected) {
		c->connected = 0;
		evt_conn_connected(c);
	}
	if (!c->dead && c->state == EVT_CONN_HANDSHAKE && c->async.paused && c->async.woken)
		evt_conn_step(c);
	if (!c->dead)
		work_on_output(c);
	if (!c->dead && !work_on_failure(c))
		work_on_input(c);
	if (!c->dead)
		work_on_failure(c);
	evt_conn_leave(c);
}

static void on_timer(void *arg)
{
	struct evt_conn *c = arg;

	evt_conn_enter(c);
	if (c->finishing)
		evt_conn_close(c);
	else if (c->state != EVT_CONN_BROKEN)
		evt_conn_emit(c, EVT_CONN_TIMEOUT);
	evt_conn_leave(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct evt_conn *c = arg;

	(void)fd;
	(void)what;
	evt_conn_enter(c);
	if (c->state == EVT_CONN_LINGERING)
		evt_conn_linger(c);
	else if (c->state == EVT_CONN_HANDSHAKE && !c->async.paused)
		evt_conn_step(c);
	else if (c->state == EVT_CONN_OPEN && !c->paused && !c->full)
		evt_conn_read(c);
	else
		evt_conn_stop_read(c);
	if (!c->dead && c->write_wants_read) {
		c->write_wants_read = 0;
		evt_conn_schedule(c);
	}
	evt_conn_leave(c);
}

struct evt_conn *evt_conn_make(struct evt_loop *l, int fd, size_t in_max, evt_conn_fn fn, void *arg)
{
	struct evt_conn *c = calloc(1, sizeof(*c));

	if (!c || event_assign(&c->read, l->base, fd, EV_READ | EV_PERSIST, on_readable, c) < 0) {
		free(c);
		close(fd);
		return NULL;
	}
	c->loop = l;
	c->fd = fd;
	c->fn = fn;
	c->arg = arg;
	/* Mail passes here: what the allocator gets back is wiped. */
	buf_init_wiped(&c->in, in_max);
	buf_init_wiped(&c->out, EVT_CONN_OUT_MAX);
	evt_timer_init(&c->timer, l, on_timer, c);
	c->defer.fn = work;
	c->defer.arg = c;
	c->state = EVT_CONN_OPEN;
	return c;
}

struct evt_conn *evt_conn_accept(struct evt_loop *l, int fd, size_t in_max, evt_conn_fn fn,
				 void *arg)
{
	struct evt_conn *c = evt_conn_make(l, fd, in_max, fn, arg);

	if (c && evt_conn_want_read(c) < 0) {
		evt_conn_close(c);
		return NULL;
	}
	return c;
}

void evt_conn_set_secret(struct evt_conn *c)
{
	c->secret = 1;
}

void evt_conn_finish(struct evt_conn *c)
{
	if (!c || c->dead)
		return;
	c->fn = NULL;
	c->finishing = 1;
	c->paused = 1;
	if (c->state == EVT_CONN_STARTTLS) {
		/* The answer to STARTTLS may leave; the handshake is off. */
		SSL_free(c->ssl);
		c->ssl = NULL;
		c->out.len = c->out.off + c->clear_left;
		c->state = EVT_CONN_OPEN;
	}
	if (c->state != EVT_CONN_OPEN || evt_timer_set(&c->timer, EVT_CONN_FINISH_USEC) < 0)
		evt_conn_close(c);
	else
		evt_conn_schedule(c);
}

struct buf *evt_conn_in(struct evt_conn *c)
{
	if (c->full)
		evt_conn_schedule(c);
	return &c->in;
}

void evt_conn_set_in_max(struct evt_conn *c, size_t in_max)
{
	c->in.max = in_max;
	evt_conn_want_read(c);
}

void evt_conn_again(struct evt_conn *c)
{
	c->again = 1;
	evt_conn_schedule(c);
}

uint8_t *evt_conn_reserve(struct evt_conn *c, size_t n)
{
	uint8_t *dst;

	if (c->write_broken || c->state == EVT_CONN_BROKEN)
		return NULL;
	dst = evt_pool_reserve(&c->loop->pool, &c->out, n, c->secret);
	c->out.failed = 0; /* nothing was added, so nothing is missing in the middle */
	return dst;
}

void evt_conn_commit(struct evt_conn *c, size_t n)
{
	buf_commit(&c->out, n);
	if (buf_size(&c->out) >= EVT_CONN_FLUSH_AT)
		evt_conn_flush(c);
	if (!c->writing)
		evt_conn_schedule(c);
}

int evt_conn_write(struct evt_conn *c, const void *p, size_t n)
{
	uint8_t *dst;

	if (n == 0)
		return 0;
	dst = evt_conn_reserve(c, n);
	if (!dst)
		return c->write_broken || c->state == EVT_CONN_BROKEN ? ERR_CLOSED
		       : n > buf_room(&c->out)			      ? ERR_LIMIT
								      : ERR_NOMEM;
	memcpy(dst, p, n);
	evt_conn_commit(c, n);
	return 0;
}

size_t evt_conn_unsent(const struct evt_conn *c)
{
	return buf_size(&c->out);
}

void evt_conn_notify_drained(struct evt_conn *c, size_t low)
{
	c->low = low;
	c->want_drained = 1;
	if (!c->writing)
		evt_conn_schedule(c);
}

void evt_conn_read_pause(struct evt_conn *c)
{
	c->paused = 1;
}

void evt_conn_read_resume(struct evt_conn *c)
{
	if (!c->paused || c->finishing)
		return;
	c->paused = 0;
	c->reread |= (unsigned)evt_conn_inside(c);
	if (!c->reading || c->reread)
		evt_conn_schedule(c);
}

void evt_conn_set_timeout(struct evt_conn *c, int64_t usec)
{
	if (c->finishing || c->dead)
		return;
	if (usec <= 0)
		evt_timer_stop(&c->timer);
	else if (evt_timer_set(&c->timer, usec) < 0)
		evt_conn_fail(c, ERR_NOMEM, "out of memory");
}

int evt_conn_error(const struct evt_conn *c, const char **text)
{
	if (text)
		*text = c->why ? c->why : "no error";
	return c->err;
}

SSL *evt_conn_ssl(struct evt_conn *c)
{
	return c->ssl;
}

int evt_conn_fd(const struct evt_conn *c)
{
	return c->fd;
}
