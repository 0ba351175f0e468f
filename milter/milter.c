/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter.h"

#include <errno.h>
#include <fcntl.h>
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "milter/milter_cb.h"
#include "sys/sys_notify.h"

#define BACKLOG	    256
#define STOP_WAIT   20 /* seconds that messages at hand are waited for */
#define ANSWER_WAIT (CLOCK_SEC / 5)

/* What arrives at the main thread through its pipe. */
enum note { NOTE_RELOAD = 'r', NOTE_STOP = 's', NOTE_ENDED = 'e', NOTE_IDLE = 'i' };

struct milter {
	struct milter_keyd *keyd;
	struct milter_feed *feed;
	struct milter_keys *keys;
	pthread_mutex_t lock; /* over conf */
	struct milter_conf *conf;
	struct milter_conf *first; /* what the socket was opened with */
	atomic_int stopping;
	atomic_int at_hand; /* messages */
	pthread_t thread;   /* libmilter's */
};

/* A signal handler has no argument. */
static int notes[2] = {-1, -1};

static void leave_note(enum note n)
{
	char c = (char)n;
	ssize_t ignored = write(notes[1], &c, 1);

	(void)ignored; /* a full pipe has woken the reader already */
}

static void on_signal(int signo)
{
	int saved = errno;

	leave_note(signo == SIGHUP ? NOTE_RELOAD : NOTE_STOP);
	errno = saved;
}

static struct milter_conf *conf_for_feed(void *arg)
{
	return milter_conf_now(arg);
}

struct milter *milter_new(struct milter_conf *conf)
{
	struct milter *m = calloc(1, sizeof(*m));

	if (!m) {
		milter_conf_unref(conf);
		return NULL;
	}
	pthread_mutex_init(&m->lock, NULL);
	m->conf = conf;
	m->first = milter_conf_ref(conf);
	m->keyd = milter_keyd_new(conf->keyd, conf->keyd_timeout);
	if (m->keyd)
		m->keys = milter_keys_new(m->keyd);
	if (m->keys)
		m->feed = milter_feed_new(conf_for_feed, m, m->keyd);
	if (!m->feed) {
		milter_free(m);
		return NULL;
	}
	return m;
}

void milter_free(struct milter *m)
{
	if (!m)
		return;
	milter_feed_free(m->feed);
	milter_keys_free(m->keys);
	milter_keyd_free(m->keyd);
	milter_conf_unref(m->conf);
	milter_conf_unref(m->first);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

struct milter_conf *milter_conf_now(struct milter *m)
{
	struct milter_conf *c;

	pthread_mutex_lock(&m->lock);
	c = milter_conf_ref(m->conf);
	pthread_mutex_unlock(&m->lock);
	return c;
}

struct milter_keyd *milter_keyd_of(struct milter *m)
{
	return m->keyd;
}

struct milter_feed *milter_feed_of(struct milter *m)
{
	return m->feed;
}

struct milter_keys *milter_keys_of(struct milter *m)
{
	return m->keys;
}

int milter_enter(struct milter *m)
{
	atomic_fetch_add(&m->at_hand, 1);
	if (!atomic_load(&m->stopping))
		return 1;
	milter_leave(m);
	return 0;
}

void milter_leave(struct milter *m)
{
	if (atomic_fetch_sub(&m->at_hand, 1) == 1 && atomic_load(&m->stopping))
		leave_note(NOTE_IDLE);
}

static void reload(struct milter *m)
{
	struct milter_conf *fresh, *old = m->conf; /* only this thread changes it */
	char err[CONF_ERR_MAX];
	const char *fixed;

	sys_notify_reloading();
	fresh = milter_conf_load(old->path, err);
	if (!fresh) {
		log_event(LOG_LEVEL_ERROR, NULL, "reload-refused", "why=\"%s\"", err);
	} else {
		fixed = milter_conf_fixed(m->first, fresh);
		if (fixed)
			log_event(LOG_LEVEL_WARN, NULL, "config-needs-restart", "key=%s", fixed);
		pthread_mutex_lock(&m->lock);
		m->conf = fresh;
		pthread_mutex_unlock(&m->lock);
		milter_conf_unref(old);
		milter_feed_wake(m->feed);
		log_event(LOG_LEVEL_INFO, NULL, "reloaded", NULL);
	}
	sys_notify_ready();
	log_flush();
}

/* libmilter waits for SIGHUP, SIGTERM and SIGINT in a thread of its own, and takes SIGHUP for an
 * order to stop. A thread that has a signal unblocked gets it first if it is the main one: so the
 * main thread has handlers and never blocks them, and libmilter, in another thread, sees none. */
static void catch_signals(void)
{
	static const int caught[] = {SIGHUP, SIGTERM, SIGINT};
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		sigaction(caught[i], &sa, NULL);
		sigaddset(&set, caught[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *libmilter_main(void *arg)
{
	(void)arg;
	smfi_main();
	leave_note(NOTE_ENDED);
	return NULL;
}

/* libmilter answers the end of a message in several small writes, and by default TCP keeps the
 * second until the MTA has acknowledged the first: 40 ms a message. Connections inherit the option
 * from the socket that they came in on; libmilter does not tell which that is, but we have no other
 * that listens. */
static void never_delay(void)
{
	long most = sysconf(_SC_OPEN_MAX);
	int on = 1, listens = 0;
	socklen_t n;

	for (int fd = 0; fd < most && !listens; fd++) {
		n = sizeof(listens);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	}
}

/* Opens the socket, so that whoever connects from now on is served, and starts libmilter. */
static int start(struct milter *m)
{
	const char *path = milter_conf_socket(m->conf);
	sigset_t all, before;
	int rc;

	milter_cb_use(m);
	if (pipe2(notes, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_from_errno(errno);
	if (smfi_setconn(m->conf->listen) != MI_SUCCESS ||
	    smfi_register(*milter_cb_descriptor()) != MI_SUCCESS ||
	    smfi_setbacklog(BACKLOG) != MI_SUCCESS || smfi_opensocket(path != NULL) != MI_SUCCESS)
		return ERR_IO;
	if (path && chmod(path, m->conf->mode) < 0)
		return err_from_errno(errno);
	if (!path)
		never_delay();
	/* The thread must not inherit unblocked signals: see catch_signals. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = milter_feed_start(m->feed);
	if (rc == 0)
		rc = pthread_create(&m->thread, NULL, libmilter_main, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return ERR_IO;
	catch_signals();
	return 0;
}

/* The next note, or 0 when deadline (0: none) has passed. */
static int next_note(int64_t deadline)
{
	for (;;) {
		struct pollfd p = {.fd = notes[0], .events = POLLIN};
		int64_t left = deadline ? (deadline - clock_mono() + 999) / 1000 : -1;
		char c;

		if (read(notes[0], &c, 1) == 1)
			return c;
		if (deadline && left <= 0)
			return 0;
		poll(&p, 1, (int)left);
	}
}

/* smfi_stop is not called: it waits for the listener's turn, up to five seconds. Who connects while
 * the messages at hand end is told that the service is being restarted. */
static void stop(struct milter *m)
{
	const char *path = milter_conf_socket(m->first);
	int64_t deadline = clock_mono() + STOP_WAIT * CLOCK_SEC;
	int left, waited = 0;

	log_event(LOG_LEVEL_INFO, NULL, "stopping", NULL);
	log_flush();
	sys_notify_stopping();
	atomic_store(&m->stopping, 1);
	while ((left = atomic_load(&m->at_hand)) > 0 && next_note(deadline) != 0)
		waited = 1;
	/* The last message left in its callback; libmilter sends the answer after that. */
	deadline = clock_mono() + ANSWER_WAIT;
	while (waited && next_note(deadline) != 0)
		;
	if (left > 0)
		log_event(LOG_LEVEL_WARN, NULL, "stopped-early", "messages=%d", left);
	if (path)
		unlink(path);
	milter_feed_stop(m->feed);
}

int milter_run(struct milter *m)
{
	int rc = start(m), note;

	if (rc < 0) {
		log_event(LOG_LEVEL_ERROR, NULL, "listen-failed", "listen=\"%s\" why=\"%s\"",
			  m->first->listen, err_text(rc));
		return rc;
	}
	log_event(LOG_LEVEL_INFO, NULL, "ready", "listen=\"%s\" rules=%zu", m->conf->listen,
		  m->conf->customers.count);
	milter_keyd_check(m->keyd); /* so that the log says from the start how it is with keyd */
	log_flush();
	sys_notify_ready();
	while ((note = next_note(0)) == NOTE_RELOAD || note == NOTE_IDLE)
		if (note == NOTE_RELOAD)
			reload(m);
	if (note == NOTE_ENDED) {
		log_event(LOG_LEVEL_ERROR, NULL, "listen-failed",
			  "listen=\"%s\" why=\"libmilter ended\"", m->first->listen);
		return ERR_IO;
	}
	stop(m);
	return 0;
}
