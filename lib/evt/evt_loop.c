/* SPDX-License-Identifier: Apache-2.0 */
#include "evt/evt_loop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_loop_own.h"

/* Deferred calls may defer again; after so many rounds descriptors get their chance. */
#define ROUNDS_MAX 8

struct signal_watch {
	struct evt_loop *loop;
	struct event *ev;
	void (*fn)(void *arg, int signo);
	void *arg;
	int signo;
	struct evt_defer defer;
	struct list_link link;
};

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	/* Edge-triggered: the counter is never read, waking up is all it is for. */
	(void)fd;
	(void)what;
	(void)arg;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct evt_loop *l = arg;

	(void)fd;
	(void)what;
	l->tick_at = 0;
}

static struct event_base *make_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
	    event_config_require_features(config, EV_FEATURE_ET) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

struct evt_loop *evt_loop_new(void)
{
	struct evt_loop *l = aligned_alloc(alignof(struct evt_loop), sizeof(*l));

	if (!l)
		return NULL;
	memset(l, 0, sizeof(*l));
	list_init(&l->deferred);
	list_init(&l->signals);
	list_init(&l->inboxes);
	atomic_init(&l->asleep, 0);
	atomic_init(&l->stop, 0);
	signal(SIGPIPE, SIG_IGN);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->base = make_base();
	if (l->wake_fd >= 0 && l->base) {
		l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST | EV_ET, on_wake, l);
		l->tick = event_new(l->base, -1, 0, on_tick, l);
	}
	if (!l->wake || !l->tick || event_add(l->wake, NULL) < 0) {
		evt_loop_free(l);
		return NULL;
	}
	l->now = clock_mono();
	return l;
}

static void run_deferred(struct evt_loop *l)
{
	struct list now;
	struct list_link *k;

	for (int round = 0; round < ROUNDS_MAX && !list_empty(&l->deferred); round++) {
		/* What these calls defer waits for the next round. */
		now.head = l->deferred.head;
		now.head.next->prev = now.head.prev->next = &now.head;
		list_init(&l->deferred);
		while ((k = list_pop_front(&now)) != NULL) {
			struct evt_defer *d = list_entry(k, struct evt_defer, link);
			d->fn(d->arg);
		}
	}
}

void evt_loop_free(struct evt_loop *l)
{
	struct list_link *k;

	if (!l)
		return;
	while ((k = list_pop_front(&l->signals)) != NULL) {
		struct signal_watch *w = list_entry(k, struct signal_watch, link);
		evt_loop_undefer(l, &w->defer);
		event_free(w->ev);
		free(w);
	}
	run_deferred(l);
	if (l->wake)
		event_free(l->wake);
	if (l->tick)
		event_free(l->tick);
	if (l->base)
		event_base_free(l->base);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	evt_pool_clear(&l->pool);
	free(l->heap);
	free(l);
}

void evt_loop_defer(struct evt_loop *l, struct evt_defer *d)
{
	if (!list_linked(&d->link))
		list_push_back(&l->deferred, &d->link);
}

void evt_loop_undefer(struct evt_loop *l, struct evt_defer *d)
{
	(void)l;
	if (list_linked(&d->link))
		list_remove(&d->link);
}

void evt_loop_poke(struct evt_loop *l)
{
	static const uint64_t one = 1;

	if (atomic_load(&l->asleep) && atomic_exchange(&l->asleep, 0)) {
		/* A full counter (2^64 - 2 pokes) is the only failure, and it wakes too. */
		ssize_t n = write(l->wake_fd, &one, sizeof(one));
		(void)n;
	}
}

static int work_waits(struct evt_loop *l)
{
	return !list_empty(&l->deferred) || atomic_load(&l->stop) || evt_inbox_waiting(l);
}

/* Makes the tick end the sleep at the time until; one that fires earlier does too. */
static int set_tick(struct evt_loop *l, int64_t until, int exact)
{
	int64_t usec = until - l->now;
	struct timeval tv = {usec / CLOCK_SEC, usec % CLOCK_SEC};

	if (!exact && l->tick_at >= l->now && l->tick_at <= until)
		return 0;
	if (event_add(l->tick, &tv) < 0)
		return ERR_NOMEM;
	l->tick_at = until;
	return 0;
}

/* Sleeps until something happens, at most usec (<0: no limit), and runs callbacks of descriptors.
 */
static int sleep_and_dispatch(struct evt_loop *l, int64_t usec)
{
	int64_t until = usec < 0 ? INT64_MAX : l->now + usec;
	int flags = EVLOOP_ONCE, result;

	if (l->heap_count && l->heap[0].at < until)
		until = l->heap[0].at;
	if (until <= l->now || work_waits(l))
		flags |= EVLOOP_NONBLOCK;
	else if (until != INT64_MAX && set_tick(l, until, usec >= 0) < 0)
		flags |= EVLOOP_NONBLOCK; /* spins while memory is short, but misses nothing */
	if (!(flags & EVLOOP_NONBLOCK)) {
		atomic_store(&l->asleep, 1);
		if (work_waits(l)) {
			atomic_store(&l->asleep, 0);
			flags |= EVLOOP_NONBLOCK;
		}
	}
	result = event_base_loop(l->base, flags);
	atomic_store_explicit(&l->asleep, 0, memory_order_relaxed);
	return result < 0 ? ERR_IO : 0;
}

/* Everything that needs no descriptor. */
static void settle(struct evt_loop *l)
{
	evt_timer_run(l);
	evt_inbox_run(l);
	run_deferred(l);
}

int evt_loop_turn(struct evt_loop *l, int64_t usec)
{
	int err;

	l->in_turn = 1;
	l->now = clock_mono();
	settle(l);
	log_flush();
	err = sleep_and_dispatch(l, usec < 0 ? 0 : usec);
	l->now = clock_mono();
	settle(l);
	log_flush();
	l->in_turn = 0;
	return err;
}

int evt_loop_run(struct evt_loop *l)
{
	int err = 0;

	l->in_turn = 1;
	l->now = clock_mono();
	while (!err) {
		settle(l);
		log_flush();
		if (atomic_load(&l->stop))
			break;
		err = sleep_and_dispatch(l, -1);
		l->now = clock_mono();
	}
	atomic_store(&l->stop, 0);
	l->in_turn = 0;
	return err;
}

void evt_loop_stop(struct evt_loop *l)
{
	atomic_store(&l->stop, 1);
	evt_loop_poke(l);
}

void evt_loop_wake(struct evt_loop *l)
{
	evt_loop_poke(l);
}

int64_t evt_loop_now(const struct evt_loop *l)
{
	return l->in_turn ? l->now : clock_mono();
}

struct event_base *evt_loop_base(struct evt_loop *l)
{
	return l->base;
}

static void deliver_signal(void *arg)
{
	struct signal_watch *w = arg;

	w->fn(w->arg, w->signo);
}

/* libevent counts signals and calls once for each. A hundred orders to reload are one, and an order to
 * stop behind them must not wait for a hundred reloads. */
static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct signal_watch *w = arg;

	(void)signo;
	(void)what;
	evt_loop_defer(w->loop, &w->defer);
}

int evt_loop_signal(struct evt_loop *l, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	struct signal_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return ERR_NOMEM;
	w->loop = l;
	w->fn = fn;
	w->arg = arg;
	w->signo = signo;
	w->defer.fn = deliver_signal;
	w->defer.arg = w;
	w->ev = evsignal_new(l->base, signo, on_signal, w);
	if (!w->ev || event_add(w->ev, NULL) < 0) {
		if (w->ev)
			event_free(w->ev);
		free(w);
		return ERR_NOMEM;
	}
	list_push_back(&l->signals, &w->link);
	return 0;
}
