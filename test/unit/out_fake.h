/* SPDX-License-Identifier: Apache-2.0 */
/* out_fake - spool, queue and DNS as outgoing mail sees them, for tests: what is done to them is
 * remembered in order.
 *
 * Story: linked instead of relay/spool, relay/queue and relay/out/out_dns. Answers come at the end
 *        of the turn, as in life. The trail says what happened in which order: O opened, D report
 *        committed, S outcome written, J job done. */
#ifndef TEST_UNIT_OUT_FAKE_H
#define TEST_UNIT_OUT_FAKE_H

#include "core/buf.h"
#include "relay/out/out_dns.h"
#include "relay/out/out_worker.h"

#define OUT_FAKE_MESSAGES 64
#define OUT_FAKE_DONE	  64

struct out_fake_message { /* id is its index + 1 */
	struct spool_envelope envelope;
	const char *body;
	size_t size;
	size_t piece; /* stretch given at a time; 0: 65536 */
	int open_err; /* result of open */
	int read_err; /* instead of the stretch after read_err_at bytes */
	size_t read_err_at;
	int hold_open; /* open is answered by out_fake_release */
};
struct out_fake_state { /* an outcome that was written */
	uint64_t id;
	struct spool_state state;
	char detail[8300];
};
struct out_fake_job { /* a job that was given back */
	uint64_t id;
	unsigned count;
	struct queue_result results[300];
	struct spool_envelope *opened;
	char site[QUEUE_SITE];
	int64_t site_ttl;
	int err;
};
struct out_fake_name { /* what the DNS says */
	const char *name;
	int type;
	int result;
	const char *data; /* "10 a.test", addresses, or "3 1 1 HEX" of TLSA, separated by commas */
	int secure;
	const char *canonical; /* the name is an alias of this; NULL: it is none */
};

struct out_fake_row { /* what the ledger was told */
	char address[320], tls[16], by[16], status[16];
	unsigned outcome, recipient, code, attempts;
	int reached;
};
#define OUT_FAKE_ROWS 64

struct out_fake {
	struct out_fake_message messages[OUT_FAKE_MESSAGES];
	const struct out_fake_name *names; /* ended by a NULL name */
	int secure_none; /* names that are not there do not exist, proven */
	unsigned questions; /* to the DNS */
	unsigned insecure_after; /* nothing is proven any more after so many; 0: all may be */
	const char *hold_dns; /* a question for it is never answered */
	int begin_err, commit_err;	   /* of reports */
	int state_errs;			   /* so many writes of outcomes fail */
	int hold_states;		   /* outcomes are written by out_fake_release */
	int index_refused, index_err, hold_index; /* of keyd */
	/* what happened */
	char trail[256];
	struct out_fake_state states[512];
	unsigned state_count;
	struct out_fake_job done[OUT_FAKE_DONE];
	unsigned done_count;
	char *report; /* the last one committed */
	char report_to[320], report_from[320], report_customer[64];
	unsigned reports, queued;
	unsigned readers; /* open now */
	size_t read_ahead_max;
	const char *user, *password; /* of every credential; NULL: login_err */
	int login_err;
	int hold_login;		 /* keyd is asked, and answers with out_fake_login */
	struct out_fake_row rows[OUT_FAKE_ROWS]; /* row_count modulo OUT_FAKE_ROWS is the next */
	unsigned row_count;
	struct shape_lane *lane; /* of the jobs to come */
	const char *site;	 /* likewise; NULL: none */
	struct evt_loop *loop;
};
extern struct out_fake fake;

void out_fake_reset(struct evt_loop *l);
void out_fake_release(void);
/* Whoever waits for a login gets it; how many that were. */
unsigned out_fake_login(void);
/* A job for message id, all its recipients; given to the worker at once. */
void out_fake_job(struct relay_worker *w, uint8_t kind, uint64_t id, const char *destination);

#endif
