/* SPDX-License-Identifier: Apache-2.0 */
#include "evt/evt_async.h"

#include <openssl/async.h>

#include "core/err.h"
#include "core/log.h"
#include "evt/evt_async_own.h"

#define BUCKETS 256

/* All of one thread: tickets are woken where they were taken. */
static _Thread_local struct evt_async *bucket[BUCKETS];
static _Thread_local struct evt_async *running;
static _Thread_local uint64_t last_ticket;

void evt_async_begin(struct evt_async *a)
{
	running = a;
}

void evt_async_end(void)
{
	running = NULL;
}

int evt_async_running(void)
{
	return running != NULL;
}

static struct evt_async **find(uint64_t ticket)
{
	struct evt_async **p = &bucket[ticket % BUCKETS];

	while (*p && (*p)->ticket != ticket)
		p = &(*p)->next;
	return p;
}

void evt_async_forget(struct evt_async *a)
{
	struct evt_async **p;

	if (!a->ticket)
		return;
	p = find(a->ticket);
	*p = a->next;
	a->next = NULL;
	a->ticket = 0;
}

int evt_async_here(void)
{
	return running != NULL && ASYNC_get_current_job() != NULL;
}

uint64_t evt_async_ticket(void)
{
	struct evt_async **p;

	log_assert(evt_async_here());
	evt_async_forget(running);
	running->ticket = ++last_ticket;
	running->woken = 0;
	p = find(running->ticket);
	running->next = NULL;
	*p = running;
	return running->ticket;
}

int evt_async_wait(uint64_t ticket)
{
	struct evt_async *a = running;

	log_assert(evt_async_here());
	if (a->closing)
		return ERR_CLOSED;
	log_assert(a->ticket == ticket);
	while (!a->woken && !a->closing) {
		a->paused = 1;
		ASYNC_pause_job(); /* comes back when the handshake is called again */
	}
	a->paused = 0;
	evt_async_forget(a);
	return a->closing ? ERR_CLOSED : 0;
}

void evt_async_wake(uint64_t ticket)
{
	struct evt_async *a = *find(ticket);

	if (!a)
		return;
	a->woken = 1;
	if (a->paused)
		evt_conn_woken(a);
}
