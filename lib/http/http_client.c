/* SPDX-License-Identifier: Apache-2.0 */
#include "http/http_client.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/err.h"
#include "http/http_request.h"

#define PIECE 65536

static int failure(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ECONNREFUSED:
		return ERR_AWAY;
	case EAGAIN:
	case EINPROGRESS:
		return ERR_TIMEOUT;
	default:
		return err_from_errno(errnum);
	}
}

static int dial(const char *path, int64_t timeout, int *out)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = timeout / 1000000, .tv_usec = timeout % 1000000};
	int fd, err;

	if (strlen(path) >= sizeof(a.sun_path))
		return ERR_LIMIT;
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_from_errno(errno);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		err = failure(errno);
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

static int write_all(int fd, struct span s)
{
	while (s.n) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? ERR_TIMEOUT : ERR_CLOSED;
		s = span_sub(s, (size_t)n, s.n);
	}
	return 0;
}

/* Reads a whole answer; in then holds its body. */
static int read_answer(int fd, struct buf *in, int *status)
{
	struct http_response r;
	int head = 0;

	for (;;) {
		uint8_t *p;
		ssize_t n;
		if (!head && (head = http_request_parse_response(buf_span(in), &r)) < 0)
			return head;
		if (head > 0 && r.content_length > in->max)
			return ERR_LIMIT;
		if (head > 0 && buf_size(in) >= (size_t)head + r.content_length)
			break;
		p = buf_reserve(in, buf_room(in) < PIECE ? buf_room(in) : PIECE);
		if (!p || buf_room(in) == 0)
			return p ? ERR_LIMIT : buf_failed(in);
		n = read(fd, p, buf_room(in) < PIECE ? buf_room(in) : PIECE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 || errno != EAGAIN ? ERR_CLOSED : ERR_TIMEOUT;
		buf_commit(in, (size_t)n);
	}
	*status = r.status;
	buf_drain(in, (size_t)head);
	in->len = in->off + (size_t)r.content_length; /* nothing is owed behind it */
	return 0;
}

int http_client_ask(const char *socket_path, const char *method, const char *target, struct span body, int64_t timeout_usec,
		    int *status, struct buf *in)
{
	struct buf out;
	int fd = -1, err = dial(socket_path, timeout_usec, &fd);

	if (err < 0)
		return err;
	buf_init_wiped(&out, body.n + 8192);
	buf_putf(&out, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", method,
		 target, body.n);
	err = buf_put_span(&out, body);
	if (err == 0)
		err = write_all(fd, buf_span(&out));
	buf_clear(&out);
	buf_reset(in);
	if (err == 0)
		err = read_answer(fd, in, status);
	close(fd);
	return err;
}
