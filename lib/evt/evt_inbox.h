/* SPDX-License-Identifier: Apache-2.0 */
/* evt_inbox - how threads talk: messages of any kind, from any thread, to one thread.
 *
 * Story:     a message begins with struct evt_msg; posting hands it over (the sender no longer owns
 *            it). The receiver gets a whole batch, in order of arrival, as a linked list. Posting
 *            never blocks and never fails; the receiver is woken only if it may be asleep, so a
 *            busy receiver costs its senders no system call. With a loop, fn is called on it.
 *            Without (loop NULL), the thread calls evt_inbox_wait. fn and those who take a batch
 *            read a message's next before they give the message away.
 * Thread:    post from any; the rest by the receiver. */
#ifndef EVT_EVT_INBOX_H
#define EVT_EVT_INBOX_H

#include "evt/evt_loop.h"

struct evt_msg {
	struct evt_msg *next;
};

struct evt_inbox;

/* NULL: no memory. fn may free its own inbox. */
struct evt_inbox *evt_inbox_new(struct evt_loop *l, void (*fn)(void *arg, struct evt_msg *batch),
				void *arg);
/* Messages that still lie in it are lost to their senders: empty it first. */
void evt_inbox_free(struct evt_inbox *in);

void evt_inbox_post(struct evt_inbox *in, struct evt_msg *m);
/* Posts a chain first..last (linked by next) in one step. */
void evt_inbox_post_chain(struct evt_inbox *in, struct evt_msg *first, struct evt_msg *last);

/* For threads without a loop: takes all that is there, waiting at most usec of real time (<0: for
 * ever). NULL when time ran out. Call log_flush before a long wait. */
struct evt_msg *evt_inbox_wait(struct evt_inbox *in, int64_t usec);

#endif
