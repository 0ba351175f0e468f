/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "relay/queue/queue.h"

int queue_selector_covers(const struct queue_selector *a, const struct queue_selector *b)
{
	if (a->by & ~b->by)
		return 0;
	return (!(a->by & QUEUE_BY_MESSAGE) || a->message == b->message) &&
	       (!(a->by & QUEUE_BY_CUSTOMER) || !strcmp(a->customer, b->customer)) &&
	       (!(a->by & QUEUE_BY_CAMPAIGN) || !strcmp(a->campaign, b->campaign)) &&
	       (!(a->by & QUEUE_BY_DESTINATION) || !strcmp(a->destination, b->destination));
}

uint8_t queue_order_ended_by(uint8_t action)
{
	return action == QUEUE_RELEASE	 ? QUEUE_HOLD
	       : action == QUEUE_RESUME	 ? QUEUE_SUSPEND
	       : action == QUEUE_UNROUTE ? QUEUE_REROUTE
					 : 0;
}
