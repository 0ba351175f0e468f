/* SPDX-License-Identifier: Apache-2.0 */
/* A domain's site is asked for when mail for it may go and it is not known; asked for anew when its
 * time is over and mail goes, while the old answer serves on. Who asks in vain asks again with the
 * pauses of a site that cannot be reached; what is for the domain waits with it. */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "relay/queue/queue_priv.h"

#define TTL_MIN	   (60 * CLOCK_SEC)
#define TTL_MAX	   (3600 * CLOCK_SEC)
#define AGAIN_SOON CLOCK_SEC

void queue_domain_want(struct queue *q, struct queue_domain *d)
{
	if (d->state == QUEUE_ASKING || d->state == QUEUE_FAILED || list_linked(&d->link) ||
	    (d->state == QUEUE_KNOWN && q->now < d->until))
		return;
	if (d->timer == QUEUE_SCHED_OUT)
		list_push_back(&q->asking, &d->link);
}

void queue_domain_again(struct queue *q, struct queue_domain *d)
{
	if (d->state == QUEUE_FAILED)
		d->state = d->site ? QUEUE_KNOWN : QUEUE_UNKNOWN;
	if (!list_empty(&d->strands))
		queue_domain_want(q, d);
}

/* Its strands go where they belong. Without memory some stay behind: queue_watch sees to it. */
static void place_strands(struct queue *q, struct queue_domain *d)
{
	for (struct list_link *l = d->strands.head.next; l != &d->strands.head; l = l->next)
		queue_strand_place(q, list_entry(l, struct queue_strand, of_domain));
}

void queue_domain_moved(struct queue *q, struct queue_domain *d, const char *site, int64_t ttl)
{
	struct queue_name *name = queue_key_name(q, site);

	if (!name)
		return;
	ttl = ttl < TTL_MIN ? TTL_MIN : ttl > TTL_MAX ? TTL_MAX : ttl;
	queue_sched_remove(&q->lookups, &d->timer);
	if (list_linked(&d->link) && !d->lone_since)
		list_remove(&d->link);
	queue_key_name_unref(q, d->site);
	d->site = name;
	d->until = q->now + ttl;
	d->failures = 0;
	if (d->state != QUEUE_ASKING)
		d->state = QUEUE_KNOWN;
	place_strands(q, d);
}

static void rest(struct queue *q, struct queue_domain *d, int64_t pause)
{
	queue_sched_remove(&q->lookups, &d->timer);
	if (list_linked(&d->link) && !d->lone_since)
		list_remove(&d->link);
	queue_sched_add(&q->lookups, q->now + pause, &d->timer);
}

static void drop_fresh(struct queue *q, struct queue_domain *d)
{
	if (q->fresh_count == 0)
		return;
	for (struct list_link *l = d->strands.head.next; l != &d->strands.head; l = l->next) {
		struct queue_strand *s = list_entry(l, struct queue_strand, of_domain);
		list_each(g, &s->ready, struct queue_group, at.link)
		    queue_message_drop_fresh(q, g->message);
	}
}

void queue_domain_failed(struct queue *q, struct queue_domain *d, const struct queue_result *r)
{
	char word[QUEUE_WORD], in[24];
	int64_t pause;

	if (d->state == QUEUE_FAILED)
		return;
	if (d->failures < UINT16_MAX)
		d->failures++;
	pause = queue_retry_pause(&q->retry, d->failures, d->node.hash);
	d->reason = r->reason;
	d->code = r->code;
	queue_key_reply_unref(queue_key_reply(d, r->reply)); /* d keeps it */
	queue_key_name_unref(q, d->site);
	d->site = NULL;
	d->state = QUEUE_FAILED;
	rest(q, d, pause);
	num_format_duration(in, pause);
	log_event(LOG_LEVEL_INFO, NULL, "domain-backoff", "reason=%s code=%u failures=%u next-in=%s",
		  queue_reason_word(word, d->reason), d->code, d->failures, in);
	drop_fresh(q, d);
	place_strands(q, d);
}

/* A few messages have tried, the others wait: as with a site that cannot be reached. */
static void count_attempts(struct queue *q, struct queue_domain *d, const struct queue_result *r, int failure)
{
	unsigned left = QUEUE_UNPROVEN_START;

	for (struct list_link *l = d->strands.head.next; l != &d->strands.head && left; l = l->next) {
		struct queue_strand *s = list_entry(l, struct queue_strand, of_domain);
		struct list_link *first = list_first(&s->ready);
		first = first ? first : list_first(&s->slow);
		if (!first || s->line || s->stopped)
			continue;
		queue_result_no_site(q, list_entry(first, struct queue_group, at.link), r, failure);
		left--;
	}
}

static void failed(struct queue *q, struct queue_domain *d, const struct queue_result *r, int failure)
{
	queue_domain_failed(q, d, r);
	count_attempts(q, d, r, failure);
}

/* What is wrong for good a worker says to each message's sender: a DELIVER job learns it again, and
 * reports it. Until then the domain stands for itself. */
static void answered(struct queue *q, struct queue_domain *d, const struct queue_task *t)
{
	const struct queue_result *r = t->job.results;

	if (t->job.site[0])
		queue_domain_moved(q, d, t->job.site, t->job.site_ttl);
	else if (r->outcome == SPOOL_BOUNCED)
		queue_domain_moved(q, d, d->name, TTL_MIN);
	else if (d->site) /* the old answer serves on */
		queue_domain_moved(q, d, d->site->text, TTL_MIN);
	else if (r->reason == QUEUE_LOCAL || r->reason == QUEUE_KEYD || r->reason == QUEUE_RETRY)
		rest(q, d, AGAIN_SOON);
	else
		failed(q, d, r, t->job.failure);
}

void queue_domain_back(struct queue *q, struct queue_task *t)
{
	struct queue_domain *d = t->domain;

	q->resolving_out--;
	d->task = NULL;
	d->state = d->site ? QUEUE_KNOWN : QUEUE_UNKNOWN;
	t->job.site[sizeof(t->job.site) - 1] = '\0';
	t->job.results[0].reply[sizeof(t->job.results[0].reply) - 1] = '\0';
	answered(q, d, t);
	if (list_empty(&d->strands)) {
		queue_sched_remove(&q->lookups, &d->timer);
		if (d->state == QUEUE_FAILED)
			d->state = QUEUE_UNKNOWN;
		queue_key_domain_lone(q, d);
	}
}
