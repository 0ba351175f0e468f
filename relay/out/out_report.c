/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "core/log.h"
#include "relay/bounce/bounce_class.h"
#include "relay/out/out_verdict.h"

/* events: delivered deferred bounced expired */
static const char *const outcomes[] = {[SPOOL_DELIVERED] = "delivered",
				       [SPOOL_DEFERRED] = "deferred",
				       [SPOOL_BOUNCED] = "bounced",
				       [SPOOL_EXPIRED] = "expired"};
enum { OUTCOMES = sizeof(outcomes) / sizeof(outcomes[0]) };

static const char *const reasons[] = {
#define QUEUE_X(sym, num, text) [num] = #sym,
    QUEUE_REASONS(QUEUE_X)
#undef QUEUE_X
};

/* --- detail */

struct text {
	char *dst;
	size_t n, room;
	int full;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->dst + t->n, t->room - t->n, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->room - t->n)
		t->full = 1; /* what was begun does not count */
	else
		t->n += (size_t)n;
}

static const char *yes(int on)
{
	return on ? "yes" : "no";
}

static void put_policy(struct text *t, const struct out_conn_peer *p)
{
	put(t, "policy=%s\nby=%s\n", p->policy, p->verified_by);
	if (p->failure)
		put(t, "failure=%s\n", tlsrpt_result_name(p->failure));
	if (p->why[0])
		put(t, "why=%s\n", p->why);
}

static void put_peer(struct text *t, const struct out_conn_peer *p)
{
	put_policy(t, p);
	if (!p->host[0])
		return;
	put(t, "host=%s\naddress=%s\nport=%u\n", p->host, p->address, p->port);
	if (p->source[0])
		put(t, "source=%s\n", p->source);
	if (!p->tls.version) {
		put(t, "tls=none\n");
		if (p->clear)
			put(t, "clear=%s\n", p->clear);
		return;
	}
	put(t, "tls=%s\ncipher=%s\n", p->tls.version, p->tls.cipher);
	if (p->tls.group)
		put(t, "group=%s\n", p->tls.group);
	put(t, "verified=%s\nresumed=%s\n", yes(p->tls.verified), yes(p->tls.resumed));
}

static const char *outcome_name(const struct queue_result *r)
{
	return r->outcome < OUTCOMES && outcomes[r->outcome] ? outcomes[r->outcome] : "open";
}

size_t out_report_detail(const struct out_report *r, char dst[OUT_REPORT_DETAIL])
{
	struct text t = {dst, 0, OUT_REPORT_DETAIL - 16, 0};
	char when[21], id[ID_TEXT_SIZE];

	clock_format_iso(when, r->at);
	put(&t, "at=%s\n", when);
	if (r->peer)
		put_peer(&t, r->peer);
	put(&t, "ms=%lld\n", (long long)(r->usec / 1000));
	if (r->dsn) {
		id_format(id, r->dsn);
		put(&t, "dsn=%s\n", id);
	}
	for (unsigned i = 0; i < r->count; i++) {
		const struct queue_result *v = &r->results[i], *before = i ? v - 1 : NULL;
		if (before && before->code == v->code && before->outcome == v->outcome &&
		    !strcmp(before->reply, v->reply))
			put(&t, "result=%u %s ditto\n", v->recipient, outcome_name(v));
		else
			put(&t, "result=%u %s %u %s\n", v->recipient, outcome_name(v), v->code,
			    v->reply);
		if (t.full) {
			t.room = OUT_REPORT_DETAIL;
			put(&t, "more=%u\n", r->count - i);
			break;
		}
	}
	return t.n;
}

/* --- log */

static void log_outcome(const struct out_report *r, const char *id, int outcome, unsigned n,
			const struct queue_result *first)
{
	const struct out_conn_peer *p = r->peer;
	char status[OUT_VERDICT_STATUS], reason[64] = "", extra[128 + SHAPE_NAME] = "", dsn[ID_TEXT_SIZE];
	size_t at = 0;

	out_verdict_status(first, status);
	if (outcome != SPOOL_DELIVERED) {
		at = (size_t)snprintf(reason, sizeof(reason), " reason=%s", reasons[first->reason]);
		for (size_t i = 8; i < at; i++)
			reason[i] |= 0x20;
		snprintf(reason + at, sizeof(reason) - at, " class=%s",
			 bounce_class_name(bounce_class_of(first->code, status,
							   out_verdict_text(first))));
	}
	at = 0;
	if (p && p->failure)
		at = (size_t)snprintf(extra, sizeof(extra), " failure=%s", tlsrpt_result_name(p->failure));
	if (p && !p->tls.version && p->clear)
		at += (size_t)snprintf(extra + at, sizeof(extra) - at, " clear=%s", p->clear);
	if (outcome == SPOOL_BOUNCED || outcome == SPOOL_EXPIRED) {
		if (r->dsn)
			id_format(dsn, r->dsn);
		at += (size_t)snprintf(extra + at, sizeof(extra) - at, " dsn=%s", r->dsn ? dsn : "none");
	}
	if (p && p->source[0])
		snprintf(extra + at, sizeof(extra) - at, " source=%s", p->source);
	log_event(LOG_LEVEL_INFO, id, outcomes[outcome],
		  "n=%u host=%s tls=%s cipher=%s verified=%s policy=%s by=%s%s code=%u status=%s ms=%lld%s",
		  n, p && p->host[0] ? p->host : "-", p && p->tls.version ? p->tls.version : "none",
		  p && p->tls.cipher ? p->tls.cipher : "-",
		  yes(p && p->tls.version && p->tls.verified), p ? p->policy : "none",
		  p ? p->verified_by : "none", reason, first->code, status,
		  (long long)(r->usec / 1000), extra);
}

static void count(struct relay *relay, const unsigned n[OUTCOMES], int encrypted)
{
	if (n[SPOOL_DELIVERED]) {
		relay_count(relay, deliveries, n[SPOOL_DELIVERED]);
		if (encrypted)
			relay_count(relay, tls_out, 1);
		else
			relay_count(relay, clear_out, 1);
	}
	if (n[SPOOL_DEFERRED])
		relay_count(relay, deferrals, n[SPOOL_DEFERRED]);
	if (n[SPOOL_BOUNCED])
		relay_count(relay, bounces, n[SPOOL_BOUNCED]);
	if (n[SPOOL_EXPIRED])
		relay_count(relay, expired, n[SPOOL_EXPIRED]);
}

void out_report_log(const struct out_report *r, struct relay *relay)
{
	const struct queue_result *first[OUTCOMES] = {NULL};
	unsigned n[OUTCOMES] = {0};
	char id[ID_TEXT_SIZE];

	for (unsigned i = 0; i < r->count; i++) {
		int o = r->results[i].outcome < OUTCOMES ? r->results[i].outcome : 0;
		if (!n[o]++)
			first[o] = &r->results[i];
	}
	id_format(id, r->id);
	for (int o = 1; o < OUTCOMES; o++)
		if (n[o])
			log_outcome(r, id, o, n[o], first[o]);
	count(relay, n, r->peer && r->peer->tls.version);
}
