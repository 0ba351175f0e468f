/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/dkim/dkim_sign.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "mail/mail_dkim_from.h"
#include "mail/mail_selector.h"
#include "relay/dkim/dkim_domain.h"
#include "relay/dkim/dkim_keys.h"
#include "relay/spool/spool_message.h"

#define TRIES 3 /* keys may change once or twice while we sign, not for ever */

struct part { /* one signature */
	struct dkim_sign *s;
	enum mail_dkim_alg alg;
	struct dkim_keys_call *call;
	struct buf field;
};

struct dkim_sign {
	struct relay_worker *w;
	const struct relay_conf *conf;
	int may_change;
	enum { HEADER, BODY, PASSED_OVER } at; /* of what is fed */
	struct mail_dkim_head head;
	struct mail_dkim_body body;
	int has_hash;
	uint8_t hash[MAIL_DKIM_HASH];
	struct span changed; /* the header section, if filters made it */
	/* signing */
	char id[ID_TEXT_SIZE];
	const struct relay_dkim *domain;
	int64_t time;
	struct dkim_keys_wait wait;
	struct dkim_keys_set keys;
	struct part parts[MAIL_DKIM_ALG_COUNT];
	unsigned open, tries;
	int err; /* the first */
	struct evt_defer defer; /* tells it */
	struct buf result;
	dkim_sign_fn fn;
	void *arg;
};

/* --- the message */

struct dkim_sign *dkim_sign_new(struct relay_worker *w, const struct relay_conf *conf, int may_change)
{
	struct dkim_sign *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->w = w;
	s->conf = conf;
	s->may_change = may_change;
	mail_dkim_head_init(&s->head, KEYPROTO_SIGN_MAX);
	buf_init_wiped(&s->result, SPOOL_ENVELOPE_HEAD_MAX);
	for (int i = 0; i < MAIL_DKIM_ALG_COUNT; i++) {
		s->parts[i] = (struct part){.s = s, .alg = (enum mail_dkim_alg)i};
		buf_init(&s->parts[i].field, MAIL_DKIM_FIELD_MAX);
	}
	if (mail_dkim_body_init(&s->body) == 0)
		return s;
	dkim_sign_free(s);
	return NULL;
}

void dkim_sign_free(struct dkim_sign *s)
{
	if (!s)
		return;
	dkim_keys_unwait(&s->wait);
	evt_loop_undefer(s->w->loop, &s->defer);
	for (int i = 0; i < MAIL_DKIM_ALG_COUNT; i++) {
		dkim_keys_cancel(s->parts[i].call);
		buf_clear(&s->parts[i].field);
	}
	mail_dkim_head_clear(&s->head);
	mail_dkim_body_clear(&s->body);
	buf_clear(&s->result);
	free(s);
}

/* Why a message is not signed; NULL: s->domain signs, or its domain is none of ours. */
static const char *find_domain(struct dkim_sign *s, const char *customer)
{
	char domain[MAIL_DKIM_DOMAIN];
	struct span from;
	int err, foreign;

	s->domain = NULL;
	err = mail_dkim_head_value(&s->head, MAIL_DKIM_FROM, &from);
	if (err == ERR_NOTFOUND)
		return "from-missing";
	if (err == ERR_EXISTS)
		return "from-multiple";
	if (err == 0)
		err = mail_dkim_from(from, domain);
	if (err < 0)
		return err == ERR_EXISTS ? "from-several-domains" : "from-malformed";
	s->domain = dkim_domain_find(s->conf, customer, domain, &foreign);
	if (s->domain)
		return s->head.broken ? "header-malformed" : NULL;
	return foreign ? "customer" : NULL;
}

/* The header section is over. Nobody can change it any more, if no filter does: if it will not be signed, the body need not
 * be hashed. Whose mail it is does not count here yet. */
static void header_done(struct dkim_sign *s)
{
	int signs = s->may_change || (find_domain(s, NULL) == NULL && s->domain);

	s->at = signs ? BODY : PASSED_OVER;
}

void dkim_sign_feed(struct dkim_sign *s, struct span in)
{
	struct span before = span_of(NULL, 0);
	ptrdiff_t n;

	if (s->at == HEADER) {
		n = mail_dkim_head_feed(&s->head, in, &before);
		if (n < 0) {
			s->err = (int)n;
			return;
		}
		in = span_sub(in, (size_t)n, in.n);
		if (s->head.done)
			header_done(s);
	}
	if (s->at == BODY) {
		mail_dkim_body_feed(&s->body, before);
		mail_dkim_body_feed(&s->body, in);
	}
}

void dkim_sign_head(struct dkim_sign *s, struct span head)
{
	struct span before;

	mail_dkim_head_clear(&s->head);
	if (mail_dkim_head_feed(&s->head, head, &before) < 0 || mail_dkim_head_end(&s->head) < 0)
		s->err = ERR_NOMEM;
	s->changed = head;
}

void dkim_sign_body(struct dkim_sign *s, const uint8_t hash[MAIL_DKIM_HASH])
{
	memcpy(s->hash, hash, MAIL_DKIM_HASH);
	s->has_hash = 1;
}

/* --- signing */

static void fail(struct dkim_sign *s, const char *what, int err)
{
	relay_count(s->w->relay, dkim_failed, 1);
	log_event(LOG_LEVEL_WARN, s->id, "dkim-failed", "domain=%s step=%s error=\"%s\"",
		  s->domain ? s->domain->domain : "?", what,
		  err == ERR_NOTFOUND ? "no key in keyd" : err_text(err));
}

static void got_signature(void *arg, int err, struct span signature);

static const enum mail_selector_type types[] = {[MAIL_DKIM_RSA] = MAIL_SELECTOR_RSA,
						 [MAIL_DKIM_ED25519] = MAIL_SELECTOR_ED25519};

static int sign_part(struct part *p, uint32_t version, struct buf *input)
{
	struct dkim_sign *s = p->s;
	uint8_t digest[MAIL_DKIM_HASH];
	char selector[MAIL_SELECTOR_MAX];
	struct mail_dkim_facts f = {.alg = p->alg,
				    .domain = s->domain->domain,
				    .selector = selector,
				    .time = s->time / CLOCK_SEC,
				    .hash = s->hash};
	struct span data;
	int err;

	buf_reset(&p->field);
	buf_reset(input);
	err = mail_selector_format(selector, s->domain->selector, version, types[p->alg]);
	if (err == 0)
		err = mail_dkim_choose(&s->head, &f);
	if (err == 0)
		err = mail_dkim_format(&s->head, &f, &p->field);
	if (err == 0)
		err = mail_dkim_input(&s->head, buf_span(&p->field), input);
	data = buf_span(input);
	if (err == 0 && p->alg == MAIL_DKIM_ED25519) {
		err = mail_dkim_digest(data, digest);
		data = span_of(digest, sizeof(digest));
	}
	if (err == 0)
		err = dkim_keys_sign(s->w->dkim, s->domain->domain, p->alg, version, data, got_signature, p, &p->call);
	return err;
}

static void cancel_parts(struct dkim_sign *s)
{
	for (int i = 0; i < MAIL_DKIM_ALG_COUNT; i++) {
		dkim_keys_cancel(s->parts[i].call);
		s->parts[i].call = NULL;
	}
	s->open = 0;
}

/* 0: answers follow. */
static int sign_all(struct dkim_sign *s)
{
	struct buf input;
	int err = 0;

	s->open = 0;
	s->err = 0;
	buf_init_wiped(&input, KEYPROTO_SIGN_MAX + 2);
	for (int i = 0; i < MAIL_DKIM_ALG_COUNT && err == 0; i++) {
		if (!s->keys.version[i])
			continue;
		err = sign_part(&s->parts[i], s->keys.version[i], &input);
		s->open += err == 0;
	}
	buf_clear(&input);
	if (err < 0) {
		cancel_parts(s);
		fail(s, err == ERR_LIMIT ? "header" : "sign", err);
	}
	return err;
}

static void put_result(struct dkim_sign *s)
{
	for (int i = 0; i < MAIL_DKIM_ALG_COUNT; i++)
		if (s->keys.version[i])
			buf_put_span(&s->result, buf_span(&s->parts[i].field));
	buf_put_span(&s->result, s->changed);
}

static void tell(struct dkim_sign *s, int err)
{
	if (err == 0) {
		put_result(s);
		err = buf_failed(&s->result);
		if (err < 0)
			fail(s, "header", err);
	}
	if (err < 0) {
		s->fn(s->arg, err, span_of(NULL, 0), NULL);
		return;
	}
	relay_count(s->w->relay, dkim_signed, 1);
	if (mail_dkim_head_left_out(&s->head))
		log_event(LOG_LEVEL_INFO, s->id, "dkim-shortened", "domain=%s names=%u", s->domain->domain,
			  mail_dkim_head_left_out(&s->head));
	s->fn(s->arg, 0, buf_span(&s->result), s->domain->domain);
}

static int begin(struct dkim_sign *s);

/* All signatures are there, or one of them never will be. */
static void settle(struct dkim_sign *s)
{
	int err = s->err;

	if ((err == ERR_DENIED || err == ERR_NOTFOUND) && ++s->tries < TRIES) {
		dkim_keys_stale(s->w->dkim, s->domain->domain); /* that version signs no more */
		err = begin(s);
		if (err == 0)
			return;
	} else if (err < 0) {
		fail(s, "sign", err);
	}
	tell(s, err);
}

static void got_signature(void *arg, int err, struct span signature)
{
	struct part *p = arg;
	struct dkim_sign *s = p->s;

	p->call = NULL;
	if (err == 0)
		err = mail_dkim_finish(&p->field, signature);
	if (err < 0 && s->err == 0)
		s->err = err;
	if (--s->open == 0)
		settle(s);
}

static void got_keys(void *arg, int err, const struct dkim_keys_set *set)
{
	struct dkim_sign *s = arg;

	if (err < 0) {
		fail(s, "keys", err);
	} else {
		s->keys = *set;
		err = sign_all(s);
	}
	if (err < 0)
		tell(s, err);
}

/* 0: the answer follows. */
static int begin(struct dkim_sign *s)
{
	int rc = dkim_keys_get(s->w->dkim, s->domain->domain, &s->keys, &s->wait);

	if (rc == 0)
		return sign_all(s);
	if (rc < 0)
		fail(s, "keys", rc);
	return rc < 0 ? rc : 0;
}

static int not_signed(struct dkim_sign *s, const char *why)
{
	if (why) {
		relay_count(s->w->relay, dkim_unsigned, 1);
		log_event(LOG_LEVEL_INFO, s->id, "dkim-unsigned", "why=%s", why);
	}
	return 1;
}

static void tell_failure(void *arg)
{
	struct dkim_sign *s = arg;

	tell(s, s->err);
}

/* What is wrong before anybody was asked is told as the rest is: later. */
static int fail_later(struct dkim_sign *s, int err)
{
	s->err = err;
	s->defer = (struct evt_defer){.fn = tell_failure, .arg = s};
	evt_loop_defer(s->w->loop, &s->defer);
	return 0;
}

static int has_body_hash(struct dkim_sign *s)
{
	return s->has_hash ? 0 : mail_dkim_body_end(&s->body, s->hash);
}

int dkim_sign_end(struct dkim_sign *s, const char *id, const char *customer, dkim_sign_fn fn, void *arg)
{
	const char *why = NULL;
	int err = s->err;

	snprintf(s->id, sizeof(s->id), "%s", id);
	s->fn = fn;
	s->arg = arg;
	s->time = clock_wall();
	s->wait = (struct dkim_keys_wait){.fn = got_keys, .arg = s};
	if (err == 0)
		err = mail_dkim_head_end(&s->head);
	if (err == 0) {
		why = find_domain(s, customer);
		if (why || !s->domain)
			return not_signed(s, why);
		err = has_body_hash(s);
	}
	if (err < 0)
		fail(s, "message", err);
	else
		err = begin(s);
	return err < 0 ? fail_later(s, err) : 0;
}

int dkim_sign_whole(struct relay_worker *w, const struct relay_conf *conf, const char *id, struct span message,
		    dkim_sign_fn fn, void *arg, struct dkim_sign **out)
{
	int rc;

	*out = NULL;
	if (!conf->dkim.count)
		return 1;
	*out = dkim_sign_new(w, conf, 0);
	if (!*out)
		return ERR_NOMEM;
	dkim_sign_feed(*out, message);
	rc = dkim_sign_end(*out, id, NULL, fn, arg);
	if (rc == 1) {
		dkim_sign_free(*out);
		*out = NULL;
	}
	return rc;
}
