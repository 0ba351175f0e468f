/* SPDX-License-Identifier: Apache-2.0 */
/* Senders push onto a list with one compare-and-exchange; the receiver takes the whole list with
 * one exchange and turns it round. Nothing is ever popped singly, so there is no ABA. */
#include "evt/evt_inbox.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "evt/evt_loop_own.h"

struct evt_inbox {
	alignas(64) _Atomic(struct evt_msg *) head; /* newest first */
	_Atomic uint32_t asleep; /* without a loop: 1 while the receiver (nearly) sleeps; a futex */
	alignas(64) struct evt_loop *loop;
	void (*fn)(void *arg, struct evt_msg *batch);
	void *arg;
	struct list_link link;
};

struct evt_inbox *evt_inbox_new(struct evt_loop *l, void (*fn)(void *arg, struct evt_msg *batch),
				void *arg)
{
	struct evt_inbox *in = aligned_alloc(alignof(struct evt_inbox), sizeof(*in));

	if (!in)
		return NULL;
	memset(in, 0, sizeof(*in));
	atomic_init(&in->head, NULL);
	atomic_init(&in->asleep, 0);
	in->loop = l;
	in->fn = fn;
	in->arg = arg;
	if (l)
		list_push_back(&l->inboxes, &in->link);
	return in;
}

void evt_inbox_free(struct evt_inbox *in)
{
	if (!in)
		return;
	if (in->loop) {
		if (in->loop->inbox_next == &in->link)
			in->loop->inbox_next = in->link.next;
		list_remove(&in->link);
	}
	free(in);
}

static void wake(struct evt_inbox *in)
{
	if (in->loop)
		evt_loop_poke(in->loop);
	else if (atomic_load(&in->asleep) && atomic_exchange(&in->asleep, 0))
		syscall(SYS_futex, &in->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* newest..oldest are linked newest first. */
static void push(struct evt_inbox *in, struct evt_msg *newest, struct evt_msg *oldest)
{
	struct evt_msg *head = atomic_load_explicit(&in->head, memory_order_relaxed);

	do
		oldest->next = head;
	while (!atomic_compare_exchange_weak_explicit(&in->head, &head, newest,
						      memory_order_seq_cst, memory_order_relaxed));
	/* Whoever found messages there has a predecessor who woke, or is about to wake, the
	 * receiver. */
	if (!head)
		wake(in);
}

static struct evt_msg *reverse(struct evt_msg *m)
{
	struct evt_msg *before = NULL;

	while (m) {
		struct evt_msg *next = m->next;
		m->next = before;
		before = m;
		m = next;
	}
	return before;
}

void evt_inbox_post(struct evt_inbox *in, struct evt_msg *m)
{
	push(in, m, m);
}

void evt_inbox_post_chain(struct evt_inbox *in, struct evt_msg *first, struct evt_msg *last)
{
	last->next = NULL;
	push(in, reverse(first), first);
}

static struct evt_msg *take(struct evt_inbox *in)
{
	if (!atomic_load(&in->head))
		return NULL;
	return reverse(atomic_exchange(&in->head, NULL));
}

int evt_inbox_waiting(struct evt_loop *l)
{
	/* not list_each: its end is no inbox, and would break an inbox's alignment */
	for (struct list_link *k = l->inboxes.head.next; k != &l->inboxes.head; k = k->next)
		if (atomic_load(&list_entry(k, struct evt_inbox, link)->head))
			return 1;
	return 0;
}

void evt_inbox_run(struct evt_loop *l)
{
	struct evt_msg *batch;

	for (struct list_link *k = l->inboxes.head.next; k != &l->inboxes.head; k = l->inbox_next) {
		struct evt_inbox *in = list_entry(k, struct evt_inbox, link);
		l->inbox_next = k->next;
		if ((batch = take(in)) != NULL)
			in->fn(in->arg, batch);
	}
	l->inbox_next = NULL;
}

static int64_t real_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * CLOCK_SEC + ts.tv_nsec / 1000;
}

struct evt_msg *evt_inbox_wait(struct evt_inbox *in, int64_t usec)
{
	struct evt_msg *batch = take(in);
	int64_t until, left = usec;

	if (batch || usec == 0)
		return batch;
	until = usec < 0 ? 0 : real_now() + usec;
	for (;;) {
		struct timespec ts;

		atomic_store(&in->asleep, 1);
		if ((batch = take(in)) != NULL)
			break;
		ts.tv_sec = left / CLOCK_SEC;
		ts.tv_nsec = left % CLOCK_SEC * 1000;
		syscall(SYS_futex, &in->asleep, FUTEX_WAIT_PRIVATE, 1, usec < 0 ? NULL : &ts, NULL,
			0);
		if ((batch = take(in)) != NULL)
			break;
		if (usec > 0 && (left = until - real_now()) <= 0)
			break;
	}
	atomic_store(&in->asleep, 0);
	return batch;
}
