/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_ask - questions to the ledger, answered by its second thread.
 *
 * Story:  fill an ask, post it; msg.run is called on the reply inbox with the answer as JSON:
 *           ROWS    {"items": [row, ...], "next": CURSOR}      newest first; opened by keyd
 *           EXPORT  {"text": LINES, "rows": N, "next": CURSOR} oldest first, in csv or JSON lines
 *                   events: {"text": LINES, "rows": N, "next": PLACE}, those of readers instead
 *           STATS   {"items": [{"domain": ..., counters}], "domains": N}
 *           STATUS  {"rows": ..., ...}
 *           VERIFY  {"state": "none" | "running" | "good" | "bad" | "failed", ...}; start begins one
 *         next is the row to go on behind, "" at the end. A page of ROWS may be short, or empty, and
 *         still have a next: so many rows were looked at that others should have their turn.
 *         What was posted to the ledger before the question is written first, if keyd and disk permit.
 * Errors: ERR_AWAY, ERR_LOCKED... of keyd where a recipient is looked for; ERR_NOMEM.
 * Ownership: the ask is its asker's again in run; answer is NULL or to be taken over.
 * Thread: post any. */
#ifndef RELAY_LEDGER_LEDGER_ASK_H
#define RELAY_LEDGER_LEDGER_ASK_H

#include <jansson.h>

#include "relay/ledger/ledger.h"
#include "relay/ledger/ledger_hits.h"
#include "relay/ledger/ledger_query.h"

#define LEDGER_ASK_ROWS_MOST 1000
#define LEDGER_ASK_PAGE (512u << 10) /* octets of text in one EXPORT */
#define LEDGER_ASK_DOMAINS 1000	     /* in one STATS: those with the most attempts */

enum ledger_ask_kind { LEDGER_ASK_ROWS, LEDGER_ASK_EXPORT, LEDGER_ASK_STATS, LEDGER_ASK_STATUS, LEDGER_ASK_VERIFY };

struct ledger_ask {
	struct relay_msg msg;
	enum ledger_ask_kind kind;
	struct evt_inbox *reply;
	void *arg;
	struct ledger_filter filter; /* indexes are the ledger's */
	char recipient[321];	     /* ROWS: whose; "": anybody's */
	unsigned limit;		     /* ROWS, STATS */
	int csv, sealed;	     /* EXPORT: format; recipients are not opened */
	int events;		     /* EXPORT: what readers did, from place on, instead of rows */
	struct ledger_hits_place place;
	int start;		     /* VERIFY */
	/* the ledger's */
	void (*run)(struct relay_msg *m, void *receiver);
	/* answer */
	int err;
	json_t *answer;
};
struct ledger_ask *ledger_ask_new(enum ledger_ask_kind kind);
void ledger_ask_free(struct ledger_ask *a);
void ledger_ask_post(struct ledger *l, struct ledger_ask *a);

#endif
