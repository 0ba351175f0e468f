/* SPDX-License-Identifier: Apache-2.0 */
/* sts_own - what the files of sts know of each other; nobody else includes it.
 *
 * Story:  sts_cache.c has the entries, sts_find.c who asks and waits, sts_look.c the look-up and
 *         the fetch, sts_tend.c the refreshing, sts_keep.c control's part. All that is in struct
 *         sts is behind its lock; functions that want it held say so. Nobody calls out of the
 *         module with it held. */
#ifndef RELAY_STS_STS_OWN_H
#define RELAY_STS_STS_OWN_H

#include <pthread.h>

#include "core/list.h"
#include "relay/https/https_ask.h"
#include "relay/sts/sts.h"

struct sts_look;

struct sts_entry {
	struct list_link order; /* on policies or others, what was asked for longest ago first */
	char *domain;
	struct sts_policy *policy; /* NULL: none */
	int64_t used;		   /* wall usec; somebody asked */
	int64_t due;		   /* wall usec; fetch the policy anew */
	int64_t known_until;	   /* mono usec; result and failure hold so long */
	int result;
	enum tlsrpt_result failure;
	char failed_id[STS_POLICY_ID]; /* of the record whose policy could not be fetched */
	int64_t failed_until;	       /* mono usec; do not try that one before */
	struct sts_look *look;	       /* under way: an entry with one stays where it is */
	int fetching;		       /* look has its record, and asks the web server */
	struct list waiters;	       /* struct sts_lookup */
};

/* To be written or removed (policy NULL) by control. */
struct sts_change {
	struct list_link link;
	struct sts_policy *policy;
	char domain[];
};

struct sts {
	pthread_mutex_t lock;
	void *tree; /* entries by domain: search.h */
	struct list policies, others;
	unsigned policy_count, other_count;
	uint64_t octets;
	struct list changes;	    /* oldest first */
	struct list looks, lookups; /* all there are */
	/* control's */
	struct evt_timer *save;
	int64_t save_failed; /* mono usec; told */
};

/* --- sts_cache.c: with the lock held */
struct sts_entry *sts_cache_find(struct sts *s, const char *domain);
/* Found or made; it is now the one used last. NULL: no memory, or no room. */
struct sts_entry *sts_cache_use(struct sts *s, const char *domain);
/* The policy that counts now, or NULL: an old one is dropped here. */
const struct sts_policy *sts_cache_policy(struct sts *s, struct sts_entry *e);
/* Takes the reference over; NULL: none. keep: tell control. */
void sts_cache_put(struct sts *s, struct sts_entry *e, struct sts_policy *p, int keep);
void sts_cache_clear(struct sts *s);

/* --- sts_look.c */
/* With the lock held: marks e. NULL: no memory. */
struct sts_look *sts_look_new(struct sts *s, struct sts_entry *e, struct relay_worker *w,
			      struct out_dns *dns, int refresh);
/* Without it. The end goes to all who wait then, by their inboxes. */
void sts_look_start(struct sts_look *k);
void sts_look_clear(struct sts *s);

/* --- sts_find.c: with the lock held. Each waiter's message is posted. p is borrowed. */
void sts_find_tell(struct sts_entry *e, int result, const struct sts_policy *p,
		   enum tlsrpt_result failure);
void sts_find_clear(struct sts *s);

#endif
