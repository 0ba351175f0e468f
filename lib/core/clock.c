/* SPDX-License-Identifier: Apache-2.0 */
#include "core/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static atomic_int faked;
static _Atomic int64_t fake_mono, fake_wall;

static int64_t read_clock(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (int64_t)ts.tv_sec * CLOCK_SEC + ts.tv_nsec / 1000;
}

int64_t clock_mono(void)
{
	return atomic_load_explicit(&faked, memory_order_relaxed) ? atomic_load(&fake_mono)
								   : read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall(void)
{
	return atomic_load_explicit(&faked, memory_order_relaxed) ? atomic_load(&fake_wall)
								   : read_clock(CLOCK_REALTIME);
}

void clock_set(int64_t mono, int64_t wall)
{
	atomic_store(&fake_mono, mono);
	atomic_store(&fake_wall, wall);
	atomic_store(&faked, 1);
}

void clock_advance(int64_t usec)
{
	atomic_fetch_add(&fake_mono, usec);
	atomic_fetch_add(&fake_wall, usec);
}

void clock_restore(void)
{
	atomic_store(&faked, 0);
}

static void split(int64_t wall_usec, struct tm *tm)
{
	time_t t = (time_t)(wall_usec / CLOCK_SEC);

	gmtime_r(&t, tm);
}

void clock_format_iso(char dst[21], int64_t wall_usec)
{
	struct tm tm;

	split(wall_usec, &tm);
	strftime(dst, 21, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void clock_format_mail(char dst[32], int64_t wall_usec)
{
	/* not strftime's %a and %b: those follow the locale */
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm;

	split(wall_usec, &tm);
	snprintf(dst, 32, "%.3s, %02u %.3s %04u %02u:%02u:%02u +0000", days + 3 * tm.tm_wday,
		 (unsigned)tm.tm_mday % 100, months + 3 * tm.tm_mon,
		 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}
