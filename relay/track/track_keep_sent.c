/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's recipients: sealed when a message is sent, opened when somebody unsubscribes. */
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "relay/bounce/bounce_list.h"
#include "relay/track/track_keep_own.h"
#include "seal/seal_field.h"

#define AGAIN CLOCK_SEC
#define ROOM  (96u << 10)

void track_keep_sent_run(struct relay_msg *m, void *keep)
{
	struct track_keep *k = keep;
	struct track_keep_message *w = (struct track_keep_message *)m;

	list_push_back(&k->sent, &w->link);
	k->sent_count++;
}

void track_keep_sent_drop(struct track_keep *k, struct track_keep_message *m)
{
	list_remove(&m->link);
	k->sent_count--;
	atomic_fetch_sub(&k->unsealed, 1);
	secret_wipe(m->text, m->size);
	free(m);
}

struct track_keep_message *track_keep_sent_waiting(struct track_keep *k, uint64_t tid)
{
	list_each(m, &k->sent, struct track_keep_message, link)
		if (m->tid == tid)
			return m;
	return NULL;
}

/* --- a batch of one customer */

struct batch {
	struct track_keep_message *all[LEDGER_KEYS_BATCH];
	struct ledger_keys_item sealed[LEDGER_KEYS_BATCH], indexed[LEDGER_KEYS_BATCH];
	unsigned count;
	struct buf aads, fields, indexes;
};

static void gather(struct track_keep *k, struct batch *b)
{
	const char *customer = list_entry(list_first(&k->sent), struct track_keep_message, link)->customer;
	size_t bytes = 0;

	list_each(m, &k->sent, struct track_keep_message, link)
	{
		if (b->count == LEDGER_KEYS_BATCH || bytes > LEDGER_KEYS_BYTES - 1024)
			break;
		if (strcmp(m->customer, customer) != 0)
			continue;
		b->all[b->count++] = m;
		bytes += m->size + sizeof(m->customer) + 128;
	}
}

static int aads(struct track_keep *k, struct batch *b)
{
	size_t ends[LEDGER_KEYS_BATCH], from = 0;
	int err = 0;

	for (unsigned i = 0; i < b->count && err == 0; i++) {
		err = store_aad(k->store, &b->aads, b->all[i]->customer, "sent", "recipient", (int64_t)b->all[i]->tid);
		ends[i] = buf_size(&b->aads);
	}
	for (unsigned i = 0; i < b->count && err == 0; i++) {
		const struct track_keep_message *m = b->all[i];
		b->sealed[i] = (struct ledger_keys_item){.aad = span_sub(buf_span(&b->aads), from, ends[i] - from),
							 .data = span_str(m->text)};
		b->indexed[i] = (struct ledger_keys_item){.aad = SPAN_LIT(TRACK_KEEP_LABEL),
							  .data = span_str(m->text + m->folded)};
		from = ends[i];
	}
	return err;
}

static struct span result(const struct buf *b, const struct ledger_keys_item *i)
{
	return i->err ? span_of(NULL, 0) : span_sub(buf_span(b), i->at, i->n);
}

static int seal(struct track_keep *k, struct batch *b, uint32_t *keyref)
{
	struct ledger_keys *keys = k->keys;
	const char *customer = b->all[0]->customer;
	int err = aads(k, b);

	*keyref = 0;
	if (err == 0)
		err = keys->fields(keys, KEYPROTO_SEAL_FIELDS, customer, 0, b->sealed, b->count, &b->fields);
	/* the index by the same key, should there be a newer one since */
	for (unsigned i = 0; i < b->count && err == 0 && !*keyref; i++)
		*keyref = seal_field_keyref(result(&b->fields, &b->sealed[i]));
	if (err == 0)
		err = keys->fields(keys, KEYPROTO_BLIND_INDEX, customer, *keyref, b->indexed, b->count, &b->indexes);
	for (unsigned i = 0; i < b->count && err == 0; i++)
		if (ledger_keys_later(b->sealed[i].err) || ledger_keys_later(b->indexed[i].err))
			err = ERR_AWAY;
	return err;
}

static void write_one(struct track_keep *k, const struct batch *b, unsigned i, uint32_t keyref)
{
	const struct track_keep_message *w = b->all[i];
	const struct track_db_sent m = {.tid = w->tid,
					.number = w->number,
					.keyref = keyref,
					.customer = w->customer,
					.campaign = w->campaign,
					.consent = w->consent,
					.at = w->at,
					.delivered = w->delivered,
					.who = span_sub(result(&b->indexes, &b->indexed[i]), 0, TRACK_DB_WHO),
					.recipient = result(&b->fields, &b->sealed[i])};
	struct track_db_total t = {.customer = w->customer, .campaign = w->campaign, .number = w->number,
				   .what = TRACK_DB_SENT, .hits = 1};

	if (track_db_sent_add(k->store, &m) < 0)
		return;
	track_db_total_add(k->store, &t);
	t.what = TRACK_DB_DELIVERED;
	if (w->delivered)
		track_db_total_add(k->store, &t);
}

int track_keep_sent_seal(struct track_keep *k)
{
	struct batch *b;
	uint32_t keyref;
	int err;

	if (!k->sent_count || clock_mono() < k->sent_again)
		return 0;
	b = calloc(1, sizeof(*b));
	if (!b)
		return 0;
	buf_init(&b->aads, ROOM);
	buf_init(&b->fields, ROOM);
	buf_init(&b->indexes, ROOM);
	gather(k, b);
	err = seal(k, b, &keyref);
	if (ledger_keys_later(err)) {
		k->sent_again = clock_mono() + AGAIN;
	} else {
		/* of a customer whose keys are gone nothing is kept */
		if (err == ERR_GONE)
			track_keep_gone_run(k, b->all[0]->customer);
		for (unsigned i = 0; i < b->count; i++) {
			if (err == 0)
				write_one(k, b, i, keyref);
			track_keep_sent_drop(k, b->all[i]);
		}
		err = 0;
	}
	buf_clear(&b->aads);
	buf_clear(&b->fields);
	buf_clear(&b->indexes);
	free(b);
	return err == 0 && k->sent_count;
}

int track_keep_sent_index(struct track_keep *k, const char *customer, uint32_t keyref, const char *address,
			  uint8_t who[TRACK_DB_WHO])
{
	struct ledger_keys_item item = {.aad = SPAN_LIT(TRACK_KEEP_LABEL), .data = span_str(address)};
	struct buf out;
	int err;

	buf_init(&out, 256);
	err = k->keys->fields(k->keys, KEYPROTO_BLIND_INDEX, customer, keyref, &item, 1, &out);
	if (err == 0)
		err = item.err;
	if (err == 0 && item.n < TRACK_DB_WHO)
		err = ERR_FORMAT;
	if (err == 0)
		memcpy(who, buf_ptr(&out) + item.at, TRACK_DB_WHO);
	buf_clear(&out);
	return err;
}

/* --- opening */

static int open_field(struct track_keep *k, uint64_t tid, const char *customer, struct span sealed, char dst[320])
{
	struct ledger_keys_item item = {.data = sealed};
	struct buf aad, out;
	int err;

	buf_init(&aad, 1024);
	buf_init_wiped(&out, 1024);
	err = store_aad(k->store, &aad, customer, "sent", "recipient", (int64_t)tid);
	item.aad = buf_span(&aad);
	if (err == 0)
		err = k->keys->fields(k->keys, KEYPROTO_OPEN_FIELDS, customer, 0, &item, 1, &out);
	if (err == 0)
		err = item.err;
	if (err == 0)
		err = span_copy_str(dst, 320, span_sub(buf_span(&out), item.at, item.n));
	buf_clear(&aad);
	buf_clear(&out);
	return err == ERR_GONE ? ERR_NOTFOUND : err;
}

int track_keep_sent_recipient(struct track_keep *k, uint64_t tid, const char *customer, char dst[320])
{
	const struct track_keep_message *w = track_keep_sent_waiting(k, tid);
	char of[TRACK_NAME], campaign[TRACK_NAME];
	struct track_db_sent m;
	struct buf sealed;
	int err;

	if (w)
		return strcmp(w->customer, customer) ? ERR_NOTFOUND : span_copy_str(dst, 320, span_str(w->text));
	buf_init(&sealed, 4096);
	err = track_db_sent_get(k->store, tid, &m, of, campaign, &sealed);
	if (err == 0 && (strcmp(of, customer) != 0 || !buf_size(&sealed)))
		err = ERR_NOTFOUND;
	if (err == 0)
		err = open_field(k, tid, customer, buf_span(&sealed), dst);
	buf_clear(&sealed);
	return err;
}

/* --- unsubscribing: here, then on control */

static void finish(struct track_unsubscribe *u, int err)
{
	struct track_hit h = {.bot = {.at = clock_wall(),
				      .tid = u->tid,
				      .number = u->number,
				      .kind = TRACK_KIND_UNSUBSCRIBE,
				      .agent = u->agent}};

	u->err = err;
	secret_wipe(u->recipient, sizeof(u->recipient));
	if (err == 0) {
		atomic_fetch_add(&u->track->keep->unsubscribed, 1);
		log_event(LOG_LEVEL_INFO, NULL, "unsubscribed", "customer=%s by=%s", u->customer, u->net[0] ? "link" : "mail");
		memcpy(h.net, u->net, sizeof(h.net));
		memcpy(h.customer, u->customer, sizeof(h.customer));
		h.bot.net = track_net_number(h.net);
		track_keep_hit(u->track->keep, &h);
	}
	u->done(u);
}

static void listed(void *arg, int err, unsigned added, unsigned known)
{
	(void)added;
	(void)known;
	finish(arg, err);
}

static void on_control(struct relay_msg *m, void *relay)
{
	struct track_unsubscribe *u = (struct track_unsubscribe *)m;
	struct relay *r = relay;
	struct span address = span_str(u->recipient);
	int err = u->err;

	if (err == 0) {
		err = bounce_list_add(r->suppressed, u->customer, &address, 1, STORE_SUPPRESSION_UNSUBSCRIBE, 0, listed, u);
		if (err == 0)
			return;
	}
	finish(u, err);
}

void track_keep_sent_unsubscribe(struct relay_msg *m, void *keep)
{
	struct track_unsubscribe *u = (struct track_unsubscribe *)m;
	struct track_keep *k = keep;

	u->err = u->tid ? track_keep_sent_recipient(k, u->tid, u->customer, u->recipient) : ERR_NOTFOUND;
	track_keep_answer(k, m, on_control);
}

void track_unsubscribe_post(struct track *t, struct track_unsubscribe *u)
{
	u->track = t;
	u->msg.run = track_keep_sent_unsubscribe;
	track_keep_post(t->keep, &u->msg);
}
