/* SPDX-License-Identifier: Apache-2.0 */
#include "evt/evt_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "evt/evt_timer.h"

#define BACKLOG		 4096
#define ACCEPTS_PER_TURN 32
#define PAUSE_USEC	 100000
#define QUIET_USEC	 (60 * CLOCK_SEC)

struct evt_listen {
	struct evt_loop *loop;
	struct event *ev;
	struct evt_timer pause;
	evt_listen_fn fn;
	void *arg;
	int fd;
	int busy, dead;	    /* inside fn; closed there */
	int64_t complained; /* when accept-paused was logged, 0 never */
	char *path;
	dev_t dev;
	ino_t ino;
};

int evt_listen_address(struct span text, struct sockaddr_storage *out, socklen_t *len)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	char host[INET6_ADDRSTRLEN];
	struct span name;
	size_t colon = text.n;
	uint64_t port;
	int six;

	while (colon > 0 && text.p[colon - 1] != ':')
		colon--;
	if (colon == 0 || num_parse_u64(span_sub(text, colon, text.n), &port) < 0 || port > 65535)
		return ERR_FORMAT;
	name = span_sub(text, 0, colon - 1);
	six = name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']';
	if (six)
		name = span_sub(name, 1, name.n - 2);
	if (span_copy_str(host, sizeof(host), name) < 0)
		return ERR_FORMAT;
	memset(out, 0, sizeof(*out));
	if (six && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
	} else if (!six && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
	} else {
		return ERR_FORMAT;
	}
	if (len)
		*len = evt_listen_len(out);
	return 0;
}

socklen_t evt_listen_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET	  ? sizeof(struct sockaddr_in)
	       : a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					  : 0;
}

void evt_listen_format(char dst[64], const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

	strcpy(dst, a->ss_family == AF_UNIX ? "unix" : "unknown");
	if (a->ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, dst, 64);
	else if (a->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], dst, 64);
	else if (a->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, dst, 64);
}

static void release(struct evt_listen *li)
{
	free(li->path);
	free(li);
}

static void complain(struct evt_listen *li, int errnum)
{
	int64_t now = evt_loop_now(li->loop);

	if (li->complained && now - li->complained < QUIET_USEC)
		return;
	li->complained = now ? now : 1;
	log_event(LOG_LEVEL_WARN, NULL, "accept-paused", "error=\"%s\"", strerrordesc_np(errnum));
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct evt_listen *li = arg;
	struct sockaddr_storage peer;

	(void)what;
	li->busy = 1;
	for (int i = 0; i < ACCEPTS_PER_TURN && !li->dead; i++) {
		socklen_t len = sizeof(peer);
		int got;

		memset(&peer, 0, sizeof(peer.ss_family) + sizeof(struct sockaddr_in6));
		got = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (got >= 0) {
			if (li->path)
				peer.ss_family = AF_UNIX;
			li->fn(li->arg, got, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			complain(li, errno);
			if (evt_timer_set(&li->pause, PAUSE_USEC) == 0)
				event_del(li->ev);
			break;
		}
		if (errno == EAGAIN)
			break;
		/* anything else concerns one connection that came and went */
	}
	li->busy = 0;
	if (li->dead)
		release(li);
}

static void on_pause_over(void *arg)
{
	struct evt_listen *li = arg;

	if (event_add(li->ev, NULL) < 0)
		evt_timer_set(&li->pause, PAUSE_USEC);
}

/* Takes fd, which is bound. */
static struct evt_listen *start(struct evt_loop *l, int fd, evt_listen_fn fn, void *arg, int *err)
{
	struct evt_listen *li = NULL;

	if (listen(fd, BACKLOG) < 0) {
		*err = errno == EADDRINUSE ? ERR_EXISTS : err_from_errno(errno);
		close(fd);
		return NULL;
	}
	*err = ERR_NOMEM;
	li = calloc(1, sizeof(*li));
	if (!li) {
		close(fd);
		return NULL;
	}
	li->loop = l;
	li->fd = fd;
	li->fn = fn;
	li->arg = arg;
	evt_timer_init(&li->pause, l, on_pause_over, li);
	li->ev = event_new(evt_loop_base(l), fd, EV_READ | EV_PERSIST, on_readable, li);
	if (!li->ev || event_add(li->ev, NULL) < 0) {
		evt_listen_close(li);
		return NULL;
	}
	*err = 0;
	return li;
}

static int bind_error(int errnum)
{
	return errnum == EADDRINUSE	 ? ERR_EXISTS
	       : errnum == EADDRNOTAVAIL ? ERR_NOTFOUND
					 : err_from_errno(errnum);
}

struct evt_listen *evt_listen_tcp(struct evt_loop *l, const struct sockaddr_storage *address,
				  int reuseport, evt_listen_fn fn, void *arg, int *err)
{
	socklen_t len = evt_listen_len(address);
	int one = 1, fd;

	*err = ERR_FORMAT;
	if (len == 0)
		return NULL;
	fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		*err = err_from_errno(errno);
		return NULL;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Accepted sockets inherit it: one call here instead of one for each of them. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (reuseport)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (address->ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)address, len) < 0) {
		*err = bind_error(errno);
		close(fd);
		return NULL;
	}
	return start(l, fd, fn, arg, err);
}

/* Removes a socket file nobody answers on. 0: path is free now. */
static int clear_path(const struct sockaddr_un *a)
{
	struct stat st;
	int fd, result;

	if (lstat(a->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : err_from_errno(errno);
	if (!S_ISSOCK(st.st_mode))
		return ERR_EXISTS;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_from_errno(errno);
	result = connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 ? errno : 0;
	close(fd);
	if (result == EACCES || result == EPERM)
		return ERR_DENIED;
	if (result != ECONNREFUSED)
		return ERR_EXISTS;
	return unlink(a->sun_path) < 0 && errno != ENOENT ? err_from_errno(errno) : 0;
}

struct evt_listen *evt_listen_unix(struct evt_loop *l, const char *path, unsigned mode,
				   evt_listen_fn fn, void *arg, int *err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct evt_listen *li = NULL;
	struct stat st;
	int fd;

	*err = span_copy_str(a.sun_path, sizeof(a.sun_path), span_str(path));
	if (*err == 0)
		*err = clear_path(&a);
	if (*err < 0)
		return NULL;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* bind gives the file the socket's own mode less the umask; chmod then adds what the umask
	 * took. */
	if (fd < 0 || fchmod(fd, mode & 0777) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		*err = bind_error(errno);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	if (chmod(path, mode & 0777) < 0 || lstat(path, &st) < 0) {
		*err = err_from_errno(errno);
		close(fd);
	} else {
		li = start(l, fd, fn, arg, err);
	}
	if (li && !(li->path = strdup(path))) {
		evt_listen_close(li);
		li = NULL;
		*err = ERR_NOMEM;
	}
	if (!li) {
		unlink(path);
		return NULL;
	}
	li->dev = st.st_dev;
	li->ino = st.st_ino;
	return li;
}

unsigned evt_listen_port(const struct evt_listen *li)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);

	if (getsockname(li->fd, (struct sockaddr *)&a, &len) < 0)
		return 0;
	if (a.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&a)->sin_port);
	return a.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&a)->sin6_port) : 0;
}

void evt_listen_close(struct evt_listen *li)
{
	struct stat st;

	if (!li || li->dead)
		return;
	if (li->ev)
		event_free(li->ev);
	evt_timer_clear(&li->pause);
	if (li->path && lstat(li->path, &st) == 0 && st.st_dev == li->dev && st.st_ino == li->ino)
		unlink(li->path);
	close(li->fd);
	li->dead = 1;
	if (!li->busy)
		release(li);
}
