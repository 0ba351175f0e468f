/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_tamper.h"

#include <string.h>

static const char *const names[KEYD_TAMPER_COUNT] = {
#define KEYD_TAMPER_X(sym, name) [KEYD_TAMPER_##sym] = name,
    KEYD_TAMPER_LIST(KEYD_TAMPER_X)
#undef KEYD_TAMPER_X
};

const char *keyd_tamper_name(unsigned what)
{
	return what < KEYD_TAMPER_COUNT ? names[what] : "";
}

void keyd_tamper_set(struct keyd_tamper *t, int64_t window, uint64_t auth, uint64_t denied,
		     uint64_t mac)
{
	const uint64_t limits[KEYD_TAMPER_COUNT] = {[KEYD_TAMPER_AUTH] = auth,
						    [KEYD_TAMPER_DENIED] = denied,
						    [KEYD_TAMPER_MAC] = mac,
						    [KEYD_TAMPER_TRACER] = 1,
						    [KEYD_TAMPER_ROLLBACK] = 1};
	int64_t slice = window / KEYD_TAMPER_SLICES;

	for (unsigned i = 0; i < KEYD_TAMPER_COUNT; i++) {
		struct keyd_tamper_counter *c = &t->counters[i];
		c->limit = limits[i];
		if (slice != t->slice) { /* steps of another length cannot be compared */
			memset(c->slices, 0, sizeof(c->slices));
			c->at = 0;
		}
	}
	t->slice = slice;
}

/* Moves the window to now: steps that it left are emptied. */
static void move(struct keyd_tamper_counter *c, int64_t at)
{
	int64_t gone = at - c->at;

	if (gone > KEYD_TAMPER_SLICES)
		gone = KEYD_TAMPER_SLICES;
	for (int64_t i = 1; i <= gone; i++)
		c->slices[(at - gone + i) % KEYD_TAMPER_SLICES] = 0;
	if (at > c->at)
		c->at = at;
}

uint64_t keyd_tamper_recent(struct keyd_tamper *t, unsigned what, int64_t now)
{
	struct keyd_tamper_counter *c = &t->counters[what];
	uint64_t sum = 0;

	move(c, now / t->slice);
	for (unsigned i = 0; i < KEYD_TAMPER_SLICES; i++)
		sum += c->slices[i];
	return sum;
}

int keyd_tamper_note(struct keyd_tamper *t, unsigned what, uint64_t n, int64_t now)
{
	struct keyd_tamper_counter *c = &t->counters[what];

	move(c, now / t->slice);
	c->total += n;
	c->slices[c->at % KEYD_TAMPER_SLICES] += n;
	if (!c->limit || keyd_tamper_recent(t, what, now) < c->limit)
		return 0;
	for (unsigned i = 0; i < KEYD_TAMPER_COUNT; i++)
		memset(t->counters[i].slices, 0, sizeof(t->counters[i].slices));
	return 1;
}
