/* SPDX-License-Identifier: Apache-2.0 */
/* clock - time, which tests can replace.
 *
 * Story:  clock_mono for timers and waits (never jumps), clock_wall for what people and peers see.
 *         Pure code takes time as an argument; only daemons and evt call these.
 *         clock_set replaces both for tests: time then moves only by clock_advance.
 * Units:  microseconds, int64_t; wall time since 1970-01-01 UTC. Thread: any. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdint.h>

#define CLOCK_SEC INT64_C(1000000)

int64_t clock_mono(void);
int64_t clock_wall(void);

/* Test only. */
void clock_set(int64_t mono, int64_t wall);
void clock_advance(int64_t usec);
void clock_restore(void);

/* "2026-11-22T06:16:18Z" into dst (21 bytes), UTC. */
void clock_format_iso(char dst[21], int64_t wall_usec);
/* "Sun, 22 Nov 2026 06:16:18 +0000" into dst (32 bytes), RFC 5322 3.3, UTC. */
void clock_format_mail(char dst[32], int64_t wall_usec);

#endif
