/* SPDX-License-Identifier: Apache-2.0 */
/* Control's half of bounce_intake: whom does it concern, and what follows. */
#include <stdio.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "keyproto/keyproto_dek.h"
#include "relay/bounce/bounce_intake_own.h"
#include "relay/bounce/bounce_list.h"
#include "relay/store/store_credential.h"

#define TIMEOUT (30 * CLOCK_SEC)

static void try_customer(struct bounce_intake *i);

static void ignore(struct bounce_intake *i, const char *why)
{
	char id[ID_TEXT_SIZE] = "";

	if (i->notice.has_token)
		id_format(id, i->notice.token.id);
	log_event(LOG_LEVEL_INFO, id[0] ? id : NULL, "report-ignored", "what=\"%s\"", why);
	bounce_intake_home(i, 0);
}

/* --- the effect */

static void log_effect(const struct bounce_intake *i, int suppressed)
{
	const struct bounce_notice *n = &i->notice;
	const struct bounce_notice_told *t = bounce_notice_told(n, i->match);
	const char *customer = i->customers[i->customer];
	struct relay *r = i->w->relay;
	char id[ID_TEXT_SIZE];

	id_format(id, n->token.id);
	if (n->kind == BOUNCE_NOTICE_COMPLAINT) {
		relay_count(r, complaints, 1);
		log_event(LOG_LEVEL_INFO, id, "complaint", "customer=%s type=%s suppressed=%s",
			  customer, n->what, suppressed ? "yes" : "no");
		return;
	}
	relay_count(r, async_bounces, 1);
	log_event(
	    LOG_LEVEL_INFO, id, "async-bounce",
	    "customer=%s action=%s class=%s code=%u status=%s hard=%s dialect=%s suppressed=%s",
	    customer,
	    t && t->action == MAIL_DSN_FAILED	 ? "failed"
	    : t && t->action == MAIL_DSN_DELAYED ? "delayed"
						 : "other",
	    bounce_class_name(t ? t->class : BOUNCE_CLASS_OTHER), t ? t->code : 0,
	    t && t->status[0] ? t->status : "-", t && t->hard ? "yes" : "no", n->what,
	    suppressed ? "yes" : "no");
}

static void listed(void *arg, int err, unsigned added, unsigned known)
{
	struct bounce_intake *i = arg;

	(void)added;
	(void)known;
	if (err == 0)
		log_effect(i, 1);
	bounce_intake_home(i, err);
}

/* The address that the token was made for is known: what follows? */
static void act(struct bounce_intake *i)
{
	const struct relay_conf *conf = atomic_load(&i->w->relay->conf);
	const struct bounce_notice *n = &i->notice;
	const struct bounce_notice_told *t = bounce_notice_told(n, i->match);
	struct span address = span_str(n->addresses[i->match].address);
	int complaint = n->kind == BOUNCE_NOTICE_COMPLAINT, err;

	if (complaint ? n->wanted : !t || !t->hard) {
		log_effect(i, 0);
		bounce_intake_home(i, 0);
		return;
	}
	err = bounce_list_add(i->w->relay->suppressed, i->customers[i->customer], &address, 1,
			      complaint ? STORE_SUPPRESSION_COMPLAINT : STORE_SUPPRESSION_BOUNCE,
			      complaint ? 0 : clock_wall() + conf->bounce.keep, listed, i);
	if (err < 0)
		bounce_intake_home(i, err);
}

/* --- keyd's word on which address it is */

static int fill_fields(struct buf *body, const void *message)
{
	return keyproto_fields_put(body, message);
}

static int fill_name(struct buf *body, const void *message)
{
	return keyproto_bytes_put(body, span_str(message));
}

static void next_customer(struct bounce_intake *i)
{
	i->dek_count = i->dek = 0;
	i->older = 0;
	if (++i->customer < i->customer_count)
		try_customer(i);
	else
		ignore(i, "no address in it belongs to the token");
}

static void older_told(void *arg, int err, struct span reply)
{
	struct keyproto_dek deks[KEYPROTO_BATCH_MAX];
	struct bounce_intake *i = arg;
	int n = err < 0 ? err : keyproto_deks_get(reply, deks);

	if (n < 0) {
		bounce_intake_home(i, n);
		return;
	}
	i->older = 1;
	for (int k = 1; k < n && i->dek_count < BOUNCE_INTAKE_DEKS; k++) /* 0 is the newest */
		i->deks[i->dek_count++] = deks[k].keyref;
	if (i->dek_count)
		try_customer(i);
	else
		next_customer(i);
}

static void no_match(struct bounce_intake *i)
{
	int err;

	if (i->older && ++i->dek < i->dek_count) {
		try_customer(i);
	} else if (i->older) {
		next_customer(i);
	} else {
		err = keyproto_client_ev_call(i->w->relay->keyd, KEYPROTO_CUSTOMER_KEYS, TIMEOUT,
					      fill_name, i->customers[i->customer], older_told, i);
		if (err < 0)
			bounce_intake_home(i, err);
	}
}

static void indexed(void *arg, int err, struct span reply)
{
	struct keyproto_result results[KEYPROTO_BATCH_MAX];
	struct bounce_intake *i = arg;
	int n = err < 0 ? err : keyproto_results_get(reply, results);

	if (n == ERR_NOTFOUND ||
	    n == ERR_GONE) { /* keyd knows no such customer, or he was destroyed */
		next_customer(i);
		return;
	}
	if (n < 0) {
		bounce_intake_home(i, n);
		return;
	}
	for (int k = 0; k < n && (unsigned)k < i->notice.count; k++) {
		if (results[k].status || results[k].data.n != BOUNCE_VERP_INDEX ||
		    !bounce_verp_matches(&i->notice.token, results[k].data.p))
			continue;
		i->match = (unsigned)k;
		act(i);
		return;
	}
	no_match(i);
}

static void try_customer(struct bounce_intake *i)
{
	struct keyproto_fields m = {.customer = span_str(i->customers[i->customer]),
				    .purpose = KEYPROTO_FOR_INDEX,
				    .count = (uint16_t)i->notice.count,
				    .keyref = i->older ? i->deks[i->dek] : 0};
	uint8_t values[BOUNCE_NOTICE_ADDRESSES][BOUNCE_VERP_VALUE];
	int err;

	for (unsigned k = 0; k < i->notice.count; k++) {
		size_t n = bounce_verp_value(values[k], i->notice.token.id,
					     span_str(i->notice.addresses[k].address));
		m.items[k] =
		    (struct keyproto_field){SPAN_LIT(BOUNCE_VERP_LABEL), span_of(values[k], n)};
	}
	err = keyproto_client_ev_call(i->w->relay->keyd, KEYPROTO_BLIND_INDEX, TIMEOUT, fill_fields,
				      &m, indexed, i);
	if (err < 0)
		bounce_intake_home(i, err);
}

/* --- whose token is it */

static void add_customer(struct bounce_intake *i, const char *customer)
{
	if (!bounce_verp_is_of(&i->notice.token, customer))
		return;
	for (unsigned k = 0; k < i->customer_count; k++)
		if (!strcmp(i->customers[k], customer))
			return;
	if (i->customer_count < BOUNCE_INTAKE_CUSTOMERS)
		snprintf(i->customers[i->customer_count++], sizeof(i->customers[0]), "%s",
			 customer);
}

static int of_credential(void *arg, const struct store_credential *c)
{
	add_customer(arg, c->customer);
	return 0;
}

static int find_customers(struct bounce_intake *i)
{
	const struct relay_conf *conf = atomic_load(&i->w->relay->conf);
	const struct relay_listen *l = conf->listen.items;

	for (size_t k = 0; k < conf->listen.count; k++)
		add_customer(i, l[k].customer);
	return store_credential_each(i->w->relay->store, of_credential, i);
}

static void unsubscribed(void *arg, int err)
{
	bounce_intake_home(arg, err);
}

void bounce_intake_run(struct relay_msg *m, void *relay)
{
	struct bounce_intake *i = (struct bounce_intake *)m;
	const struct bounce_notice *n = &i->notice;
	int err = i->err;

	if (i->unsubscribe) {
		track_mail_unsubscribe(relay, &i->token, unsubscribed, i);
		return;
	}
	if (err == 0 && n->has_token)
		err = find_customers(i);
	if (err == 0 && n->has_token && !i->customer_count)
		err = ERR_NOTFOUND;
	if (err < 0)
		bounce_intake_home(i, err);
	else if (n->kind == BOUNCE_NOTICE_OTHER)
		ignore(i, "neither a report of delivery nor a complaint");
	else if (!n->has_token)
		ignore(i, "no token: nothing tells that the message was ours");
	else if (!n->count)
		ignore(i, "it names no address");
	else
		try_customer(i);
}
