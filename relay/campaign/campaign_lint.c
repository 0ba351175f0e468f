/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/campaign/campaign_lint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/list.h"
#include "core/secret.h"
#include "sys/sys_program.h"

#define PROGRAM "sealpost-lint"

struct job {
	struct relay_msg msg; /* home, from the thread */
	struct list_link link;
	struct campaign_lint *lint;
	campaign_lint_fn fn;
	void *arg;
	char *source;
	size_t size;
	int64_t until; /* mono */
	int stop;      /* end of a pair: what can be read from it ends the wait */
	int err;
	struct buf answer;
};

struct campaign_lint {
	struct relay *relay;
	struct list waiting;
	unsigned count;
	struct job *running; /* NULL: none */
	pthread_t thread;
	int stop; /* our end of the running job's pair */
};

/* --- the thread */

/* Runs the program with fd as its input and output. 0 or errno. Nothing of our environment concerns it. */
static int spawn(int fd, pid_t *pid)
{
	char room[SYS_PROGRAM_PATH];
	const char *path = sys_program_find(PROGRAM, room, sizeof(room));
	char *const argv[] = {(char *)path, NULL}, *const env[] = {NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int rc;

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
		rc = posix_spawn_file_actions_adddup2(&files, fd, STDOUT_FILENO);
	if (rc == 0)
		rc = posix_spawn(pid, path, &files, &attr, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return rc;
}

/* Gives what it takes. 0, or ERR_CLOSED. */
static int feed(struct job *j, int fd, size_t *sent)
{
	ssize_t n = send(fd, j->source + *sent, j->size - *sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		*sent += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		return ERR_CLOSED;
	if (*sent == j->size)
		shutdown(fd, SHUT_WR);
	return 0;
}

/* 1: more may come, 0: that was all, or ERR_*. */
static int take(struct job *j, int fd)
{
	uint8_t *p = buf_reserve(&j->answer, 65536);
	ssize_t n;

	if (!p)
		return buf_failed(&j->answer);
	n = recv(fd, p, 65536, MSG_DONTWAIT);
	if (n > 0)
		buf_commit(&j->answer, (size_t)n);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)) ? 1
	       : n == 0						       ? 0
								       : ERR_CLOSED;
}

static int talk(struct job *j, int fd)
{
	size_t sent = 0;
	int rc = 1;

	while (rc == 1) {
		struct pollfd p[2] = {
		    {.fd = fd, .events = (short)(POLLIN | (sent < j->size ? POLLOUT : 0))},
		    {.fd = j->stop, .events = POLLIN}};
		int64_t left = j->until - clock_mono();
		int n = left > 0 ? poll(p, 2, (int)(left / 1000) + 1) : 0;
		if (n < 0 && errno != EINTR)
			return ERR_IO;
		if (n < 0)
			continue;
		if (n == 0)
			return ERR_TIMEOUT;
		if (p[1].revents)
			return ERR_CLOSED;
		if (sent < j->size && (p[0].revents & POLLOUT))
			rc = feed(j, fd, &sent) < 0 ? ERR_CLOSED : 1;
		if (rc == 1 && (p[0].revents & (POLLIN | POLLHUP | POLLERR)))
			rc = take(j, fd);
	}
	return rc;
}

static int run_program(struct job *j)
{
	int pair[2], rc, status = 0;
	pid_t pid = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return ERR_NOMEM;
	rc = spawn(pair[1], &pid);
	close(pair[1]);
	if (rc) {
		close(pair[0]);
		return rc == ENOENT || rc == EACCES ? ERR_NOTFOUND : ERR_NOMEM;
	}
	rc = talk(j, pair[0]);
	if (rc < 0)
		kill(pid, SIGKILL);
	close(pair[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc == 0 && (!WIFEXITED(status) || WEXITSTATUS(status)))
		rc = ERR_CLOSED;
	return rc;
}

static void *run_thread(void *arg)
{
	struct job *j = arg;

	j->err = run_program(j);
	evt_inbox_post(j->lint->relay->inbox, &j->msg.msg);
	return NULL;
}

/* --- control */

static void job_free(struct job *j)
{
	if (j->source)
		secret_wipe(j->source, j->size);
	free(j->source);
	buf_clear(&j->answer);
	if (j->stop >= 0)
		close(j->stop);
	free(j);
}

static void start_next(struct campaign_lint *l);

static void on_home(struct relay_msg *m, void *receiver)
{
	struct job *j = (struct job *)m;
	struct campaign_lint *l = j->lint;
	json_t *answer = NULL;

	(void)receiver;
	pthread_join(l->thread, NULL);
	close(l->stop);
	l->running = NULL;
	if (j->err == 0)
		answer = json_loadb((const char *)buf_ptr(&j->answer), buf_size(&j->answer),
				    JSON_REJECT_DUPLICATES, NULL);
	if (j->err == 0 && (!json_is_boolean(json_object_get(answer, "ok")) ||
			    !json_is_array(json_object_get(answer, "findings")))) {
		json_decref(answer);
		answer = NULL;
		j->err = ERR_FORMAT;
	}
	j->fn(j->arg, j->err, answer);
	job_free(j);
	start_next(l);
}

static int start(struct campaign_lint *l, struct job *j)
{
	sigset_t all, old;
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return ERR_NOMEM;
	j->stop = pair[0];
	j->until = clock_mono() + CAMPAIGN_LINT_TIME;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&l->thread, NULL, run_thread, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		close(pair[1]);
		return ERR_NOMEM;
	}
	l->stop = pair[1];
	l->running = j;
	return 0;
}

static void start_next(struct campaign_lint *l)
{
	while (!l->running && !list_empty(&l->waiting)) {
		struct job *j = list_entry(list_first(&l->waiting), struct job, link);
		int err;
		list_remove(&j->link);
		l->count--;
		err = start(l, j);
		if (err < 0) {
			j->fn(j->arg, err, NULL);
			job_free(j);
		}
	}
}

struct campaign_lint *campaign_lint_new(struct relay *r)
{
	struct campaign_lint *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->relay = r;
	list_init(&l->waiting);
	return l;
}

void campaign_lint_free(struct campaign_lint *l)
{
	if (!l)
		return;
	if (l->running) {
		close(l->stop);
		pthread_join(l->thread, NULL);
		l->running->fn(l->running->arg, ERR_CLOSED, NULL);
		job_free(l->running);
	}
	while (!list_empty(&l->waiting)) {
		struct job *j = list_entry(list_first(&l->waiting), struct job, link);
		list_remove(&j->link);
		j->fn(j->arg, ERR_CLOSED, NULL);
		job_free(j);
	}
	free(l);
}

int campaign_lint_run(struct campaign_lint *l, const json_t *source, campaign_lint_fn fn, void *arg)
{
	struct job *j = l->count < CAMPAIGN_LINT_LINE ? calloc(1, sizeof(*j)) : NULL;

	if (!j)
		return l->count < CAMPAIGN_LINT_LINE ? ERR_NOMEM : ERR_LIMIT;
	j->msg.run = on_home;
	j->lint = l;
	j->fn = fn;
	j->arg = arg;
	j->stop = -1;
	buf_init_wiped(&j->answer, CAMPAIGN_LINT_MAX);
	j->source = json_dumps(source, JSON_COMPACT);
	j->size = j->source ? strlen(j->source) : 0;
	if (!j->source) {
		job_free(j);
		return ERR_NOMEM;
	}
	list_push_back(&l->waiting, &j->link);
	l->count++;
	start_next(l);
	return 0;
}
