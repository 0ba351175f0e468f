/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_act.h"

#include <stdio.h>

#include "core/err.h"

#define PIECE 65535 /* what libmilter sends at once */

static int delete(const struct milter_act *a, const char *name, unsigned count)
{
	for (; count > 0; count--)
		if (smfi_chgheader(a->ctx, (char *)name, (int)count, NULL) != MI_SUCCESS)
			return ERR_CLOSED;
	return 0;
}

/* value: NUL-terminated by this. */
static int add(const struct milter_act *a, const char *name, struct span value)
{
	char text[2048];

	if (!value.n)
		return 0;
	if (snprintf(text, sizeof(text), "%s%.*s", a->blank, (int)value.n, (const char *)value.p) >= (int)sizeof(text))
		return ERR_CLOSED;
	return smfi_addheader(a->ctx, (char *)name, text) == MI_SUCCESS ? 0 : ERR_CLOSED;
}

static int trace(const struct milter_act *a)
{
	const struct milter_judge *j = a->judge;
	struct mail_trace t = {.customer = span_str(a->msg->customer), .id = span_str(a->msg->id_text)};
	char value[MAIL_TRACE_MAX + 1];

	if (j->manifest && j->verdict == CAMP_PASS)
		t.campaign = j->campaign.id;
	if (a->track && a->track->tid && j->word == MILTER_JUDGE_PASS) {
		t.tid = a->track->tid;
		t.number = milter_manifest_of(j->manifest)->number;
		t.consent = span_str(camp_consent_name(a->track->consent));
	}
	t.verify = j->sensitive.verify != NULL;
	value[0] = ' ';
	if (mail_trace_format(value + 1, &t) < 0)
		return ERR_CLOSED;
	/* Index 1: below the Received header that the MTA has put on top. */
	return smfi_insheader(a->ctx, 1, (char *)MAIL_TRACE_HEADER, value + !*a->blank) == MI_SUCCESS ? 0 : ERR_CLOSED;
}

static int tracking(const struct milter_act *a)
{
	const struct milter_track *t = a->track;
	int err = 0;

	if (!t || a->judge->word != MILTER_JUDGE_PASS)
		return 0;
	if (t->replace) {
		err = delete (a, "List-Unsubscribe", milter_msg_count(a->msg, "List-Unsubscribe"));
		if (err == 0)
			err = delete (a, "List-Unsubscribe-Post", milter_msg_count(a->msg, "List-Unsubscribe-Post"));
	}
	if (err == 0)
		err = add(a, "List-Unsubscribe", buf_span(&t->unsubscribe));
	if (err == 0 && buf_size(&t->unsubscribe))
		err = add(a, "List-Unsubscribe-Post", SPAN_LIT("List-Unsubscribe=One-Click"));
	return err < 0 ? err : add(a, "Feedback-ID", buf_span(&t->feedback));
}

int milter_act_headers(const struct milter_act *a)
{
	const struct milter_msg *m = a->msg;
	int err = 0;

	for (unsigned i = 0; err == 0 && i < m->forged_names; i++)
		err = delete (a, (const char *)buf_ptr(&m->names) + m->forged[i].name, m->forged[i].count);
	if (err == 0)
		err = tracking(a);
	return err < 0 ? err : trace(a);
}

/* --- the body: many small pieces become few large ones */

struct pieces {
	SMFICTX *ctx;
	struct buf out;
};

static int hand_over(struct pieces *p)
{
	int rc = buf_size(&p->out) ? smfi_replacebody(p->ctx, (unsigned char *)(uintptr_t)buf_ptr(&p->out),
						      (int)buf_size(&p->out))
				   : MI_SUCCESS;

	buf_reset(&p->out);
	return rc == MI_SUCCESS ? 0 : ERR_CLOSED;
}

static int emit(void *arg, struct span piece)
{
	struct pieces *p = arg;
	int err = 0;

	while (err == 0 && piece.n) {
		size_t n = buf_room(&p->out) < piece.n ? buf_room(&p->out) : piece.n;
		err = buf_put_span(&p->out, span_sub(piece, 0, n));
		piece = span_sub(piece, n, piece.n);
		if (err == 0 && buf_room(&p->out) == 0)
			err = hand_over(p);
	}
	return err;
}

int milter_act_body(const struct milter_act *a)
{
	struct pieces p = {.ctx = a->ctx};
	int err;

	if (!a->track || !a->track->n_edits)
		return 0;
	buf_init_wiped(&p.out, PIECE);
	err = milter_track_splice(a->track, a->judge->check, a->judge->body, emit, &p);
	if (err == 0)
		err = hand_over(&p);
	buf_clear(&p.out);
	return err;
}

int milter_act_hold(const struct milter_act *a)
{
	char text[64];

	snprintf(text, sizeof(text), "campaign, report %s", a->msg->id_text);
	return smfi_quarantine(a->ctx, text) == MI_SUCCESS ? 0 : ERR_CLOSED;
}
