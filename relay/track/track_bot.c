/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_bot.h"

#include <stdio.h>
#include <string.h>

#include "relay/track/track.h"
#include "relay/track/track_agent.h"

#define LINKS_SEEN 64 /* distinct ones that are told apart */

static const struct {
	uint32_t bit;
	const char *name;
	enum track_class makes;
} reasons_known[] = {
#define TRACK_X(sym, bit, name, makes) {1u << bit, name, TRACK_CLASS_##makes},
    TRACK_REASONS(TRACK_X)
#undef TRACK_X
};
#define REASONS (sizeof(reasons_known) / sizeof(reasons_known[0]))

const char *track_bot_kind(unsigned kind)
{
	static const char *const names[] = {
#define TRACK_X(sym, num, name) [num] = name,
	    TRACK_KINDS(TRACK_X)
#undef TRACK_X
	};

	return kind < TRACK_KIND_COUNT ? names[kind] : "unknown";
}

const char *track_bot_class(unsigned class)
{
	static const char *const names[] = {
#define TRACK_X(sym, num, name) [num] = name,
	    TRACK_CLASSES(TRACK_X)
#undef TRACK_X
	};

	return class < TRACK_CLASS_COUNT ? names[class] : "unknown";
}

void track_bot_reasons(char dst[TRACK_BOT_TEXT], uint32_t reasons)
{
	size_t n = 0;

	dst[0] = '\0';
	for (size_t i = 0; i < REASONS; i++)
		if (reasons & reasons_known[i].bit && n < TRACK_BOT_TEXT - 16)
			n += (size_t)snprintf(dst + n, TRACK_BOT_TEXT - n, "%s%s", n ? "," : "",
					      reasons_known[i].name);
}

static int one_reader(const struct track_bot_hit *a, const struct track_bot_hit *b)
{
	if (a->tid || b->tid)
		return a->tid == b->tid;
	return a->net == b->net && a->number == b->number;
}

static int within(const struct track_bot_hit *a, const struct track_bot_hit *b, int64_t usec)
{
	int64_t d = a->at - b->at;

	return d <= usec && d >= -usec;
}

/* --- one thing each */

static uint32_t honeypot(const struct track_bot_hit *h, const struct track_bot_hit *const *near, size_t count)
{
	int is = h->kind == TRACK_KIND_CLICK && h->link == TRACK_LINK_HONEYPOT;

	for (size_t i = 0; i < count && !is; i++)
		is = near[i]->kind == TRACK_KIND_CLICK && near[i]->link == TRACK_LINK_HONEYPOT &&
		     one_reader(h, near[i]) && within(h, near[i], TRACK_BOT_REVISED);
	return is ? TRACK_REASON_HONEYPOT : 0;
}

/* Of the window of BURST that begins with from: distinct links. */
static unsigned distinct(const struct track_bot_hit *from, const struct track_bot_hit *const *near, size_t count)
{
	uint16_t seen[LINKS_SEEN] = {from->link};
	unsigned n = 1;

	for (size_t i = 0; i < count && n < LINKS_SEEN; i++) {
		const struct track_bot_hit *o = near[i];
		unsigned k = 0;
		if (o->kind != TRACK_KIND_CLICK || !one_reader(from, o) || o->at < from->at ||
		    o->at - from->at > TRACK_BOT_BURST)
			continue;
		while (k < n && seen[k] != o->link)
			k++;
		if (k == n)
			seen[n++] = o->link;
	}
	return n;
}

static int is_burst(unsigned distinct_links, unsigned links)
{
	return distinct_links >= TRACK_BOT_LINKS || (links >= 2 && distinct_links >= 2 && distinct_links * 5 >= links * 4);
}

static uint32_t burst(const struct track_bot_hit *h, const struct track_bot_facts *f,
		      const struct track_bot_hit *const *near, size_t count)
{
	if (h->kind != TRACK_KIND_CLICK)
		return 0;
	if (is_burst(distinct(h, near, count), f->links))
		return TRACK_REASON_BURST;
	for (size_t i = 0; i < count; i++) {
		const struct track_bot_hit *o = near[i];
		if (o->kind == TRACK_KIND_CLICK && one_reader(h, o) && o->at <= h->at &&
		    h->at - o->at <= TRACK_BOT_BURST && is_burst(distinct(o, near, count), f->links))
			return TRACK_REASON_BURST;
	}
	return 0;
}

/* When reader first followed link not before at; INT64_MAX: never. */
static int64_t next_click(const struct track_bot_hit *h, unsigned link, int64_t at,
			  const struct track_bot_hit *const *near, size_t count)
{
	int64_t best = INT64_MAX;

	if (h->kind == TRACK_KIND_CLICK && h->link == link && h->at >= at)
		best = h->at;
	for (size_t i = 0; i < count; i++)
		if (near[i]->kind == TRACK_KIND_CLICK && near[i]->link == link && near[i]->at >= at &&
		    near[i]->at < best && one_reader(h, near[i]))
			best = near[i]->at;
	return best;
}

static int sweeps(const struct track_bot_hit *h, int64_t opened, unsigned links,
		  const struct track_bot_hit *const *near, size_t count)
{
	int64_t at = opened;

	for (unsigned link = 0; link < links; link++) {
		at = next_click(h, link, at, near, count);
		if (at == INT64_MAX || at - opened > TRACK_BOT_SWEEP)
			return 0;
	}
	return h->at >= opened && h->at <= at;
}

static uint32_t sweep(const struct track_bot_hit *h, const struct track_bot_facts *f,
		      const struct track_bot_hit *const *near, size_t count)
{
	if (f->links < 2 || f->links > LINKS_SEEN || h->kind > TRACK_KIND_OPEN)
		return 0;
	if (h->kind == TRACK_KIND_OPEN && sweeps(h, h->at, f->links, near, count))
		return TRACK_REASON_SWEEP;
	for (size_t i = 0; i < count; i++)
		if (near[i]->kind == TRACK_KIND_OPEN && one_reader(h, near[i]) && within(h, near[i], TRACK_BOT_SWEEP) &&
		    sweeps(h, near[i]->at, f->links, near, count))
			return TRACK_REASON_SWEEP;
	return 0;
}

/* Picture proxies of mail services serve many: that is what they are. */
static uint32_t crowd(const struct track_bot_hit *h, const struct track_bot_hit *const *near, size_t count)
{
	uint64_t seen[TRACK_BOT_MANY] = {h->tid};
	unsigned n = h->tid != 0;

	if (!h->tid || track_agent_is(h->agent) == TRACK_AGENT_IS_PROXY)
		return 0;
	for (size_t i = 0; i < count && n < TRACK_BOT_MANY; i++) {
		unsigned k = 0;
		if (!near[i]->tid || near[i]->net != h->net || !within(h, near[i], TRACK_BOT_CROWD))
			continue;
		while (k < n && seen[k] != near[i]->tid)
			k++;
		if (k == n)
			seen[n++] = near[i]->tid;
	}
	return n >= TRACK_BOT_MANY ? TRACK_REASON_CROWD : 0;
}

static uint32_t agent(const struct track_bot_hit *h)
{
	switch (track_agent_is(h->agent)) {
	case TRACK_AGENT_IS_SCANNER:
		return TRACK_REASON_SCANNER;
	case TRACK_AGENT_IS_PROXY:
		return h->kind == TRACK_KIND_OPEN ? TRACK_REASON_IMAGE_PROXY : TRACK_REASON_AGENT;
	case TRACK_AGENT_IS_PERSON:
		return 0;
	default:
		return TRACK_REASON_AGENT;
	}
}

static uint32_t time_of(const struct track_bot_hit *h, const struct track_bot_facts *f)
{
	if (!f->sent)
		return 0;
	if (!f->delivered || h->at < f->delivered)
		return TRACK_REASON_EARLY;
	return h->at - f->delivered < TRACK_BOT_INSTANT ? TRACK_REASON_INSTANT : 0;
}

enum track_class track_bot_judge(const struct track_bot_hit *h, const struct track_bot_facts *f,
				 const struct track_bot_hit *const *near, size_t count, uint32_t *reasons)
{
	static const enum track_class order[] = {TRACK_CLASS_MACHINE, TRACK_CLASS_PROXY, TRACK_CLASS_UNKNOWN};
	uint32_t all = h->head ? TRACK_REASON_HEAD : 0;

	if (h->kind == TRACK_KIND_UNSUBSCRIBE) {
		*reasons = TRACK_REASON_ASKED;
		return TRACK_CLASS_HUMAN;
	}
	all |= honeypot(h, near, count) | burst(h, f, near, count) | sweep(h, f, near, count) |
	       crowd(h, near, count) | agent(h) | time_of(h, f);
	*reasons = all;
	for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++)
		for (size_t i = 0; i < REASONS; i++)
			if (all & reasons_known[i].bit && reasons_known[i].makes == order[k])
				return order[k];
	return TRACK_CLASS_HUMAN;
}
