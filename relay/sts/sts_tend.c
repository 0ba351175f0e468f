/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "evt/evt_timer.h"
#include "relay/sts/sts_own.h"

#define EVERY	(10 * CLOCK_SEC)
#define AT_ONCE 16
#define UNUSED	(30 * 24 * 3600 * CLOCK_SEC) /* nobody mailed there for so long: let it end */

struct sts_tend {
	struct relay_worker *worker;
	struct out_dns *dns;
	struct evt_timer timer;
};

/* Marks those whose time has come; those that are over go. With the lock held. */
static unsigned choose(struct sts_tend *t, struct sts_look *chosen[AT_ONCE])
{
	struct sts *s = t->worker->relay->sts;
	struct list_link *k = s->policies.head.next, *next;
	int64_t now = clock_wall();
	unsigned n = 0;

	for (; n < AT_ONCE && k != &s->policies.head; k = next) {
		struct sts_entry *e = list_entry(k, struct sts_entry, order);
		next = k->next;
		if (e->look || !sts_cache_policy(s, e) || e->due > now || e->used < now - UNUSED)
			continue;
		chosen[n] = sts_look_new(s, e, t->worker, t->dns, 1);
		if (!chosen[n])
			break;
		n++;
	}
	return n;
}

static void tend(void *arg)
{
	struct sts_tend *t = arg;
	struct sts *s = t->worker->relay->sts;
	const struct relay_conf *conf = atomic_load(&t->worker->relay->conf);
	struct sts_look *chosen[AT_ONCE];
	unsigned n = 0;

	evt_timer_set(&t->timer, EVERY);
	if (!conf->outbound.mta_sts)
		return;
	pthread_mutex_lock(&s->lock);
	n = choose(t, chosen);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < n; i++)
		sts_look_start(chosen[i]);
}

struct sts_tend *sts_tend_new(struct relay_worker *w, struct out_dns *dns)
{
	struct sts_tend *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->worker = w;
	t->dns = dns;
	evt_timer_init(&t->timer, w->loop, tend, t);
	if (evt_timer_set(&t->timer, EVERY) == 0)
		return t;
	sts_tend_free(t);
	return NULL;
}

void sts_tend_free(struct sts_tend *t)
{
	if (!t)
		return;
	evt_timer_clear(&t->timer);
	free(t);
}
