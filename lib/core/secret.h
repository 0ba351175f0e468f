/* SPDX-License-Identifier: Apache-2.0 */
/* secret - memory for keys: locked, kept out of core dumps, wiped, never printed.
 *
 * Story:  secret_alloc hands out pieces of one arena per process: pages that are mlock()ed, marked
 *         DONTDUMP and WIPEONFORK, with an inaccessible guard page on each side. Keys live there and
 *         nowhere else. If the memlock limit (8 MiB by default) is exhausted, NULL is returned:
 *         the caller fails its request, never falls back to ordinary memory.
 * Limits: a piece is at most 64 KiB. Pieces are rounded up to the next size class (32 .. 64 KiB).
 * Thread: any; allocation takes a lock. */
#ifndef CORE_SECRET_H
#define CORE_SECRET_H

#include <stddef.h>
#include <stdint.h>

#define SECRET_KEY_SIZE 32

/* Zeroed piece, or NULL. */
void *secret_alloc(size_t n);
/* Wipes and gives back; n as at secret_alloc. NULL is fine. */
void secret_free(void *p, size_t n);
/* Bytes of locked memory in use and taken from the system: status shows them. */
void secret_usage(size_t *in_use, size_t *taken);

/* Looks at all locked memory that nobody uses: 0 if it is zero (but for what links it together),
 * -1 if anything was left in it. *checked: how many bytes that is. */
int secret_check(size_t *checked);

/* Overwrites so that the compiler cannot drop it. */
void secret_wipe(void *p, size_t n);

/* Constant-time equality of n bytes: 1 if equal. */
int secret_equal(const void *a, const void *b, size_t n);

#endif
