/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/filter/filter_note.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"

#define NOTES	  32
#define SAY_AGAIN (60 * CLOCK_SEC)

static struct note {
	char filter[160];
	int64_t said; /* monotonic; 0: free, or not away */
	unsigned long times;
} notes[NOTES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int any_away;

static struct note *find(const char *filter, int make)
{
	struct note *free_one = NULL;

	for (unsigned i = 0; i < NOTES; i++) {
		if (!strncmp(notes[i].filter, filter, sizeof(notes[i].filter) - 1))
			return &notes[i];
		if (!notes[i].filter[0] && !free_one)
			free_one = &notes[i];
	}
	if (make && free_one)
		strncpy(free_one->filter, filter, sizeof(free_one->filter) - 1);
	return make ? free_one : NULL;
}

/* How often it failed since the last line; 0: not to be said now. */
static unsigned long count(const char *filter)
{
	unsigned long times = 1;
	int64_t now = clock_mono();
	struct note *n;

	pthread_mutex_lock(&lock);
	n = find(filter, 1);
	if (n) {
		n->times++;
		times = 0;
		if (!n->said || now - n->said >= SAY_AGAIN) {
			times = n->times;
			n->times = 0;
			n->said = now ? now : 1;
		}
		atomic_store(&any_away, 1);
	}
	pthread_mutex_unlock(&lock);
	return times;
}

void filter_note_away(const char *filter, const char *id, const char *why, int protocol)
{
	unsigned long times = count(filter);

	if (times)
		log_event(LOG_LEVEL_WARN, id, protocol ? "filter-protocol" : "filter-away",
			  "filter=%s why=%s times=%lu", filter, why, times);
}

static int was_away(const char *filter)
{
	struct note *n;
	int yes, any = 0;

	pthread_mutex_lock(&lock);
	n = find(filter, 0);
	yes = n && n->said;
	if (n)
		n->said = 0;
	for (unsigned i = 0; i < NOTES; i++)
		any |= notes[i].said != 0;
	atomic_store(&any_away, any);
	pthread_mutex_unlock(&lock);
	return yes;
}

void filter_note_back(const char *filter, const char *id)
{
	if (atomic_load_explicit(&any_away, memory_order_relaxed) && was_away(filter))
		log_event(LOG_LEVEL_INFO, id, "filter-back", "filter=%s", filter);
}
