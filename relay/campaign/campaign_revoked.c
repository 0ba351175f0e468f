/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/campaign/campaign_revoked.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyproto/keyproto_checkpoint.h"
#include "keyproto/keyproto_client_ev.h"
#include "keyproto/keyproto_manifest.h"
#include "relay/store/store_campaign.h"

#define KEYD_WAIT (10 * CLOCK_SEC)
#define TEXT_MAX  (16u << 20)
#define UNSIGNED  INT64_MAX /* counter of a line that no checkpoint is being asked for yet */

struct waiter {
	struct waiter *next;
	void (*fn)(void *arg, int err);
	void *arg;
};

struct campaign_revoked {
	struct relay *relay;
	void (*changed)(void *arg);
	void *arg;
	int known;   /* keyd's last checkpoint was compared: 1, or ERR_* */
	int busy;    /* keyd is being asked */
	int missing; /* lines that the checkpoint under way does not have */
	uint64_t counter;
	struct buf text, next; /* of counter; of the checkpoint under way */
	uint8_t hash[32];      /* of next */
	struct waiter *waiters;
};

/* --- the text */

struct writing {
	struct buf *out;
	uint64_t rows;
};

static int write_line(void *arg, const struct store_campaign_revoked *line)
{
	struct writing *w = arg;

	w->rows++;
	if (line->version)
		return buf_putf(w->out, "%s %s %lld\n", line->customer, line->campaign, (long long)line->version);
	return buf_putf(w->out, "%s %s *\n", line->customer, line->campaign);
}

int campaign_revoked_format(struct store *s, int64_t most, struct buf *out, uint64_t *rows, uint8_t hash[32])
{
	struct writing w = {.out = out};
	unsigned n = 32;
	int rc;

	buf_reset(out);
	buf_put_str(out, KEYPROTO_REVOKED_HEAD);
	rc = store_campaign_revoked_each(s, most, write_line, &w);
	if (rc == 0)
		rc = buf_failed(out);
	if (rc == 0 && EVP_Digest(buf_ptr(out), buf_size(out), hash, &n, EVP_sha256(), NULL) != 1)
		rc = ERR_CRYPTO;
	*rows = w.rows;
	return rc;
}

/* --- life */

struct campaign_revoked *campaign_revoked_new(struct relay *r, void (*changed)(void *arg), void *arg)
{
	struct campaign_revoked *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->relay = r;
	v->changed = changed;
	v->arg = arg;
	v->known = ERR_AWAY;
	buf_init(&v->text, TEXT_MAX);
	buf_init(&v->next, TEXT_MAX);
	return v;
}

static void tell(struct campaign_revoked *v, int err)
{
	struct waiter *w = v->waiters;

	v->waiters = NULL;
	while (w) {
		struct waiter *next = w->next;
		w->fn(w->arg, err);
		free(w);
		w = next;
	}
}

void campaign_revoked_free(struct campaign_revoked *v)
{
	if (!v)
		return;
	tell(v, ERR_CLOSED);
	buf_clear(&v->text);
	buf_clear(&v->next);
	free(v);
}

/* --- keyd */

static void sign_next(struct campaign_revoked *v);

static void unsure(struct campaign_revoked *v, int err)
{
	v->busy = 0;
	v->known = v->known == ERR_DAMAGED ? ERR_DAMAGED : err;
	tell(v, err);
}

static void on_signed(void *arg, int err, struct span reply)
{
	struct campaign_revoked *v = arg;
	struct keyproto_checkpoint_signed s;
	struct buf swap;

	if (err == 0)
		err = keyproto_checkpoint_signed_get(reply, &s);
	if (err < 0) { /* whether it was signed is told by the next look */
		log_event(LOG_LEVEL_WARN, NULL, "campaign-revocation-unsigned", "why=\"%s\"", err_text(err));
		unsure(v, err == ERR_BADSTATE ? ERR_AWAY : err);
		return;
	}
	v->busy = 0;
	v->counter++;
	swap = v->text;
	v->text = v->next;
	v->next = swap;
	v->changed(v->arg);
	sign_next(v);
}

static int fill_checkpoint(struct buf *body, const void *message)
{
	return keyproto_checkpoint_put(body, message);
}

/* What no checkpoint has yet becomes the next one's: written down first. */
static void sign_next(struct campaign_revoked *v)
{
	struct keyproto_checkpoint m = {.name = SPAN_LIT(KEYPROTO_REVOKED), .counter = v->counter + 1,
					.hash = v->hash};
	int64_t next = (int64_t)m.counter;
	int err;

	if (!v->missing) {
		tell(v, 0);
		return;
	}
	err = store_campaign_revoked_move(v->relay->store, next);
	if (err == 0)
		err = campaign_revoked_format(v->relay->store, next, &v->next, &m.rows, v->hash);
	if (err == 0) {
		v->missing = 0;
		if (span_equal(buf_span(&v->next), buf_span(&v->text))) { /* they were there already */
			tell(v, 0);
			return;
		}
		v->busy = 1;
		err = keyproto_client_ev_call(v->relay->keyd, KEYPROTO_CHECKPOINT, KEYD_WAIT, fill_checkpoint,
					      &m, on_signed, v);
	}
	if (err < 0)
		unsure(v, err);
}

static void damaged(struct campaign_revoked *v, uint64_t counter, uint64_t rows, uint64_t wanted)
{
	v->busy = 0;
	v->known = ERR_DAMAGED;
	log_event(LOG_LEVEL_ERROR, NULL, "campaign-revoked-damaged",
		  "counter=%llu lines=%llu signed=%llu what=\"not the list that keyd signed: campaigns are not served\"",
		  (unsigned long long)counter, (unsigned long long)rows, (unsigned long long)wanted);
	v->changed(v->arg);
	tell(v, ERR_DAMAGED);
}

/* Lines up to keyd's last must be what it signed; those above it have none. */
static void compare(struct campaign_revoked *v, const struct keyproto_checkpoint_last *last)
{
	uint64_t rows = 0, all = 0;
	uint8_t hash[32];
	int err = campaign_revoked_format(v->relay->store, UNSIGNED, &v->next, &all, hash);

	if (err == 0)
		err = campaign_revoked_format(v->relay->store, (int64_t)last->counter, &v->text, &rows, hash);
	if (err < 0) {
		unsure(v, err);
		return;
	}
	if (last->counter ? rows != last->rows || memcmp(hash, last->hash, 32) != 0 : rows != 0) {
		damaged(v, last->counter, rows, last->rows);
		return;
	}
	v->busy = 0;
	v->known = 1;
	v->counter = last->counter;
	v->missing = all > rows;
	v->changed(v->arg);
	sign_next(v);
}

static void on_last(void *arg, int err, struct span reply)
{
	struct campaign_revoked *v = arg;
	struct keyproto_checkpoint_last last = {0};

	if (err == ERR_NOTFOUND)
		err = 0; /* none was ever signed */
	else if (err == 0)
		err = keyproto_checkpoint_last_get(reply, &last);
	if (err < 0)
		unsure(v, err);
	else
		compare(v, &last);
}

static int fill_name(struct buf *body, const void *message)
{
	return keyproto_bytes_put(body, span_str(message));
}

void campaign_revoked_look(struct campaign_revoked *v)
{
	int err;

	if (v->busy)
		return;
	v->busy = 1;
	err = keyproto_client_ev_call(v->relay->keyd, KEYPROTO_CHECKPOINT_LAST, KEYD_WAIT, fill_name,
				      KEYPROTO_REVOKED, on_last, v);
	if (err < 0)
		unsure(v, err);
}

/* --- changes */

int campaign_revoked_add(struct campaign_revoked *v, const char *customer, const char *campaign,
			 int64_t version)
{
	const struct store_campaign_revoked line = {customer, campaign, version, UNSIGNED};

	return store_campaign_revoke(v->relay->store, &line, clock_wall());
}

void campaign_revoked_sign(struct campaign_revoked *v, void (*fn)(void *arg, int err), void *arg)
{
	struct waiter *w = fn ? malloc(sizeof(*w)) : NULL;

	if (fn && !w) {
		fn(arg, ERR_NOMEM);
		fn = NULL;
	}
	if (w) {
		*w = (struct waiter){v->waiters, fn, arg};
		v->waiters = w;
	}
	v->missing = 1;
	if (v->busy)
		return; /* its end goes on with what came meanwhile */
	if (v->known == ERR_DAMAGED)
		tell(v, ERR_DAMAGED);
	else if (v->known != 1)
		campaign_revoked_look(v);
	else
		sign_next(v);
}

struct asking {
	const char *customer, *campaign;
};

static int is_whole(void *arg, const struct store_campaign_revoked *line)
{
	const struct asking *a = arg;

	return !line->version && !strcmp(line->customer, a->customer) && !strcmp(line->campaign, a->campaign);
}

int campaign_revoked_whole(struct campaign_revoked *v, const char *customer, const char *campaign)
{
	struct asking a = {customer, campaign};

	return store_campaign_revoked_each(v->relay->store, UNSIGNED, is_whole, &a) == 1;
}

int campaign_revoked_text(const struct campaign_revoked *v, uint64_t *counter, struct span *text)
{
	if (v->known != 1)
		return v->known;
	*counter = v->counter;
	*text = buf_span(&v->text);
	return 0;
}
