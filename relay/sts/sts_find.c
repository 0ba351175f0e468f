/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "evt/evt_timer.h"
#include "relay/sts/sts_own.h"

/* Who asked and waits. Waiting: on its entry's list. Told: its message is on the way to its
 * worker, which alone frees it then. */
struct sts_lookup {
	struct relay_msg msg;
	struct list_link all, waiting;
	struct sts *sts;
	struct relay_worker *worker;
	struct sts_entry *entry;
	struct evt_timer patience;
	int extended; /* it waits for the web server, which has its own time */
	sts_fn fn;    /* NULL: cancelled */
	void *arg;
	int result;
	struct sts_policy *policy;
	enum tlsrpt_result failure;
};

static void forget(struct sts_lookup *k)
{
	pthread_mutex_lock(&k->sts->lock);
	list_remove(&k->all);
	pthread_mutex_unlock(&k->sts->lock);
	evt_timer_clear(&k->patience);
	sts_policy_unref(k->policy);
	free(k);
}

static void hear(struct sts_lookup *k)
{
	struct sts_policy *p = k->policy;

	if (k->fn) {
		k->policy = NULL;
		k->fn(k->arg, k->result, p, k->failure);
	}
	forget(k);
}

static void arrived(struct relay_msg *m, void *receiver)
{
	(void)receiver;
	hear((struct sts_lookup *)m);
}

static void settle(struct sts_lookup *k, int result, const struct sts_policy *p,
		   enum tlsrpt_result failure)
{
	list_remove(&k->waiting);
	k->result = result;
	k->policy = sts_policy_ref(p);
	k->failure = failure;
}

void sts_find_tell(struct sts_entry *e, int result, const struct sts_policy *p,
		   enum tlsrpt_result failure)
{
	while (!list_empty(&e->waiters)) {
		struct sts_lookup *k =
		    list_entry(list_first(&e->waiters), struct sts_lookup, waiting);
		settle(k, result, p, failure);
		evt_inbox_post(k->worker->inbox, &k->msg.msg);
	}
}

/* With the lock held. 0: wait on, the web server has its time yet. A cached policy is old, but
 * good. Without one a DNS that does not answer is one that failed. */
static int give_up(struct sts_lookup *k)
{
	struct sts_entry *e = k->entry;
	const struct sts_policy *p = sts_cache_policy(k->sts, e);

	if (!p && e->fetching && !k->extended)
		return 0;
	settle(k, p || e->fetching ? 0 : ERR_AWAY, p,
	       p	     ? e->failure
	       : e->fetching ? TLSRPT_STS_POLICY_FETCH_ERROR
			     : TLSRPT_OK);
	return 1;
}

static void out_of_patience(void *arg)
{
	struct sts_lookup *k = arg;
	int waiting, over = 0;

	pthread_mutex_lock(&k->sts->lock);
	waiting = list_linked(&k->waiting);
	if (waiting)
		over = give_up(k);
	pthread_mutex_unlock(&k->sts->lock);
	if (over) {
		hear(k);
	} else if (waiting) {
		k->extended = 1;
		evt_timer_set(&k->patience, STS_FETCH);
	}
}

void sts_cancel(struct sts_lookup *k)
{
	int waiting;

	if (!k)
		return;
	pthread_mutex_lock(&k->sts->lock);
	waiting = list_linked(&k->waiting);
	if (waiting)
		list_remove(&k->waiting);
	pthread_mutex_unlock(&k->sts->lock);
	k->fn = NULL;
	evt_timer_clear(&k->patience);
	if (waiting)
		forget(k);
}

static struct sts_lookup *wait_for(struct sts *s, struct sts_entry *e, struct relay_worker *w,
				   sts_fn fn, void *arg)
{
	struct sts_lookup *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->msg.run = arrived;
	k->sts = s;
	k->worker = w;
	k->entry = e;
	k->fn = fn;
	k->arg = arg;
	evt_timer_init(&k->patience, w->loop, out_of_patience, k);
	evt_timer_set(&k->patience, e->policy ? STS_PATIENCE : STS_RECORD);
	list_push_back(&s->lookups, &k->all);
	list_push_back(&e->waiters, &k->waiting);
	return k;
}

struct sts_lookup *sts_find(struct relay_worker *w, struct out_dns *dns, const char *domain,
			    sts_fn fn, void *arg)
{
	struct sts *s = w->relay->sts;
	struct sts_policy *p = NULL;
	struct sts_lookup *k = NULL;
	struct sts_look *look = NULL;
	struct sts_entry *e;
	enum tlsrpt_result failure = TLSRPT_OK;
	char name[HTTPS_URL_HOST];
	int known, result = ERR_AWAY;

	if (https_url_host(span_str(domain), name) < 0) { /* an address, for one */
		fn(arg, 0, NULL, TLSRPT_OK);
		return NULL;
	}
	pthread_mutex_lock(&s->lock);
	e = sts_cache_use(s, name);
	if (e)
		p = sts_policy_ref(sts_cache_policy(s, e));
	known = e && e->known_until > clock_mono();
	if (known) {
		result = e->result;
		failure = e->failure;
	} else if (e) {
		if (!e->look)
			look = sts_look_new(s, e, w, dns, 0);
		k = e->look ? wait_for(s, e, w, fn, arg) : NULL;
	}
	pthread_mutex_unlock(&s->lock);
	if (look)
		sts_look_start(look);
	if (k)
		sts_policy_unref(p);
	else
		fn(arg, p ? 0 : result, p, failure);
	return k;
}

void sts_find_clear(struct sts *s)
{
	while (!list_empty(&s->lookups)) {
		struct sts_lookup *k =
		    list_entry(list_pop_front(&s->lookups), struct sts_lookup, all);
		sts_policy_unref(k->policy);
		free(k);
	}
}
