/* SPDX-License-Identifier: Apache-2.0 */
#include "evt/evt_conn_own.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/err.h"
#include "evt/evt_listen.h"

static int connect_error(int errnum)
{
	return errnum == ENOENT || errnum == EAGAIN ? ERR_AWAY : err_from_errno(errnum);
}

/* The connection stands, or the attempt failed. */
void evt_conn_connected(struct evt_conn *c)
{
	int errnum = 0;
	socklen_t len = sizeof(errnum);

	if (c->state != EVT_CONN_CONNECTING)
		return;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
		errnum = errno;
	if (errnum) {
		evt_conn_fail(c, connect_error(errnum), evt_conn_errno_text(errnum));
		return;
	}
	c->state = EVT_CONN_OPEN;
	if (evt_conn_want_read(c) < 0)
		return;
	evt_conn_schedule(c); /* the owner may have written already */
	evt_conn_emit(c, EVT_CONN_CONNECTED);
}

static struct evt_conn *start(struct evt_conn *c, const struct sockaddr *to, socklen_t len)
{
	if (!c)
		return NULL;
	c->state = EVT_CONN_CONNECTING;
	if (connect(c->fd, to, len) == 0) {
		c->connected = 1;
		evt_conn_schedule(c);
	} else if (errno == EINPROGRESS) {
		evt_conn_want_write(c);
	} else {
		evt_conn_fail(c, connect_error(errno), evt_conn_errno_text(errno));
	}
	return c;
}

struct evt_conn *evt_conn_connect(struct evt_loop *l, const struct sockaddr_storage *to,
				  const struct sockaddr_storage *source, size_t in_max,
				  evt_conn_fn fn, void *arg, int *err)
{
	socklen_t len = evt_listen_len(to);
	int one = 1, fd;
	struct evt_conn *c;

	*err = ERR_FORMAT;
	if (len == 0 || (source && source->ss_family != to->ss_family))
		return NULL;
	fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		*err = err_from_errno(errno);
		return NULL;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (source) {
		/* The port is chosen at connect, when the whole tuple is known: more fit. */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(fd, (const struct sockaddr *)source, len) < 0) {
			*err = errno == EADDRNOTAVAIL ? ERR_NOTFOUND : err_from_errno(errno);
			close(fd);
			return NULL;
		}
	}
	c = start(evt_conn_make(l, fd, in_max, fn, arg), (const struct sockaddr *)to, len);
	*err = c ? 0 : ERR_NOMEM;
	return c;
}

struct evt_conn *evt_conn_connect_unix(struct evt_loop *l, const char *path, size_t in_max,
				       evt_conn_fn fn, void *arg, int *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct evt_conn *c;
	int fd;

	*err = span_copy_str(a.sun_path, sizeof(a.sun_path), span_str(path));
	if (*err < 0)
		return NULL;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		*err = err_from_errno(errno);
		return NULL;
	}
	c = start(evt_conn_make(l, fd, in_max, fn, arg), (const struct sockaddr *)&a, sizeof(a));
	*err = c ? 0 : ERR_NOMEM;
	return c;
}
