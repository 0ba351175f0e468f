/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay_order.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/store/store_order.h"

static const char *named(const struct queue_selector *of, uint8_t by, const char *text)
{
	return of->by & by ? text : NULL;
}

static void to_row(struct store_order *row, const struct queue_order *o)
{
	const struct queue_selector *of = &o->of;

	*row = (struct store_order){.action = o->action,
				    .customer = named(of, QUEUE_BY_CUSTOMER, of->customer),
				    .campaign = named(of, QUEUE_BY_CAMPAIGN, of->campaign),
				    .destination = named(of, QUEUE_BY_DESTINATION, of->destination),
				    .message = of->by & QUEUE_BY_MESSAGE ? of->message : 0,
				    .via = o->via,
				    .before = o->before,
				    .created = o->created};
}

static void take(char *dst, size_t size, struct queue_selector *of, uint8_t by, const char *text)
{
	if (!text)
		return;
	of->by |= by;
	snprintf(dst, size, "%s", text);
}

static void from_row(struct queue_order *o, const struct store_order *row)
{
	struct queue_selector *of = &o->of;

	*o = (struct queue_order){.number = row->number,
				  .action = (uint8_t)row->action,
				  .before = row->before,
				  .created = row->created};
	take(of->customer, sizeof(of->customer), of, QUEUE_BY_CUSTOMER, row->customer);
	take(of->campaign, sizeof(of->campaign), of, QUEUE_BY_CAMPAIGN, row->campaign);
	take(of->destination, sizeof(of->destination), of, QUEUE_BY_DESTINATION, row->destination);
	of->message = row->message;
	of->by |= row->message ? QUEUE_BY_MESSAGE : 0;
	snprintf(o->via, sizeof(o->via), "%s", row->via);
}

/* --- taking back */

#define END_MAX 4096 /* at a time */

struct ending {
	uint8_t action;
	const struct queue_selector *of;
	size_t count;
	int64_t numbers[END_MAX];
};

static int collect(void *arg, const struct store_order *row)
{
	struct ending *e = arg;
	struct queue_order o;

	from_row(&o, row);
	if (o.action != e->action || !queue_selector_covers(e->of, &o.of) ||
	    (o.of.by & QUEUE_BY_MESSAGE && !(e->of->by & QUEUE_BY_MESSAGE)))
		return 0;
	if (e->count == END_MAX)
		return ERR_LIMIT;
	e->numbers[e->count++] = o.number;
	return 0;
}

static int take_back(struct relay *r, uint8_t action, const struct queue_selector *of)
{
	struct ending *e = malloc(sizeof(*e));
	int err = e ? 0 : ERR_NOMEM;

	if (e) {
		e->action = action;
		e->of = of;
		e->count = 0;
		err = store_order_each(r->store, collect, e);
		if (err == 0 && e->count)
			err = store_order_remove_all(r->store, e->numbers, e->count);
	}
	free(e);
	return err;
}

/* --- giving */

/* Of one message the spool knows whether it is held. */
static int kept(const struct queue_ask *a)
{
	static const uint8_t yes[] = {[QUEUE_HOLD] = 1,	  [QUEUE_SUSPEND] = 1, [QUEUE_REROUTE] = 1,
				      [QUEUE_BOUNCE] = 1, [QUEUE_PURGE] = 1};

	if (a->action == QUEUE_HOLD && a->order.of.by & QUEUE_BY_MESSAGE)
		return 0;
	return a->action < sizeof(yes) && yes[a->action];
}

int relay_order_give(struct relay *r, struct queue_ask *a)
{
	uint8_t ended = queue_order_ended_by(a->action);
	struct store_order row;
	int64_t rc = 0;

	a->order.action = a->action;
	a->order.created = a->order.before = clock_wall();
	a->order.number = 0;
	to_row(&row, &a->order);
	if (ended)
		rc = take_back(r, ended, &a->order.of);
	else if (kept(a))
		rc = a->order.number = store_order_add(r->store, &row);
	if (rc < 0)
		return (int)rc;
	queue_ask_post(r->queue, a);
	return 0;
}

static void forget(struct relay *r, int64_t number)
{
	int err = store_order_remove(r->store, number);

	if (err < 0 && err != ERR_NOTFOUND)
		log_event(LOG_LEVEL_WARN, NULL, "queue-order-kept", "number=%lld why=\"%s\"",
			  (long long)number, err_text(err));
}

void relay_order_refused(struct relay *r, const struct queue_ask *a)
{
	if (a->order.number > 0)
		forget(r, a->order.number);
}

static void ended(struct relay_msg *m, void *receiver)
{
	struct queue_order_end *e = (struct queue_order_end *)m;

	forget(receiver, e->number);
	free(e);
}

static int tell(void *arg, const struct store_order *row)
{
	struct queue_order o;

	from_row(&o, row);
	return queue_order_found(arg, &o);
}

static int open_part(struct relay *r, const char **why)
{
	int err = store_order_each(r->store, tell, r->queue);

	if (err < 0)
		*why = "orders in relay.db";
	queue_on_order_end(r->queue, r->inbox, ended);
	return err;
}

const struct relay_control_part relay_order_part = {.open = open_part};
