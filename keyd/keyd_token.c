/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_token.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/secret.h"
#include "keyd/keyd_token_msg.h"
#include "sys/sys_program.h"

#define PROGRAM	    "sealpost-keyd-token"
#define GRACE	    (5 * CLOCK_SEC) /* the helper itself keeps the limit: this is for one that hangs */
#define MODULES_MAX 16
#define ENVIRONMENT 512 /* variables */

struct keyd_token {
	pthread_mutex_t lock; /* held during a call */
	int fd;
	atomic_int dead;
	uint32_t last_id;
	int64_t timeout;
};

extern char **environ;

/* Modules are configured by variables of their own, so most pass; not those that are about keyd. */
static void copy_environment(char **out, size_t size)
{
	static const char *const ours[] = {"CREDENTIALS_DIRECTORY=", "NOTIFY_SOCKET=", "LISTEN_",
					   "WATCHDOG_", "SEALPOST_"};
	size_t n = 0;

	for (char **e = environ; *e && n + 1 < size; e++) {
		unsigned i = 0;
		while (i < sizeof(ours) / sizeof(ours[0]) &&
		       strncmp(*e, ours[i], strlen(ours[i])) != 0)
			i++;
		if (i == sizeof(ours) / sizeof(ours[0]))
			out[n++] = *e;
	}
	out[n] = NULL;
}

/* Runs the helper with fd as its standard input. 0 or errno. */
static int spawn(const char *path, const struct keyd_token_conf *conf, int fd)
{
	const char *argv[2 + 2 * MODULES_MAX + 1] = {path};
	char *env[ENVIRONMENT];
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	unsigned n = 1;
	pid_t pid;
	int rc;

	for (size_t i = 0; i < conf->module_count && i < MODULES_MAX; i++) {
		argv[n++] = "-m";
		argv[n++] = conf->modules[i];
	}
	copy_environment(env, ENVIRONMENT);
	sigfillset(&all);
	sigemptyset(&none);
	if (posix_spawn_file_actions_init(&files))
		return ENOMEM;
	if (posix_spawnattr_init(&attr)) {
		posix_spawn_file_actions_destroy(&files);
		return ENOMEM;
	}
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	rc = posix_spawn_file_actions_adddup2(&files, fd, STDIN_FILENO);
	if (rc == 0)
		rc = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY,
						      0);
	if (rc == 0)
		rc = posix_spawn(&pid, path, &files, &attr, (char *const *)argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return rc;
}

struct keyd_token *keyd_token_attach(int fd, int64_t timeout)
{
	struct keyd_token *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->fd = fd;
	t->timeout = timeout;
	return t;
}

struct keyd_token *keyd_token_start(const struct keyd_token_conf *conf, const char **why)
{
	char room[SYS_PROGRAM_PATH];
	const char *path =
	    conf->helper ? conf->helper : sys_program_find(PROGRAM, room, sizeof(room));
	struct keyd_token *t = NULL;
	int pair[2];

	*why = "sealpost-keyd-token is not installed";
	if (access(path, X_OK) < 0)
		return NULL;
	*why = "sealpost-keyd-token cannot be started";
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return NULL;
	/* keyd has no other children: those that end are gathered by the kernel. */
	signal(SIGCHLD, SIG_IGN);
	if (spawn(path, conf, pair[1]) == 0)
		t = keyd_token_attach(pair[0], conf->timeout);
	close(pair[1]);
	if (!t)
		close(pair[0]);
	return t;
}

void keyd_token_stop(struct keyd_token *t)
{
	if (!t)
		return;
	close(t->fd);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void keyd_token_quit(struct keyd_token *t)
{
	if (t) {
		atomic_store(&t->dead, 1);
		shutdown(t->fd, SHUT_RDWR);
	}
}

int keyd_token_alive(const struct keyd_token *t)
{
	struct pollfd p = {.events = POLLRDHUP};

	if (!t || atomic_load(&t->dead))
		return 0;
	p.fd = t->fd;
	return poll(&p, 1, 0) <= 0;
}

/* Whoever answers wrongly once is not asked again. */
static unsigned give_up(struct keyd_token *t, unsigned why)
{
	keyd_token_quit(t);
	return why;
}

/* Waits for the answer: bytes, or -1. */
static ssize_t receive(struct keyd_token *t, uint8_t *room, int64_t until)
{
	struct pollfd p = {.fd = t->fd, .events = POLLIN};
	int64_t left;
	int n;

	do {
		left = until - clock_mono();
		n = left > 0 ? poll(&p, 1, (int)(left / 1000) + 1) : 0;
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return recv(t->fd, room, KEYD_TOKEN_MSG_MAX, MSG_DONTWAIT | MSG_TRUNC);
	errno = ETIMEDOUT;
	return -1;
}

/* One request and its reply in room; the lock is held. */
static unsigned exchange(struct keyd_token *t, struct keyd_token_ask *ask, uint8_t *room,
			 struct keyd_token_reply *reply)
{
	struct buf b = keyd_token_msg_buf(room, KEYD_TOKEN_MSG_MAX);
	int64_t until = clock_mono() + t->timeout + GRACE;
	ssize_t n;

	if (atomic_load(&t->dead))
		return KEYD_TOKEN_NO_HELPER;
	if (++t->last_id == 0)
		t->last_id = 1;
	ask->id = t->last_id;
	ask->limit_ms = (uint32_t)(t->timeout / 1000);
	if (keyd_token_msg_ask_put(&b, ask) < 0)
		return KEYD_TOKEN_BAD_CALL;
	if (send(t->fd, buf_ptr(&b), buf_size(&b), MSG_NOSIGNAL) < 0)
		return give_up(t, KEYD_TOKEN_NO_HELPER);
	n = receive(t, room, until);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return give_up(t, KEYD_TOKEN_NO_HELPER);
	if (n < 0 || n > KEYD_TOKEN_MSG_MAX ||
	    keyd_token_msg_reply_get(span_of(room, (size_t)n), reply) < 0 || reply->id != ask->id)
		return give_up(t, KEYD_TOKEN_HELPER_BROKEN);
	return reply->why;
}

/* Takes from the reply what this operation is to bring. */
static unsigned take(struct keyd_token *t, const struct keyd_token_ask *ask,
		     const struct keyd_token_reply *reply, struct keyd_token_blob *blob,
		     uint8_t *key)
{
	int fits = ask->op == KEYD_TOKEN_WRAP	? reply->kind != 0
		   : ask->op == KEYD_TOKEN_TEST ? reply->data.n == 0
						: !reply->kind && reply->data.n == KEYD_TOKEN_KEY;

	if (!fits)
		return give_up(t, KEYD_TOKEN_HELPER_BROKEN);
	if (ask->op == KEYD_TOKEN_WRAP) {
		blob->kind = reply->kind;
		blob->size = (uint16_t)reply->data.n;
		memcpy(blob->bytes, reply->data.p, reply->data.n);
	} else if (ask->op == KEYD_TOKEN_UNWRAP) {
		memcpy(key, reply->data.p, KEYD_TOKEN_KEY);
	}
	return KEYD_TOKEN_OK;
}

static unsigned call(struct keyd_token *t, const struct keyd_token_where *where,
		     struct keyd_token_ask *ask, struct keyd_token_blob *blob, uint8_t *key)
{
	struct keyd_token_reply reply;
	uint8_t *room;
	unsigned result;

	if (!t)
		return KEYD_TOKEN_NO_HELPER;
	room = secret_alloc(KEYD_TOKEN_MSG_MAX);
	if (!room)
		return KEYD_TOKEN_NO_MEMORY;
	ask->uri = span_str(where->uri);
	ask->pin = where->pin;
	ask->context = where->context;
	ask->unattended = where->unattended != 0;
	result = KEYD_TOKEN_CALL_BUSY;
	if (pthread_mutex_trylock(&t->lock) == 0) {
		result = exchange(t, ask, room, &reply);
		if (result == KEYD_TOKEN_OK)
			result = take(t, ask, &reply, blob, key);
		pthread_mutex_unlock(&t->lock);
	}
	secret_free(room, KEYD_TOKEN_MSG_MAX);
	return result;
}

static int finish(unsigned result, const char **why)
{
	*why = result == KEYD_TOKEN_OK ? NULL : keyd_token_msg_text(result);
	return keyd_token_msg_err(result);
}

int keyd_token_wrap(struct keyd_token *t, const struct keyd_token_where *where,
		    const uint8_t key[KEYD_TOKEN_KEY], struct keyd_token_blob *out,
		    const char **why)
{
	struct keyd_token_ask ask = {.op = KEYD_TOKEN_WRAP, .data = span_of(key, KEYD_TOKEN_KEY)};

	return finish(call(t, where, &ask, out, NULL), why);
}

int keyd_token_unwrap(struct keyd_token *t, const struct keyd_token_where *where,
		      const struct keyd_token_blob *blob, uint8_t key[KEYD_TOKEN_KEY],
		      const char **why)
{
	struct keyd_token_ask ask = {
	    .op = KEYD_TOKEN_UNWRAP, .kind = blob->kind, .data = span_of(blob->bytes, blob->size)};

	return finish(call(t, where, &ask, NULL, key), why);
}

int keyd_token_test(struct keyd_token *t, const struct keyd_token_where *where, const char **why)
{
	struct keyd_token_ask ask = {.op = KEYD_TOKEN_TEST};

	return finish(call(t, where, &ask, NULL, NULL), why);
}
