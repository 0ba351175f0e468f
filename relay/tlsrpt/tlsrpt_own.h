/* SPDX-License-Identifier: Apache-2.0 */
/* tlsrpt_own - what the files of tlsrpt know of each other; nobody else includes it.
 *
 * Story: tlsrpt.c counts, keeps days, and says when a report is due. tlsrpt_job.c is one report under way, as control sees
 *        it; tlsrpt_way.c is its part on worker 0: the TXT record, then one way after the other. A job goes back and forth
 *        as a message; only who has it touches it. At the end of relay control frees what still is under way: a way that
 *        has gone by then is written down first. */
#ifndef RELAY_TLSRPT_TLSRPT_OWN_H
#define RELAY_TLSRPT_TLSRPT_OWN_H

#include <pthread.h>

#include "core/list.h"
#include "evt/evt_timer.h"
#include "relay/https/https_ask.h"
#include "relay/spool/spool_message.h"
#include "relay/tlsrpt/tlsrpt.h"
#include "relay/tlsrpt/tlsrpt_record.h"
#include "relay/tlsrpt/tlsrpt_tally.h"

#define TLSRPT_NOTE   160
#define TLSRPT_SPARED 256		  /* domains at a time; the oldest goes first */
#define TLSRPT_SPARE  (60 * CLOCK_SEC) /* after a report went into the queue */

struct tlsrpt {
	struct relay *relay;
	pthread_mutex_t lock; /* of tally, lost, spared */
	struct tlsrpt_tally tally;
	uint64_t lost;
	struct tlsrpt_spared {
		char domain[256];
		int64_t until; /* mono usec */
	} spared[TLSRPT_SPARED];
	unsigned spare;	     /* where the next one goes */
	int64_t spare_until; /* none is beyond */
	struct evt_timer timer;
	int64_t day;	 /* that it last was */
	int64_t flushed; /* mono usec */
	int64_t next;	 /* wall usec: no report is due before */
	int planning;	 /* days that are over may have domains without a report */
	struct list jobs;
	unsigned job_count;
};

enum tlsrpt_way_end { TLSRPT_WAY_LATER, TLSRPT_WAY_GONE, TLSRPT_WAY_NEVER };

struct dkim_sign;
struct tlsrpt_job {
	struct relay_msg msg;
	struct list_link link; /* of jobs */
	struct tlsrpt *t;
	const struct relay_conf *conf; /* lives as long as relay */
	/* the report, as in the store */
	int64_t id, day, part, begin, end, until, tries;
	char domain[256], name[TLSRPT_REPORT_ID], submitter[256];
	struct buf gzip;
	/* the record */
	int dns; /* 0, or ERR_* of lookup or record */
	struct tlsrpt_record record;
	/* ways */
	unsigned way;  /* at work */
	unsigned gone; /* ways that have, bit by bit; before, too */
	unsigned open; /* to be tried again */
	int answered;  /* end and note are set, and not written down yet */
	enum tlsrpt_way_end end_of_way;
	char note[TLSRPT_NOTE];
	/* mail */
	struct relay_worker *worker;
	struct spool_writer *writer;
	uint64_t message;
	struct spool_envelope envelope;
	struct spool_recipient recipient;
	struct dkim_sign *dkim; /* the worker's alone */
};

/* --- tlsrpt.c */
/* Whether reports are sent at all. */
int tlsrpt_sends(const struct relay_conf *conf);
void tlsrpt_submitter(const struct relay_conf *conf, char dst[256]);

/* A report goes to domain by mail now: sessions of the next moments are not counted there, for one of them carries it, and
 * two who report to each other would do so for ever (RFC 8460 3). Any thread. */
void tlsrpt_spare(struct tlsrpt *t, const char *domain);

/* --- tlsrpt_job.c: control */
void tlsrpt_job_start(struct tlsrpt *t, const struct store_tlsrpt_report *r);
int tlsrpt_job_runs(const struct tlsrpt *t, int64_t report);
/* At the end of relay. */
void tlsrpt_job_end(struct tlsrpt_job *j);
/* How a way is named in the store: its kind, host, and a digest. */
#define TLSRPT_JOB_WAY 300
void tlsrpt_job_way(char dst[TLSRPT_JOB_WAY], const struct tlsrpt_record_uri *u);

/* --- tlsrpt_way.c: handlers on worker 0; each posts the job home with done. */
void tlsrpt_way_ask(struct relay_msg *m, void *worker);
void tlsrpt_way_go(struct relay_msg *m, void *worker);
/* On control: after ask, after go. */
void tlsrpt_job_asked(struct relay_msg *m, void *relay);
void tlsrpt_job_went(struct relay_msg *m, void *relay);

#endif
