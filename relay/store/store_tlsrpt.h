/* SPDX-License-Identifier: Apache-2.0 */
/* store_tlsrpt - rows of TLS sessions counted for TLS reports, and of the reports and their ways (relay/tlsrpt/tlsrpt.h).
 *
 * Story:     a count belongs to a policy, which belongs to a day and a domain. A report is of a day and a domain; part 0 is
 *            the day's own, others were ordered (their part is the time of the order). A way is one of the addresses that a
 *            report goes to.
 * Limits:    STORE_TLSRPT_POLICIES policies of a domain in a day: those beyond are counted without their text;
 *            STORE_TLSRPT_DETAILS different failures of a policy: those beyond are counted by their result alone.
 * Ownership: texts and spans of a row hold until the next step.
 * Errors:    of store.h; ERR_EXISTS; ERR_NOTFOUND.
 * Thread:    control's. */
#ifndef RELAY_STORE_STORE_TLSRPT_H
#define RELAY_STORE_STORE_TLSRPT_H

#include "relay/store/store.h"

#define STORE_TLSRPT_POLICIES 16
#define STORE_TLSRPT_DETAILS  128

struct store_tlsrpt_count {
	int64_t day; /* days since 1970 */
	const char *domain;
	int64_t policy_id; /* of rows read */
	int kind;	   /* enum tlsrpt_kind */
	struct span policy; /* lines */
	int result;	    /* enum tlsrpt_result */
	const char *mx, *ip, *from, *reason; /* "": not known, or a success */
	int64_t sessions;
};
/* Adds to what is there. */
int store_tlsrpt_count(struct store *s, const struct store_tlsrpt_count *c);
/* Of a day and domain, those of one policy together: fn until it says no (not 0), which is returned. */
typedef int (*store_tlsrpt_count_fn)(void *arg, const struct store_tlsrpt_count *c);
int store_tlsrpt_counts(struct store *s, int64_t day, const char *domain, store_tlsrpt_count_fn fn, void *arg);

struct store_tlsrpt_sum { /* of a day and domain */
	const char *domain;
	int kind; /* the strictest */
	int64_t good, failed;
	int state; /* of the day's report; -1: there is none yet */
	int64_t due;
};
typedef int (*store_tlsrpt_sum_fn)(void *arg, const struct store_tlsrpt_sum *sum);
/* By domain, those behind after. */
int store_tlsrpt_sums(struct store *s, int64_t day, const char *after, unsigned limit, store_tlsrpt_sum_fn fn,
		      void *arg);

enum store_tlsrpt_state {
	STORE_TLSRPT_WAITING,
	STORE_TLSRPT_SENT,
	STORE_TLSRPT_FAILED,
	STORE_TLSRPT_UNWANTED, /* the domain asks for none */
	STORE_TLSRPT_OFF       /* reports are not sent here */
};
struct store_tlsrpt_report {
	int64_t id, day;
	const char *domain;
	int64_t part, end; /* wall usec */
	const char *name;  /* its id as the world sees it */
	int state;
	int64_t due, until; /* wall usec: the next try; when to give up */
	int64_t tries;
	const char *note;
};
/* Its id, or ERR_*. */
int64_t store_tlsrpt_add(struct store *s, const struct store_tlsrpt_report *r);
/* state, due, until, tries, note. */
int store_tlsrpt_change(struct store *s, const struct store_tlsrpt_report *r);
typedef int (*store_tlsrpt_fn)(void *arg, const struct store_tlsrpt_report *r);
/* Those WAITING, by due: the first limit. */
int store_tlsrpt_waiting(struct store *s, unsigned limit, store_tlsrpt_fn fn, void *arg);
/* Of a day and domain, by part. */
int store_tlsrpt_reports(struct store *s, int64_t day, const char *domain, store_tlsrpt_fn fn, void *arg);
/* A domain that has counts of a day before today and no report of it; 1: *day, domain; 0: there is none; ERR_*. */
int store_tlsrpt_missing(struct store *s, int64_t today, int64_t *day, char domain[256]);

struct store_tlsrpt_way {
	const char *uri; /* "mailto:..." as it is used, or "https:..." */
	int state;	 /* enum store_tlsrpt_state */
	int64_t tries, time; /* of the last try, wall usec */
	const char *note;
};
int store_tlsrpt_way_put(struct store *s, int64_t report, const struct store_tlsrpt_way *w);
typedef int (*store_tlsrpt_way_fn)(void *arg, const struct store_tlsrpt_way *w);
int store_tlsrpt_ways(struct store *s, int64_t report, store_tlsrpt_way_fn fn, void *arg);

/* All of days before day. */
int store_tlsrpt_forget(struct store *s, int64_t day);

#endif
