/* SPDX-License-Identifier: Apache-2.0 */
/* relay_order - control's part in orders for the queue: durable first, then in force.
 *
 * Story:  at start the orders of former runs go to the queue. A new one is a row of the store before the queue hears
 *         of it, and one that is taken back is gone from there before. What has come to its end the queue says, and
 *         its row goes.
 * Thread: control's. */
#ifndef RELAY_RELAY_ORDER_H
#define RELAY_RELAY_ORDER_H

#include "relay/queue/queue.h"
#include "relay/relay_control.h"

extern const struct relay_control_part relay_order_part;

/* a holds action and order; it is posted to the queue, and comes back as queue_ask_post says. An error of the store's,
 * ERR_*: it was not posted, and is still the caller's. */
int relay_order_give(struct relay *r, struct queue_ask *a);
/* The queue did not take it (a->err): its row goes again. */
void relay_order_refused(struct relay *r, const struct queue_ask *a);

#endif
