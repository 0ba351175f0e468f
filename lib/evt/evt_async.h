/* SPDX-License-Identifier: Apache-2.0 */
/* evt_async - suspends a TLS handshake while another party computes.
 *
 * Story:  inside an OpenSSL ASYNC job (evt_conn runs the handshake of each side that has a private
 *         key as one) evt_async_wait pauses the job; the loop goes on with other work. Whoever has
 *         the answer calls evt_async_wake with the ticket on the same thread, and evt_conn resumes
 *         the handshake at the end of the turn. A wake before the wait is not lost. Outside a job,
 *         evt_async_here is 0 and the caller has to block; so it always is under Thread- and
 *         AddressSanitizer, which cannot follow fibers. If the connection is closed while it waits,
 *         the job is abandoned: the ticket is then dead and a wake on it does nothing.
 * Limits: one ticket at a time for each job; a job's stack is 32 KiB (OpenSSL's).
 * Thread: the loop's. */
#ifndef EVT_EVT_ASYNC_H
#define EVT_EVT_ASYNC_H

#include <stdint.h>

/* 1 if the code now runs inside a job that can be suspended. */
int evt_async_here(void);
/* A new ticket for the current job: pass it to whoever will wake it. Never 0; never used twice. */
uint64_t evt_async_ticket(void);
/* Suspends until evt_async_wake(ticket). 0, or ERR_CLOSED when the connection is being torn down
 * (the caller must return at once and not touch what it waited for). */
int evt_async_wait(uint64_t ticket);
void evt_async_wake(uint64_t ticket);

#endif
