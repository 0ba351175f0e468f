/* SPDX-License-Identifier: Apache-2.0 */
/* bounce_list_own - what the files of bounce_list know of each other. */
#ifndef RELAY_BOUNCE_BOUNCE_LIST_OWN_H
#define RELAY_BOUNCE_BOUNCE_LIST_OWN_H

#include <pthread.h>

#include "evt/evt_timer.h"
#include "relay/bounce/bounce_list.h"
#include "relay/bounce/bounce_map.h"

struct bounce_list {
	struct relay *relay;
	pthread_rwlock_t lock; /* of map and unread */
	struct bounce_map map;
	char **unread; /* customers with rows, until whole */
	size_t unread_count;
	atomic_int whole;
	atomic_uint_fast64_t entries; /* 0: nothing to look for */
	/* control's alone */
	struct evt_timer expire;
	int64_t next_row;
	/* reading at start */
	int64_t page, cursor; /* rows behind page up to cursor are being opened */
	unsigned pending;     /* questions to keyd about them */
	int reading, trouble;
	uint64_t unreadable;
};

/* bounce_list_load.c: notes whose addresses have to be opened; begins, or goes on with, opening them. */
int bounce_list_load_note(struct bounce_list *l);
void bounce_list_load(struct bounce_list *l);

#endif
