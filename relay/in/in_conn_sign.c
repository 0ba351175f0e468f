/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "relay/in/in_conn_own.h"

int in_conn_sign_begin(struct in_conn *c)
{
	if (!c->conf->dkim.count)
		return 0;
	c->dkim = dkim_sign_new(c->w, c->conf, c->filter != NULL);
	return c->dkim ? 0 : ERR_NOMEM;
}

void in_conn_sign_feed(struct in_conn *c, struct span s)
{
	if (c->dkim)
		dkim_sign_feed(c->dkim, s);
}

void in_conn_sign_clear(struct in_conn *c)
{
	dkim_sign_free(c->dkim);
	c->dkim = NULL;
}

/* The message is not passed on. What is for ever has a reply of its own; all else is said as it is of keys and spool. */
static void refuse(struct in_conn *c, int err)
{
	struct in_tx *tx = &c->s.tx;

	spool_writer_abort(c->sw);
	c->sw = NULL;
	if (err == ERR_LIMIT)
		tx->refusal = IN_REPLY_SIGN_TOO_LONG;
	else if (err != ERR_AWAY && err != ERR_LOCKED)
		tx->refusal = IN_REPLY_SIGN_FAILED;
	in_conn_answer(c, err);
}

static void has_signed(void *arg, int err, struct span head, const char *domain)
{
	struct in_conn *c = arg;
	struct in_tx *tx = &c->s.tx;

	if (err == 0) {
		tx->dkim = in_tx_keep(tx, domain, strlen(domain));
		err = tx->dkim ? 0 : ERR_NOMEM;
	}
	if (err < 0) {
		refuse(c, err);
		return;
	}
	tx->envelope.head = head; /* skip stays: what filters said */
	tx->envelope.flags |= SPOOL_DKIM;
	in_conn_store(c);
}

/* What filters made of it is what is signed. */
static void take_changes(struct in_conn *c)
{
	struct span head = c->s.tx.envelope.head;
	const uint8_t *hash = c->filter ? in_filter_body_hash(c->filter) : NULL;

	if (hash)
		dkim_sign_body(c->dkim, hash);
	if (head.n)
		dkim_sign_head(c->dkim, head);
}

void in_conn_sign_end(struct in_conn *c)
{
	struct in_tx *tx = &c->s.tx;

	if (c->dkim) {
		take_changes(c);
		if (dkim_sign_end(c->dkim, tx->name, tx->envelope.customer, has_signed, c) == 0)
			return;
	}
	in_conn_store(c);
}
