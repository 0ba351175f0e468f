/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/token_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_token_msg.h"
#include "keyd/token/token_work.h"

#define LEAVE (2 * CLOCK_SEC) /* for a worker that has answered */

/* One packet, in secret memory. */
struct packet {
	uint8_t bytes[KEYD_TOKEN_MSG_MAX];
	size_t n;
};

struct worker {
	pid_t pid;
	int fd;
};

/* What became of a wait. */
enum outcome { READABLE, EXPIRED, KEYD_GONE };

/* The worker's life. Its memory is a copy: the arena came over empty and unlocked. */
static void work(const struct token_serve *s, pid_t parent, int fd)
{
	struct packet *in = secret_alloc(sizeof(*in)), *out = secret_alloc(sizeof(*out));
	int nothing = open("/dev/null", O_RDWR);
	ssize_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || !in || !out || nothing < 0 || dup2(nothing, s->fd) < 0 ||
	    mlock(in, sizeof(*in)) < 0 || mlock(out, sizeof(*out)) < 0)
		_exit(EXIT_ENVIRONMENT);
	n = recv(fd, in->bytes, sizeof(in->bytes), 0);
	if (n <= 0)
		_exit(EXIT_ENVIRONMENT);
	token_work(span_of(in->bytes, (size_t)n), s->modules, s->module_count, fd, out->bytes);
	secret_wipe(in, sizeof(*in));
	secret_wipe(out, sizeof(*out));
	log_flush();
	_exit(0);
}

static int start(const struct token_serve *s, struct worker *w)
{
	pid_t parent = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return ERR_IO;
	w->pid = fork();
	if (w->pid == 0) {
		setpgid(0, 0);
		close(pair[0]);
		work(s, parent, pair[1]);
	}
	close(pair[1]);
	if (w->pid < 0) {
		close(pair[0]);
		return ERR_NOMEM;
	}
	setpgid(w->pid, w->pid); /* whoever comes first */
	w->fd = pair[0];
	return 0;
}

/* Until the worker says something or is gone, time is up, or keyd has left. */
static enum outcome await(const struct token_serve *s, const struct worker *w, int64_t until)
{
	struct pollfd p[2] = {{.fd = w->fd, .events = POLLIN}, {.fd = s->fd, .events = POLLRDHUP}};
	int64_t left;
	int n;

	do {
		left = until - clock_mono();
		n = left > 0 ? poll(p, 2, (int)(left / 1000) + 1) : 0;
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return EXPIRED;
	return p[1].revents ? KEYD_GONE : READABLE;
}

/* Kills what is left of the worker and whatever its module started. expected: that is no news. */
static void end(const struct worker *w, uint32_t id, int expected)
{
	int status = 0;

	kill(-w->pid, SIGKILL);
	kill(w->pid, SIGKILL);
	while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(w->fd);
	if (WIFSIGNALED(status) && !(expected && WTERMSIG(status) == SIGKILL))
		log_event(LOG_LEVEL_WARN, NULL, "token-worker-killed", "request=%u signal=%d",
			  (unsigned)id, WTERMSIG(status));
}

/* The worker's answer to this request, or why there is none. */
static unsigned listen_to(const struct worker *w, struct packet *p, uint32_t id)
{
	struct keyd_token_reply reply;
	ssize_t n = recv(w->fd, p->bytes, sizeof(p->bytes), MSG_TRUNC);

	if (n <= 0)
		return KEYD_TOKEN_CRASHED;
	p->n = (size_t)n;
	if (p->n > sizeof(p->bytes) ||
	    keyd_token_msg_reply_get(span_of(p->bytes, p->n), &reply) < 0 || reply.id != id)
		return KEYD_TOKEN_CRASHED;
	return KEYD_TOKEN_OK;
}

/* A failure of ours in place of the worker's answer. */
static void fail(struct packet *p, uint32_t id, unsigned why)
{
	struct keyd_token_reply reply = {.why = (uint8_t)why, .id = id};
	struct buf b = keyd_token_msg_buf(p->bytes, sizeof(p->bytes));

	keyd_token_msg_reply_put(&b, &reply);
	p->n = buf_size(&b);
}

static int answer(const struct token_serve *s, struct packet *p)
{
	ssize_t n = send(s->fd, p->bytes, p->n, MSG_NOSIGNAL);

	secret_wipe(p, sizeof(*p));
	return n < 0 ? ERR_CLOSED : 0;
}

/* The request in p is done by a worker; p then holds the reply, which is sent. */
static int serve_one(const struct token_serve *s, struct packet *p)
{
	struct keyd_token_ask ask;
	struct worker w;
	int64_t until;
	unsigned why = KEYD_TOKEN_CRASHED;
	enum outcome outcome;
	int rc;

	if (keyd_token_msg_ask_get(span_of(p->bytes, p->n), &ask) < 0)
		return ERR_FORMAT;
	until = clock_mono() + (int64_t)ask.limit_ms * 1000;
	if (start(s, &w) < 0) {
		fail(p, ask.id, KEYD_TOKEN_NO_MEMORY);
		return answer(s, p);
	}
	rc = send(w.fd, p->bytes, p->n, MSG_NOSIGNAL) < 0 ? ERR_IO : 0;
	secret_wipe(p, sizeof(*p));
	outcome = rc == 0 ? await(s, &w, until) : READABLE;
	if (outcome == READABLE)
		why = listen_to(&w, p, ask.id);
	else
		why = KEYD_TOKEN_TIMEOUT;
	if (why != KEYD_TOKEN_OK)
		fail(p, ask.id, why);
	rc = outcome == KEYD_GONE ? ERR_CLOSED : answer(s, p);
	if (why == KEYD_TOKEN_OK)
		outcome = await(s, &w, clock_mono() + LEAVE);
	end(&w, ask.id, outcome == KEYD_GONE);
	return rc;
}

int token_serve_run(const struct token_serve *s)
{
	struct packet *p = secret_alloc(sizeof(*p));
	int rc = p ? 0 : ERR_NOMEM;
	ssize_t n;

	while (rc == 0) {
		log_flush();
		n = recv(s->fd, p->bytes, sizeof(p->bytes), MSG_TRUNC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = ERR_CLOSED;
			break;
		}
		p->n = (size_t)n;
		rc = p->n > sizeof(p->bytes) ? ERR_FORMAT : serve_one(s, p);
	}
	secret_free(p, sizeof(*p));
	if (rc != ERR_CLOSED)
		log_event(LOG_LEVEL_ERROR, NULL, "token-stopped", "error=\"%s\"", err_text(rc));
	log_flush();
	return rc == ERR_CLOSED ? 0 : rc;
}
