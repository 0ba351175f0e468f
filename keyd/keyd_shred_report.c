/* SPDX-License-Identifier: Apache-2.0 */
/* What a destruction waits for, and how keyd tells. */
#include <inttypes.h>

#include "core/clock.h"
#include "keyd/keyd.h"
#include "keyd/keyd_anchor.h"
#include "keyd/keyd_ring_backup.h"

#define JSON_MAX (48 * 1024)

/* Until when copies of the files may be about that hold the customer's DEKs and open by the root
 * alone; 0: there never were any. With an anchor those are the ones from before it. */
static int64_t copies_until(const struct keyd *k, const struct keyd_ring_tomb *t)
{
	const struct keyd_snapshot_head *head = k->store ? keyd_store_head(k->store) : NULL;
	int64_t last = t->dead;

	if (!head)
		return 0;
	if (!keyd_anchor_none(head->anchor)) {
		if (t->since && t->since >= head->anchored)
			return 0;
		if (head->anchored < last)
			last = head->anchored;
	}
	return last + k->conf->retention;
}

static unsigned add(struct keyd_shred_wait *out, unsigned n, uint32_t backup, int64_t until,
		    int64_t now)
{
	if (until <= now)
		return n;
	if (n < KEYD_SHRED_WAITS)
		out[n] = (struct keyd_shred_wait){backup, until};
	return n + 1;
}

unsigned keyd_shred_waits(const struct keyd *k, const struct keyd_ring_tomb *t, int64_t now,
			  struct keyd_shred_wait *out)
{
	unsigned n = add(out, 0, 0, copies_until(k, t), now);
	struct keyd_ring_backup b;

	for (uint32_t i = 0; i < keyd_ring_backup_count(k->ring); i++) {
		keyd_ring_backup_at(k->ring, i, &b);
		if (b.id <= t->backup && b.state == KEYD_RECORD_BACKUP_REPLACED)
			n = add(out, n, b.id, b.changed + k->conf->retention, now);
	}
	return n < KEYD_SHRED_WAITS ? n : KEYD_SHRED_WAITS;
}

static int unfinished(const struct keyd_ring *r)
{
	struct keyd_ring_tomb t;

	for (uint32_t i = 0; i < keyd_ring_tomb_count(r); i++) {
		keyd_ring_tomb_at(r, i, &t);
		if (t.state != KEYD_RECORD_TOMB_COMPLETE)
			return 1;
	}
	return 0;
}

static int64_t last_backup(const struct keyd_ring *r)
{
	struct keyd_ring_backup b;
	int64_t last = 0;

	for (uint32_t i = 0; i < keyd_ring_backup_count(r); i++) {
		keyd_ring_backup_at(r, i, &b);
		if (b.used > last)
			last = b.used;
	}
	return last;
}

void keyd_shred_warnings(const struct keyd *k, void (*fn)(void *arg, const char *text), void *arg)
{
	int64_t last;

	if (k->anchor_why)
		fn(arg, k->anchor_why);
	if (!k->ring || !k->store)
		return;
	if (unfinished(k->ring))
		fn(arg,
		   "the destruction of a customer is not complete: sealpost key shred --status");
	last = last_backup(k->ring);
	if (k->conf->backup_every && !last)
		fn(arg, "no backup of the keys was ever made: sealpost key backup");
	else if (k->conf->backup_every && clock_wall() - last > k->conf->backup_every)
		fn(arg, "the last backup of the keys is old: sealpost key backup");
}

static void put_waits(const struct keyd *k, const struct keyd_ring_tomb *t, struct buf *out)
{
	struct keyd_shred_wait waits[KEYD_SHRED_WAITS];
	unsigned n =
	    t->state == KEYD_RECORD_TOMB_BACKUPS ? keyd_shred_waits(k, t, clock_wall(), waits) : 0;

	for (unsigned i = 0; i < n; i++) {
		buf_putf(out, "%s{\"for\":\"%s\",", i ? "," : "",
			 waits[i].backup ? "backup" : "copies");
		if (waits[i].backup)
			buf_putf(out, "\"id\":%" PRIu32 ",", waits[i].backup);
		buf_putf(out, "\"until\":%" PRId64 "}", waits[i].until / CLOCK_SEC);
	}
}

void keyd_shred_json(const struct keyd *k, uint32_t from, struct buf *out)
{
	uint32_t count = keyd_ring_tomb_count(k->ring), i;
	struct keyd_ring_tomb t;

	buf_put_str(out, "{\"shreds\":[");
	for (i = from; i < count && buf_size(out) < JSON_MAX; i++) {
		keyd_ring_tomb_at(k->ring, i, &t);
		buf_putf(out,
			 "%s{\"customer\":\"%.*s\",\"state\":\"%s\",\"ordered\":%" PRId64
			 ",\"dead\":%" PRId64 ",\"changed\":%" PRId64 ",\"waits\":[",
			 i > from ? "," : "", (int)t.customer.n, (const char *)t.customer.p,
			 keyd_record_tomb_state_name(t.state), t.ordered / CLOCK_SEC,
			 t.dead / CLOCK_SEC, t.changed / CLOCK_SEC);
		put_waits(k, &t, out);
		buf_put_str(out, "]}");
	}
	if (i < count)
		buf_putf(out, "],\"next\":%" PRIu32 "}", i);
	else
		buf_put_str(out, "],\"next\":null}");
}
