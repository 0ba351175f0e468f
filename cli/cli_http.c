/* SPDX-License-Identifier: Apache-2.0 */
/* cli_http - asks relay's local API: one request a connection. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/err.h"
#include "core/secret.h"
#include "http/http_request.h"

#define ANSWER_MAX (64u << 20)
#define WAIT_SECONDS 30

static int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = WAIT_SECONDS};
	int fd;

	if (strlen(path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Reads a whole answer; head_size and r are filled. */
static int read_answer(int fd, struct buf *in, size_t *head_size, struct http_response *r)
{
	int head = 0;

	for (;;) {
		uint8_t *p;
		ssize_t n;
		if (!head && (head = http_request_parse_response(buf_span(in), r)) < 0)
			return head;
		if (head > 0 && buf_size(in) >= (size_t)head + r->content_length) {
			*head_size = (size_t)head;
			return 0;
		}
		p = buf_reserve(in, 65536);
		if (!p)
			return buf_failed(in);
		n = read(fd, p, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? ERR_CLOSED : ERR_TIMEOUT;
		buf_commit(in, (size_t)n);
	}
}

/* The answer as JSON; a problem (RFC 9457) becomes a message and exit code 1. */
static int judge(const char *path, const struct http_response *r, struct span body, json_t **out)
{
	json_error_t e;
	json_t *j = body.n ? json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, &e)
			   : json_object();

	if (!j)
		return cli_fail(EXIT_ENVIRONMENT, "%s: the answer is not JSON", path);
	if (r->status >= 400) {
		const char *detail = json_string_value(json_object_get(j, "detail"));
		cli_fail(0, "%s", detail ? detail : "relay refuses");
		json_decref(j);
		return r->status == 404 ? CLI_NOT_THERE : EXIT_ENVIRONMENT;
	}
	*out = j;
	return 0;
}

/* What was said may hold addresses and passwords. */
static void forget(char *text, size_t size)
{
	if (text)
		secret_wipe(text, size);
	free(text);
}

int cli_api(const struct cli *c, const char *method, const char *path, int quiet_away, json_t **out)
{
	return cli_api_body(c, method, path, NULL, quiet_away, out);
}

static int write_all(int fd, struct span s)
{
	while (s.n) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_CLOSED;
		s = span_sub(s, (size_t)n, s.n);
	}
	return 0;
}

int cli_api_body(const struct cli *c, const char *method, const char *path, const json_t *body,
		 int quiet_away, json_t **out)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	size_t size = text ? strlen(text) : 0;
	struct http_response r;
	struct buf io;
	char sock[4200];
	size_t head = 0;
	int fd, rc;

	*out = NULL;
	snprintf(sock, sizeof(sock), "%s/api.sock", c->run_dir);
	fd = dial(sock);
	if (fd < 0) {
		rc = errno;
		forget(text, size);
		return quiet_away ? ERR_AWAY
				  : cli_fail(EXIT_ENVIRONMENT, "relay does not answer at %s: %s", sock,
					     strerror(rc));
	}
	buf_init_wiped(&io, ANSWER_MAX);
	buf_putf(&io, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
		 method, path, size);
	rc = buf_put(&io, text, size);
	forget(text, size);
	if (rc == 0)
		rc = write_all(fd, buf_span(&io));
	buf_reset(&io);
	if (rc == 0)
		rc = read_answer(fd, &io, &head, &r);
	close(fd);
	if (rc < 0)
		rc = cli_fail(EXIT_ENVIRONMENT, "%s: %s", sock, err_text(rc));
	else
		rc = judge(path, &r, span_sub(buf_span(&io), head, r.content_length), out);
	buf_clear(&io);
	return rc;
}
