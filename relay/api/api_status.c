/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "core/clock.h"
#include "core/err.h"
#include "keyproto/keyproto_client_ev.h"
#include "relay/api/api_call.h"
#include "relay/campaign/campaign.h"
#include "relay/ledger/ledger.h"
#include "relay/out/out_anchor.h"
#include "relay/out/out_selftest.h"
#include "relay/queue/queue.h"
#include "relay/spool/spool_log.h"
#include "relay/sts/sts.h"
#include "relay/tls/tls_exception.h"
#include "relay/track/track_host.h"
#include "relay/track/track_keep.h"

#define EXPIRY_WARNING_DAYS 14

static void warn(json_t *list, const char *text)
{
	json_array_append_new(list, json_string(text));
}

static void add_certificate(struct relay *r, json_t *out, json_t *warnings)
{
	SSL_CTX *ctx = atomic_load(&r->tls_in);
	X509 *x = ctx ? SSL_CTX_get0_certificate(ctx) : NULL;
	int days, seconds;

	if (!x) {
		warn(warnings, "no certificate: STARTTLS is not offered to clients");
		return;
	}
	if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)))
		return;
	json_object_set_new(out, "certificate_days_left", json_integer(days));
	if (days < 0 || seconds < 0)
		warn(warnings, "relay's certificate has expired");
	else if (days < EXPIRY_WARNING_DAYS)
		warn(warnings, "relay's certificate expires within two weeks");
}

static json_t *counters(struct relay *r)
{
	json_t *o = json_object();

#define COUNTER(name) json_object_set_new(o, #name, json_integer((json_int_t)atomic_load(&r->count.name)));
	RELAY_COUNTERS(COUNTER)
#undef COUNTER
	return o;
}

_Static_assert(SPOOL_REASON_DAMAGED == QUEUE_DAMAGED, "what quarantine is");

static json_t *spool(struct relay *r, json_t *warnings)
{
	struct spool_numbers n;

	spool_log_numbers(r->spool, &n);
	if (spool_log_ready(r->spool) < 0)
		warn(warnings, "the disk is (nearly) full: new mail is refused with 452");
	if (n.damaged)
		warn(warnings, "damaged records were found in the spool: see the log, event=spool-damaged");
	if (n.quarantined)
		warn(warnings, "damaged messages are in quarantine: see the log, event=message-quarantined");
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "segments",
			 (json_int_t)n.segments, "live_messages", (json_int_t)n.live_messages,
			 "bytes_used", (json_int_t)n.bytes_used, "bytes_live",
			 (json_int_t)n.bytes_live, "moved", (json_int_t)n.moved, "bytes_free",
			 (json_int_t)n.bytes_free, "inodes_free", (json_int_t)n.inodes_free, "syncs",
			 (json_int_t)n.syncs, "sync_usec_max", (json_int_t)n.sync_usec_max, "damaged",
			 (json_int_t)n.damaged, "quarantined", (json_int_t)n.quarantined);
}

static json_t *queue(const struct queue_numbers *n, json_t *warnings)
{
	if (n->orphans)
		warn(warnings, "the queue holds recipients without a next attempt: a bug, see event=queue-orphan");
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "messages",
			 (json_int_t)n->messages, "recipients", (json_int_t)n->recipients, "active",
			 (json_int_t)n->active, "deferred", (json_int_t)n->deferred, "held",
			 (json_int_t)n->held, "draining", (json_int_t)n->draining, "destinations",
			 (json_int_t)n->destinations, "opening", (json_int_t)n->opening, "bytes",
			 (json_int_t)n->bytes, "oldest", (json_int_t)n->oldest);
}

static json_t *ledger(struct relay *r, json_t *warnings)
{
	struct ledger_numbers n = {.rows = 0};

	if (r->ledger)
		ledger_numbers(r->ledger, &n);
	if (n.stuck)
		json_array_append_new(warnings,
				      json_sprintf("the ledger cannot be written (%s): %llu rows wait in memory",
						   err_text(n.stuck), (unsigned long long)n.waiting));
	return json_pack("{s:I, s:I, s:I, s:I}", "rows", (json_int_t)n.rows, "waiting", (json_int_t)n.waiting,
			 "signed", (json_int_t)n.signed_to, "bytes", (json_int_t)n.bytes);
}

static json_t *dns(struct relay *r, const struct relay_conf *conf, json_t *warnings)
{
	int result = atomic_load(&r->dns.selftest);
	const char *anchor = out_anchor_path(conf);

	if (out_selftest_bad(result))
		json_array_append_new(warnings, json_sprintf("DNS: %s", out_selftest_what(result)));
	return json_pack("{s:s, s:s, s:I, s:I, s:s}", "selftest", out_selftest_name(result), "what",
			 out_selftest_what(result), "since", (json_int_t)atomic_load(&r->dns.since), "tested",
			 (json_int_t)atomic_load(&r->dns.tested), "anchor", anchor ? anchor : "");
}

static json_t *mta_sts(struct relay *r)
{
	struct sts_numbers n;

	sts_count(r->sts, &n);
	return json_pack("{s:I, s:I, s:I, s:I}", "policies", (json_int_t)n.policies, "enforce",
			 (json_int_t)n.enforce, "testing", (json_int_t)n.testing, "failing", (json_int_t)n.failing);
}

static json_t *tracking(struct relay *r, json_t *warnings)
{
	struct track_keep_numbers n;
	struct track_host_numbers h = {.connections = 0};

	track_keep_numbers(r->track->keep, &n);
	if (r->track->host)
		track_host_numbers(r->track->host, &h);
	if (n.lost)
		warn(warnings, "tracking could not keep up: what some readers did was not noted, see event=tracking-lost");
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "requests", (json_int_t)h.requests, "refused",
			 (json_int_t)h.refused, "connections", (json_int_t)h.connections, "hits", (json_int_t)n.hits,
			 "unsubscribed", (json_int_t)n.unsubscribed, "lost", (json_int_t)n.lost, "waiting",
			 (json_int_t)n.waiting, "webhooks_waiting", (json_int_t)n.pushes);
}

static json_t *campaigns(struct relay *r, json_t *warnings)
{
	struct campaign_numbers n;

	campaign_numbers(r, &n);
	if (n.damaged)
		warn(warnings, "campaigns are damaged in relay.db, and their mail waits: see event=campaign-damaged");
	if (n.revoked_damaged)
		warn(warnings, "the list of revoked campaigns is not the one that keyd signed: all campaign mail waits, "
			       "see event=campaign-revoked-damaged");
	return json_pack("{s:I, s:I}", "active", (json_int_t)n.active, "damaged", (json_int_t)n.damaged);
}

static void answer(struct relay_msg *m, void *receiver)
{
	struct queue_ask *a = (struct queue_ask *)m;
	struct api_call *c = a->arg;
	struct relay *r = receiver;
	struct relay_conf *conf = relay_now(r);
	unsigned state = (unsigned)atomic_load(&r->keyd_state);
	json_t *warnings = json_array(), *out = json_object();

	json_object_set_new(out, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(out, "hostname", json_string(conf->hostname));
	json_object_set_new(out, "started", json_integer(r->started));
	json_object_set_new(out, "uptime_s", json_integer((clock_wall() - r->started) / CLOCK_SEC));
	json_object_set_new(out, "workers", json_integer(r->worker_count));
	json_object_set_new(out, "keyd", json_string(state == KEYPROTO_AWAY ? "away" : keyproto_state_name(state)));
	if (state != KEYPROTO_READY)
		warn(warnings, "keyd is away or locked: new mail is answered with 451, delivery waits");
	if (strncmp(conf->tls.key, "keyd:", 5))
		warn(warnings, "tls.key is a file, readable on disk: unsafe; use keyd:LABEL");
	add_certificate(r, out, warnings);
	json_object_set_new(out, "dns", dns(r, conf, warnings));
	json_object_set_new(out, "tls_exceptions", json_integer((json_int_t)tls_exception_count(r)));
	json_object_set_new(out, "queue", queue(&a->numbers, warnings));
	json_object_set_new(out, "spool", spool(r, warnings));
	json_object_set_new(out, "ledger", ledger(r, warnings));
	json_object_set_new(out, "mta_sts", mta_sts(r));
	json_object_set_new(out, "campaigns", campaigns(r, warnings));
	if (r->track)
		json_object_set_new(out, "tracking", tracking(r, warnings));
	json_object_set_new(out, "counters", counters(r));
	json_object_set_new(out, "warnings", warnings);
	relay_conf_unref(conf);
	queue_ask_free(a);
	api_call_reply(c, 200, out);
}

void api_status_get(struct api_call *c)
{
	struct queue_ask *a = queue_ask_new(QUEUE_NUMBERS);

	if (!a) {
		api_call_problem(c, 503, "out of memory");
		return;
	}
	a->msg.run = answer;
	a->reply = c->relay->inbox;
	a->arg = c;
	queue_ask_post(c->relay->queue, a);
}
