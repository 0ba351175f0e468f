/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/conn_pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void note(struct conn_side *s, char what)
{
	size_t n = strlen(s->trail);

	if ((what == 'D' && n && s->trail[n - 1] == 'D') || n + 1 >= sizeof(s->trail))
		return;
	s->trail[n] = what;
	s->trail[n + 1] = '\0';
}

void conn_side_event(void *arg, struct evt_conn *c, enum evt_conn_event ev)
{
	struct conn_side *s = arg;
	const char *why;

	if (s->c != c)
		abort(); /* an event after close, or within a call that made it */
	note(s, "CTDREOX"[ev]);
	if (ev == EVT_CONN_DATA && !s->keep) {
		struct buf *in = evt_conn_in(c);
		if (buf_put(&s->got, buf_ptr(in), buf_size(in)) < 0)
			abort();
		buf_drain(in, buf_size(in));
	}
	if (ev == EVT_CONN_ERROR) {
		s->err = evt_conn_error(c, &why);
		snprintf(s->why, sizeof(s->why), "%s", why);
	}
	if (s->also)
		s->also(s, ev);
	if (s->c && s->close_at == (int)ev) {
		evt_conn_close(c);
		s->c = NULL;
	}
}

static void side_init(struct conn_side *s)
{
	memset(s, 0, sizeof(*s));
	buf_init(&s->got, 64u << 20);
	s->close_at = -1;
}

int conn_pair_open_half(struct conn_pair *p, size_t in_max)
{
	int fd[2];

	p->loop = evt_loop_new();
	side_init(&p->a);
	side_init(&p->b);
	if (!p->loop || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
		abort();
	p->a.c = evt_conn_accept(p->loop, fd[0], in_max, conn_side_event, &p->a);
	if (!p->a.c)
		abort();
	return fd[1];
}

void conn_pair_open(struct conn_pair *p, size_t in_max)
{
	int fd = conn_pair_open_half(p, in_max);

	p->b.c = evt_conn_accept(p->loop, fd, in_max, conn_side_event, &p->b);
	if (!p->b.c)
		abort();
}

void conn_pair_close(struct conn_pair *p)
{
	evt_conn_close(p->a.c);
	evt_conn_close(p->b.c);
	buf_clear(&p->a.got);
	buf_clear(&p->b.got);
	evt_loop_free(p->loop);
	memset(p, 0, sizeof(*p));
}

void conn_pair_settle(struct conn_pair *p)
{
	size_t before, now = (size_t)-1;

	do {
		before = now;
		for (int i = 0; i < 10; i++)
			evt_loop_turn(p->loop, 0);
		now = strlen(p->a.trail) + strlen(p->b.trail) + buf_size(&p->a.got) +
		      buf_size(&p->b.got);
	} while (now != before);
}

void conn_side_say(struct conn_side *s, const char *text)
{
	if (evt_conn_write(s->c, text, strlen(text)) < 0)
		abort();
}

const char *conn_side_heard(struct conn_side *s)
{
	static char text[2][4096];
	static int which;
	size_t n = buf_size(&s->got);

	which = !which;
	if (n >= sizeof(text[0]))
		abort();
	if (n)
		memcpy(text[which], buf_ptr(&s->got), n);
	text[which][n] = '\0';
	buf_drain(&s->got, n);
	return text[which];
}
