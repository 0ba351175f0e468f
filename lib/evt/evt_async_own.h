/* SPDX-License-Identifier: Apache-2.0 */
/* evt_async_own - between evt_async and evt_conn. */
#ifndef EVT_EVT_ASYNC_OWN_H
#define EVT_EVT_ASYNC_OWN_H

#include "evt/evt_async.h"

/* Fibers change stacks behind the back of ThreadSanitizer and AddressSanitizer. gcc tells of them by
 * macros, clang by features. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define EVT_ASYNC_POSSIBLE 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define EVT_ASYNC_POSSIBLE 0
#endif
#endif
#ifndef EVT_ASYNC_POSSIBLE
#define EVT_ASYNC_POSSIBLE 1
#endif

/* One in each connection. */
struct evt_async {
	struct evt_async *next; /* in the thread's table */
	uint64_t ticket;	/* 0: none */
	uint8_t woken, closing, paused;
};

/* Around each SSL_do_handshake: which connection's job runs. */
void evt_async_begin(struct evt_async *a);
void evt_async_end(void);
/* 1 while a handshake is on the stack of this thread. */
int evt_async_running(void);
/* Its ticket is dead from now on. */
void evt_async_forget(struct evt_async *a);

/* Called by wake; evt_conn_tls.c. */
void evt_conn_woken(struct evt_async *a);

#endif
