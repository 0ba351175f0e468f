/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_track.h"

#include <stdlib.h>

#include "campaign/camp_splice.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"

#define TEXT_MAX     (4u << 20)
#define UNSUBSCRIBE_MAX 1024

_Static_assert(CAMP_TRACK_DAYS == SEAL_TRACK_DAYS_MAX, "a manifest asks for no token that cannot be");

/* --- consent */

static struct span trimmed(struct span s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_sub(s, 1, s.n);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

int milter_track_consent_ok(const struct milter_msg *msg)
{
	if (!msg->consents)
		return 1;
	return msg->consents == 1 && !buf_failed(&msg->consent) &&
	       camp_consent_parse(trimmed(buf_span(&msg->consent))) >= 0;
}

enum camp_consent milter_track_consent(const struct milter_msg *msg, const struct camp_manifest *m)
{
	if (msg->consents)
		return (enum camp_consent)camp_consent_parse(trimmed(buf_span(&msg->consent)));
	return m->track.consent;
}

static int signed_by_sender(const struct milter_msg *msg)
{
	return milter_msg_count(msg, "DKIM-Signature") > 0;
}

int milter_track_wanted(const struct milter_msg *msg, const struct camp_manifest *m)
{
	return m->has_track && (m->track.pixel || m->track.clicks || m->track.honeypot) &&
	       milter_track_consent(msg, m) != CAMP_CONSENT_NONE && !signed_by_sender(msg);
}

/* --- tokens and what carries them */

struct making {
	struct milter_track *t;
	const struct camp_manifest *m;
	const uint8_t *key;
	struct seal_track_place place;
	uint32_t today;
};

static int make(const struct making *k, enum seal_track_kind kind, unsigned link, int named, struct span values,
		struct seal_track_raw *raw)
{
	struct seal_track token = {.kind = kind,
				   .message = named ? k->t->tid : 0,
				   .number = k->m->number,
				   .link = (uint16_t)link,
				   .last = (uint16_t)(k->today + k->m->track.days)};

	if (values.n > SEAL_TRACK_FIELD)
		return ERR_LIMIT;
	if (values.n)
		memcpy(token.field, values.p, values.n);
	token.n = (uint8_t)values.n;
	return seal_track_make(k->key, &k->place, &token, k->today, raw);
}

static int put_url(const struct making *k, struct buf *out, enum seal_track_kind kind, unsigned link, int named,
		   struct span values)
{
	static const char letters[] = {[SEAL_TRACK_CLICK] = 'c', [SEAL_TRACK_OPEN] = 'o', [SEAL_TRACK_UNSUBSCRIBE] = 'u'};
	char text[SEAL_TRACK_URL_SIZE];
	struct seal_track_raw raw;
	int err = make(k, kind, link, named, values, &raw);

	if (err < 0)
		return err;
	seal_track_url_put(text, &raw);
	return buf_putf(out, "https://%s/%c/%s", k->m->track.host, letters[kind], text);
}

static int clicks_named(const struct milter_track *t)
{
	return t->consent == CAMP_CONSENT_CLICKS || t->consent == CAMP_CONSENT_ALL;
}

static int opens_named(const struct milter_track *t)
{
	return t->consent == CAMP_CONSENT_OPENS || t->consent == CAMP_CONSENT_ALL;
}

/* An image of one point, and a link that only programs follow. */
static int put_pixel(const struct making *k, struct buf *out)
{
	int err = 0;

	if (k->m->track.pixel) {
		buf_put_str(out, "<img src=\"");
		err = put_url(k, out, SEAL_TRACK_OPEN, 0, opens_named(k->t), span_of(NULL, 0));
		buf_put_str(out, "\" width=\"1\" height=\"1\" alt=\"\" style=\"border:0\">");
	}
	if (err == 0 && k->m->track.honeypot) {
		buf_put_str(out, "<a href=\"");
		err = put_url(k, out, SEAL_TRACK_CLICK, MILTER_TRACK_HONEYPOT, clicks_named(k->t), span_of(NULL, 0));
		buf_put_str(out, "\" style=\"display:none\"></a>");
	}
	return err < 0 ? err : buf_failed(out);
}

/* A link to the tracking host itself is never wrapped again. */
static int own(const struct making *k, const char *url)
{
	struct span s = span_str(url), host = span_str(k->m->track.host);

	return span_equal_nocase(span_sub(s, 0, 8), SPAN_LIT("https://")) &&
	       span_equal_nocase(span_sub(s, 8, host.n), host) && (s.n == 8 + host.n || s.p[8 + host.n] == '/');
}

static int link_counts(const struct making *k, const struct camp_link *l)
{
	const struct camp_track *t = &k->m->track;

	return l->track && t->clicks && (l->as != CAMP_LINK_TEXT || t->text) && (l->as != CAMP_LINK_VML || t->vml) &&
	       !own(k, l->url);
}

static int put_edit(const struct making *k, const struct camp_check *check, const struct camp_place *p)
{
	const struct camp_link *l = p->kind == CAMP_MARK_PIXEL ? NULL : &k->m->links[p->link];
	struct buf *out = &k->t->text;
	size_t from = buf_size(out);
	int err;

	if (!l) {
		err = put_pixel(k, out);
	} else if (!link_counts(k, l)) {
		return 0;
	} else {
		if (l->as == CAMP_LINK_BARE)
			buf_put_str(out, "\"");
		err = put_url(k, out, SEAL_TRACK_CLICK, p->link, clicks_named(k->t), camp_check_values(check, p));
		if (l->as == CAMP_LINK_BARE)
			buf_put_str(out, "\"");
	}
	if (err < 0 || buf_failed(out))
		return err < 0 ? err : buf_failed(out);
	if (buf_size(out) > from) /* the text moves while it grows: only its length holds */
		k->t->edits[k->t->n_edits++] = (struct camp_edit){.part = p->part,
								  .kind = CAMP_EDIT_TEXT,
								  .from = p->from,
								  .to = p->to,
								  .text = span_of(NULL, buf_size(out) - from)};
	return 0;
}

static int put_edits(const struct making *k, const struct camp_check *check)
{
	struct milter_track *t = k->t;
	const struct camp_place *places;
	size_t n, at = 0;
	int err = 0;

	places = camp_check_places(check, &n);
	if (!n)
		return 0;
	t->edits = calloc(n, sizeof(*t->edits));
	if (!t->edits)
		return ERR_NOMEM;
	for (size_t i = 0; err == 0 && i < n; i++)
		err = put_edit(k, check, &places[i]);
	for (size_t i = 0; err == 0 && i < t->n_edits; i++) {
		t->edits[i].text = span_sub(buf_span(&t->text), at, t->edits[i].text.n);
		at += t->edits[i].text.n;
	}
	if (err == 0)
		camp_edit_sort(t->edits, t->n_edits);
	return err;
}

static int put_unsubscribe(const struct making *k, const struct milter_msg *msg)
{
	struct milter_track *t = k->t;
	unsigned there = milter_msg_count(msg, "List-Unsubscribe");
	char mail[SEAL_TRACK_MAIL_SIZE];
	struct seal_track_raw raw;
	int err;

	if (k->m->track.unsubscribe == CAMP_UNSUB_NONE ||
	    (there && (!k->m->track.replace || signed_by_sender(msg))))
		return 0;
	t->replace = there || milter_msg_count(msg, "List-Unsubscribe-Post");
	buf_put_str(&t->unsubscribe, "<");
	err = put_url(k, &t->unsubscribe, SEAL_TRACK_UNSUBSCRIBE, 0, 1, span_of(NULL, 0));
	buf_put_str(&t->unsubscribe, ">");
	if (err == 0 && k->m->track.unsubscribe == CAMP_UNSUB_BOTH && k->m->track.mailto_domain) {
		err = make(k, SEAL_TRACK_UNSUBSCRIBE, 0, 1, span_of(NULL, 0), &raw);
		if (err == 0) {
			seal_track_mail_put(mail, &raw);
			buf_putf(&t->unsubscribe, ",\n <mailto:u-%s@%s>", mail, k->m->track.mailto_domain);
		}
	}
	return err < 0 ? err : buf_failed(&t->unsubscribe);
}

static int put_feedback(const struct making *k, const struct milter_msg *msg)
{
	if (!k->m->track.feedback_id || milter_msg_count(msg, "Feedback-ID"))
		return 0;
	return buf_putf(&k->t->feedback, "%s:%u::%s", k->m->campaign, k->m->version, k->m->track.feedback_id);
}

static int fill(struct making *k, uint8_t *key, struct milter_keys *keys, const struct milter_msg *msg,
		const struct camp_check *check)
{
	int err = milter_keys_get(keys, MILTER_KEYS_TRACK, k->m->customer, seal_track_epoch(k->today), key);

	k->key = key;
	if (err == 0 && milter_track_wanted(msg, k->m))
		err = put_edits(k, check);
	if (err == 0)
		err = put_unsubscribe(k, msg);
	if (err == 0)
		err = put_feedback(k, msg);
	return err;
}

int milter_track_prepare(struct milter_track *t, struct milter_keys *keys, const struct milter_msg *msg,
			 const struct camp_manifest *m, const struct camp_check *check, int64_t now)
{
	struct making k = {.t = t, .m = m, .today = seal_track_day(now / CLOCK_SEC)};
	uint8_t *key;
	int err;

	memset(t, 0, sizeof(*t));
	buf_init(&t->text, TEXT_MAX);
	buf_init(&t->unsubscribe, UNSUBSCRIBE_MAX);
	buf_init(&t->feedback, UNSUBSCRIBE_MAX);
	if (!m->has_track)
		return 0;
	k.place = (struct seal_track_place){span_str(m->track.host), span_str(m->customer)};
	t->consent = milter_track_consent(msg, m);
	do
		t->tid = rand_u64();
	while (!t->tid);
	key = secret_alloc(SEAL_TRACK_KEY);
	if (!key)
		return ERR_NOMEM;
	err = fill(&k, key, keys, msg, check);
	secret_free(key, SEAL_TRACK_KEY);
	if (err == 0 && signed_by_sender(msg) && t->consent != CAMP_CONSENT_NONE)
		t->skipped = "dkim-signature";
	else if (err == 0 && camp_check_skipped(check))
		t->skipped = "protected-part";
	if (!t->n_edits && !buf_size(&t->unsubscribe))
		t->tid = 0;
	return err;
}

int milter_track_splice(const struct milter_track *t, const struct camp_check *check, struct milter_body *body,
			int (*emit)(void *arg, struct span piece), void *arg)
{
	const struct camp_edit_part *parts;
	struct camp_splice *s;
	struct span piece;
	size_t n_parts;
	int err, more;

	parts = camp_check_parts(check, &n_parts);
	err = camp_splice_new(&s, t->edits, t->n_edits, parts, n_parts);
	if (err < 0)
		return err;
	milter_body_rewind(body);
	while ((more = milter_body_next(body, &piece)) > 0 && err == 0)
		err = camp_splice_feed(s, piece, emit, arg);
	if (err == 0)
		err = more < 0 ? more : camp_splice_end(s, emit, arg);
	camp_splice_free(s);
	return err;
}

static int nowhere(void *arg, struct span piece)
{
	(void)arg;
	(void)piece;
	return 0;
}

/* Only where octets are put in as they are can a line become too long. */
static int may_fail(const struct camp_check *check)
{
	const struct camp_edit_part *parts;
	size_t n;

	parts = camp_check_parts(check, &n);
	for (size_t i = 0; i < n; i++)
		if (parts[i].encoding != MAIL_CTE_QP && parts[i].encoding != MAIL_CTE_BASE64)
			return 1;
	return 0;
}

int milter_track_try(struct milter_track *t, const struct camp_check *check, struct milter_body *body)
{
	int err = may_fail(check) ? milter_track_splice(t, check, body, nowhere, NULL) : 0;

	if (err != ERR_LIMIT && err != ERR_FORMAT && err != ERR_DENIED)
		return err;
	t->n_edits = 0;
	if (!buf_size(&t->unsubscribe))
		t->tid = 0;
	t->skipped = err == ERR_LIMIT ? "line-length" : "place";
	return 0;
}

void milter_track_clear(struct milter_track *t)
{
	free(t->edits);
	buf_clear(&t->text);
	buf_clear(&t->unsubscribe);
	buf_clear(&t->feedback);
	memset(t, 0, sizeof(*t));
}
