/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_client_sync.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"
#include "core/secret.h"
#include "sys/sys_peer.h"
#include "wire/wire_frame.h"

#define FRAME_MAX (WIRE_FRAME_HEAD + WIRE_FRAME_BODY_MAX)
#define READ_SIZE 4096 /* most replies; a longer one says its length in its head */

struct keyproto_client_sync {
	char *path;
	char *program;
	unsigned role;
	int64_t timeout;
	int fd;		  /* -1: not connected */
	uint8_t state;	  /* enum keyproto_state; 0 when not connected */
	uint64_t request; /* of the last request */
	struct buf out;	  /* the request being written */
	size_t at;
	int begun;
	struct buf in;
	uid_t trusted[KEYPROTO_CLIENT_SYNC_TRUST]; /* whom it may be; any if there are none */
	unsigned trusted_count;
	size_t taken; /* bytes at the front of in that the caller's reply lives in */
};

struct keyproto_client_sync *keyproto_client_sync_new(const char *path, unsigned role,
						      const char *program, int64_t timeout_usec)
{
	struct keyproto_client_sync *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->path = strdup(path);
	c->program = strdup(program);
	c->role = role;
	c->timeout = timeout_usec;
	c->fd = -1;
	buf_init_wiped(&c->out, FRAME_MAX);
	buf_init_wiped(&c->in, FRAME_MAX);
	if (!c->path || !c->program) {
		keyproto_client_sync_free(c);
		return NULL;
	}
	return c;
}

/* Keys and passphrases pass through both buffers, so what is done with is overwritten at once. */
static void forget(struct buf *b, size_t n)
{
	if (n)
		secret_wipe(b->data + b->off, n);
	buf_drain(b, n);
}

static int disconnect(struct keyproto_client_sync *c, int code)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->state = 0;
	c->taken = 0;
	forget(&c->in, buf_size(&c->in));
	buf_reset(&c->in);
	return code;
}

void keyproto_client_sync_free(struct keyproto_client_sync *c)
{
	if (!c)
		return;
	disconnect(c, 0);
	buf_clear(&c->in);
	buf_clear(&c->out);
	free(c->path);
	free(c->program);
	free(c);
}

static int wait_for(int fd, short events, int64_t deadline)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = events};
		int64_t left = deadline - clock_mono();
		int n;

		if (left <= 0)
			return ERR_TIMEOUT;
		n = poll(&p, 1, (int)((left + 999) / 1000));
		if (n > 0)
			return 0;
		if (n == 0)
			return ERR_TIMEOUT;
		if (errno != EINTR)
			return err_from_errno(errno);
	}
}

static int send_all(int fd, struct span s, int64_t deadline)
{
	while (s.n) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r;

		if (n >= 0) {
			s = span_sub(s, (size_t)n, s.n);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_from_errno(errno);
		r = wait_for(fd, POLLOUT, deadline);
		if (r != 0)
			return r;
	}
	return 0;
}

/* >0: bytes added to in. 0: none there now. */
static int receive(struct keyproto_client_sync *c)
{
	size_t have = buf_size(&c->in), want = READ_SIZE;
	uint8_t *p;
	ssize_t n;

	if (have >= WIRE_FRAME_HEAD)
		want = WIRE_FRAME_HEAD + num_get_u32(buf_ptr(&c->in) + 4) - have;
	if (want > buf_room(&c->in))
		want = buf_room(&c->in);
	p = buf_reserve(&c->in, want);
	if (!p)
		return ERR_NOMEM;
	do
		n = recv(c->fd, p, want, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : err_from_errno(errno);
	if (n == 0)
		return ERR_CLOSED;
	buf_commit(&c->in, (size_t)n);
	return (int)n;
}

/* A push is noted and passed over. 1 if f was one. */
static int take_push(struct keyproto_client_sync *c, const struct wire_frame *f)
{
	uint8_t state;

	if (f->request != 0)
		return 0;
	if (f->opcode == KEYPROTO_EVENT && keyproto_event_get(f->body, &state) == 0)
		c->state = state;
	return 1;
}

/* The next frame that is no push: >0 its length, f points into in. 0: none there, deadline is 0. */
static int next_frame(struct keyproto_client_sync *c, struct wire_frame *f, int64_t deadline)
{
	for (;;) {
		int n = wire_frame_parse(buf_span(&c->in), f);

		if (n > 0 && take_push(c, f)) {
			forget(&c->in, (size_t)n);
			continue;
		}
		if (n != 0)
			return n;
		n = receive(c);
		if (n < 0)
			return n;
		if (n > 0)
			continue;
		if (deadline == 0)
			return 0;
		n = wait_for(c->fd, POLLIN, deadline);
		if (n < 0)
			return n;
	}
}

/* Waits for the reply to the last request; its body is f->body and n bytes of in are its frame. */
static int reply_of(struct keyproto_client_sync *c, uint16_t op, int64_t deadline,
		    struct wire_frame *f)
{
	int n = next_frame(c, f, deadline);

	if (n < 0)
		return disconnect(c, n);
	if (f->request != c->request || f->opcode != op)
		return disconnect(c, ERR_FORMAT);
	c->taken = (size_t)n;
	return 0;
}

static void release_reply(struct keyproto_client_sync *c)
{
	forget(&c->in, c->taken);
	c->taken = 0;
}

void keyproto_client_sync_trust(struct keyproto_client_sync *c, const uid_t *uids, unsigned count)
{
	c->trusted_count = count < KEYPROTO_CLIENT_SYNC_TRUST ? count : KEYPROTO_CLIENT_SYNC_TRUST;
	memcpy(c->trusted, uids, c->trusted_count * sizeof(uids[0]));
}

/* 1 if the server is who it ought to be. */
static int is_trusted(const struct keyproto_client_sync *c)
{
	uid_t uid;

	if (c->trusted_count == 0)
		return 1;
	if (sys_peer_uid(c->fd, &uid, NULL) < 0)
		return 0;
	for (unsigned i = 0; i < c->trusted_count; i++)
		if (c->trusted[i] == uid)
			return 1;
	return 0;
}

static int dial(struct keyproto_client_sync *c)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = (time_t)(c->timeout / CLOCK_SEC),
			     .tv_usec = (suseconds_t)(c->timeout % CLOCK_SEC)};

	if (strlen(c->path) >= sizeof(sa.sun_path))
		return ERR_LIMIT;
	strcpy(sa.sun_path, c->path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return err_from_errno(errno);
	/* A full backlog makes connect wait; this bounds it. */
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(c->fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0)
		return is_trusted(c) ? 0 : disconnect(c, ERR_AUTH);
	return disconnect(c, errno == EACCES || errno == EPERM ? ERR_DENIED : ERR_AWAY);
}

static int say_hello(struct keyproto_client_sync *c, int64_t deadline)
{
	struct keyproto_hello m = {WIRE_FRAME_VERSION, WIRE_FRAME_VERSION, (uint8_t)c->role,
				   span_str(c->program)};
	struct keyproto_hello_reply reply;
	struct wire_frame f;
	struct buf b;
	size_t at;
	int r;

	buf_init(&b, 256);
	at = wire_frame_open(&b);
	keyproto_hello_put(&b, &m);
	r = wire_frame_close(&b, at, KEYPROTO_HELLO, ++c->request, 0, 0);
	if (r == 0)
		r = send_all(c->fd, buf_span(&b), deadline);
	buf_clear(&b);
	if (r == 0)
		r = reply_of(c, KEYPROTO_HELLO, deadline, &f);
	if (r == 0 && f.status)
		r = keyproto_err_of_status(f.status);
	if (r == 0)
		r = keyproto_hello_reply_get(f.body, &reply);
	if (r == 0 && reply.version != WIRE_FRAME_VERSION)
		r = ERR_UNSUPPORTED;
	if (r != 0)
		return disconnect(c, r);
	c->state = reply.state;
	release_reply(c);
	return 0;
}

/* Reads pushes that wait. Sees a peer that is gone, and then is not connected afterwards. */
static void look(struct keyproto_client_sync *c)
{
	struct wire_frame f;

	release_reply(c);
	if (c->fd >= 0 && next_frame(c, &f, 0) != 0)
		disconnect(c, 0); /* gone, or talks without being asked */
}

int keyproto_client_sync_open(struct keyproto_client_sync *c, uint8_t *state)
{
	int r = 0;

	if (state)
		*state = 0;
	look(c);
	if (c->fd < 0) {
		r = dial(c);
		if (r == 0)
			r = say_hello(c, clock_mono() + c->timeout);
	}
	if (r == 0 && state)
		*state = c->state;
	return r;
}

struct buf *keyproto_client_sync_begin(struct keyproto_client_sync *c)
{
	forget(&c->out, buf_size(&c->out));
	buf_reset(&c->out);
	c->at = wire_frame_open(&c->out);
	c->begun = 1;
	return &c->out;
}

int keyproto_client_sync_call(struct keyproto_client_sync *c, uint16_t op, struct span *reply)
{
	struct wire_frame f;
	int64_t deadline;
	int r;

	if (reply)
		*reply = span_of(NULL, 0);
	if (!c->begun)
		keyproto_client_sync_begin(c);
	c->begun = 0;
	r = keyproto_client_sync_open(c, NULL);
	if (r == 0)
		r = wire_frame_close(&c->out, c->at, op, ++c->request, 0, 0);
	if (r != 0) {
		forget(&c->out, buf_size(&c->out));
		return r;
	}
	deadline = clock_mono() + c->timeout;
	r = send_all(c->fd, buf_span(&c->out), deadline);
	forget(&c->out, buf_size(&c->out));
	if (r != 0)
		return disconnect(c, r);
	r = reply_of(c, op, deadline, &f);
	if (r == 0)
		r = keyproto_err_of_status(f.status);
	if (r == 0 && reply)
		*reply = f.body;
	return r;
}
