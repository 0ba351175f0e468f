/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "relay/filter/filter_milter_own.h"

#define MACROS_MAX 4096 /* octets of one list of names */

static int keep_macros(struct filter_milter *m, uint32_t stage, struct span names)
{
	char *copy;

	if (stage >= MILTERPROTO_STAGES || names.n > MACROS_MAX)
		return ERR_FORMAT;
	copy = malloc(names.n + 1);
	if (!copy)
		return ERR_NOMEM;
	if (names.n)
		memcpy(copy, names.p, names.n);
	copy[names.n] = '\0';
	free(m->macros[stage]);
	m->macros[stage] = copy;
	return 0;
}

static int options(struct filter_milter *m, const struct milterproto_reply *r)
{
	struct milterproto_options o;

	if (m->state != FILTER_MILTER_OPTIONS)
		return filter_milter_broken(m, "options-again");
	if (r->what == MILTERPROTO_SAYS_SET_SYMLIST)
		return keep_macros(m, r->index, r->a) < 0 ? filter_milter_broken(m, "macro-list")
							  : 0;
	if (milterproto_options(r->a, &o) < 0 || o.version < MILTERPROTO_OLDEST ||
	    o.version > MILTERPROTO_VERSION)
		return filter_milter_broken(m, "version");
	/* bits above those of the protocol are libmilter's and an MTA's own business (sizes) */
	if (o.actions & ~(uint32_t)MILTERPROTO_ACTIONS ||
	    o.steps & 0x0fffffff & ~(uint32_t)MILTERPROTO_STEPS)
		return filter_milter_broken(m, "options-not-offered");
	m->actions = o.actions;
	m->steps = o.steps;
	for (unsigned i = 0; i < MILTERPROTO_STAGES; i++)
		if (o.asked & 1u << i && keep_macros(m, i, o.macros[i]) < 0)
			return filter_milter_broken(m, "macro-list");
	filter_milter_become(m, FILTER_MILTER_IDLE);
	m->host->ready(m->arg);
	return 0;
}

static void refuse(struct filter_verdict *v, int code, const char *enhanced, const char *text)
{
	v->word = FILTER_REFUSE;
	v->smtp.code = code;
	snprintf(v->smtp.enhanced, sizeof(v->smtp.enhanced), "%s", enhanced);
	snprintf(v->smtp.text, sizeof(v->smtp.text), "%s", text);
}

static void refuse_by_class(struct filter_verdict *v, int class)
{
	if (class == 4)
		refuse(v, 451, "4.7.1", "Not now, try again later");
	else
		refuse(v, 550, "5.7.1", "Refused");
}

/* A reply whose codes disagree still says whether to refuse or to put off. */
static int own_words(struct filter_milter *m, struct span text, struct filter_verdict *v)
{
	if (milterproto_smtp(text, &v->smtp) < 0) {
		if (!v->smtp.code)
			return filter_milter_broken(m, "reply-code");
		refuse_by_class(v, v->smtp.code / 100);
		v->why = "reply-code";
	}
	v->word = FILTER_REFUSE;
	return 0;
}

static int read_verdict(struct filter_milter *m, const struct milterproto_reply *r,
			struct filter_verdict *v)
{
	static const struct {
		enum milterproto_what what;
		enum filter_word word;
		int class;
	} rows[] = {
	    {MILTERPROTO_SAYS_CONTINUE, FILTER_GO_ON, 0},
	    {MILTERPROTO_SAYS_SKIPPED, FILTER_GO_ON, 0},
	    {MILTERPROTO_SAYS_ACCEPT, FILTER_ACCEPT, 0},
	    {MILTERPROTO_SAYS_DISCARD, FILTER_DISCARD, 0},
	    {MILTERPROTO_SAYS_REJECT, FILTER_REFUSE, 5},
	    {MILTERPROTO_SAYS_TEMPFAIL, FILTER_REFUSE, 4},
	};

	memset(v, 0, sizeof(*v));
	if (r->what == MILTERPROTO_SAYS_REPLYCODE)
		return own_words(m, r->a, v);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].what != r->what)
			continue;
		v->word = rows[i].word;
		if (rows[i].class)
			refuse_by_class(v, rows[i].class);
		return 0;
	}
	refuse(v, 421, "4.7.0", "Closing, try again later"); /* SHUTDOWN, CONN_FAIL */
	return 0;
}

/* What the filter is waited for to say, in a message: does the word end it? */
static int message_goes_on(struct filter_milter *m, const struct milterproto_reply *r,
			   const struct filter_verdict *v)
{
	static const uint8_t skips[] = {[FILTER_MILTER_FIELDS] = MILTERPROTO_HEADER,
					[FILTER_MILTER_CHUNK] = MILTERPROTO_BODY,
					[FILTER_MILTER_END] = 0};
	enum filter_milter_state before = m->state;

	if (v->word != FILTER_GO_ON || before == FILTER_MILTER_END)
		return 0;
	if (r->what == MILTERPROTO_SAYS_SKIPPED && skips[before])
		m->skipped = skips[before];
	if (before != FILTER_MILTER_FIELDS)
		filter_milter_become(m, FILTER_MILTER_BODY);
	filter_milter_advance(m);
	if ((m->state == FILTER_MILTER_BODY || m->state == FILTER_MILTER_CHUNK) && !m->ended)
		m->host->room(m->arg);
	return 1;
}

static void message_verdict(struct filter_milter *m, const struct filter_verdict *v)
{
	if (m->state == FILTER_MILTER_END)
		m->transaction = 0; /* libmilter has ended it, too */
	buf_reset(&m->body);
	filter_milter_become(m, FILTER_MILTER_OUT);
	m->host->verdict(m->arg, v);
}

static void command_verdict(struct filter_milter *m, const struct milterproto_reply *r,
			    struct filter_verdict *v)
{
	int session = m->asked == FILTER_CONNECT || m->asked == FILTER_HELO;

	if (session && v->word == FILTER_DISCARD) /* means nothing there */
		v->word = FILTER_GO_ON;
	if (session && v->word == FILTER_ACCEPT)
		m->over = 1;
	if (r->what == MILTERPROTO_SAYS_SKIPPED && m->asked == FILTER_RCPT)
		m->skipped = MILTERPROTO_RCPT;
	filter_milter_become(m, !session && (v->word == FILTER_ACCEPT || v->word == FILTER_DISCARD)
				    ? FILTER_MILTER_OUT
				    : FILTER_MILTER_IDLE);
	m->host->verdict(m->arg, v);
}

static int verdict(struct filter_milter *m, const struct milterproto_reply *r)
{
	struct filter_verdict v;

	if (m->state < FILTER_MILTER_ASKED || m->state > FILTER_MILTER_END ||
	    m->state == FILTER_MILTER_BODY)
		return filter_milter_broken(m, "reply-unasked");
	if (read_verdict(m, r, &v) < 0)
		return ERR_BADSTATE;
	if (m->state == FILTER_MILTER_ASKED)
		command_verdict(m, r, &v);
	else if (!message_goes_on(m, r, &v))
		message_verdict(m, &v);
	return 0;
}

static int change(struct filter_milter *m, const struct milterproto_reply *r)
{
	int rc;

	if (m->state != FILTER_MILTER_END)
		return filter_milter_broken(m, "change-before-end");
	if (!(r->needs & m->actions))
		return filter_milter_broken(m, "change-not-agreed");
	rc = m->host->change(m->arg, r);
	if (rc < 0)
		return filter_milter_broken(m, rc == ERR_FORMAT ? "change-malformed"
								: "change-failed");
	if (rc == 0)
		filter_milter_become(m, FILTER_MILTER_END); /* it is alive: its time begins anew */
	else
		m->host->timer(m->arg, 0); /* now we are slow, not the filter */
	return rc;
}

static int progress(struct filter_milter *m, const struct milterproto_reply *r)
{
	(void)r;
	if (m->state < FILTER_MILTER_ASKED || m->state > FILTER_MILTER_END ||
	    m->state == FILTER_MILTER_BODY)
		return filter_milter_broken(m, "reply-unasked");
	filter_milter_become(m, m->state);
	return 0;
}

/* 0: done with it; 1: not now; ERR_BADSTATE: broken. */
static int reply(struct filter_milter *m, uint8_t command, struct span data)
{
	static int (*const by_kind[])(struct filter_milter *, const struct milterproto_reply *) = {
	    [MILTERPROTO_KIND_OPTION] = options,
	    [MILTERPROTO_KIND_VERDICT] = verdict,
	    [MILTERPROTO_KIND_CHANGE] = change,
	    [MILTERPROTO_KIND_PROGRESS] = progress,
	};
	struct milterproto_reply r;

	if (milterproto_reply(command, data, &r) < 0)
		return filter_milter_broken(m, "reply-malformed");
	return by_kind[r.kind](m, &r);
}

size_t filter_milter_input(struct filter_milter *m, struct span in)
{
	size_t used = 0;

	while (m->state != FILTER_MILTER_BROKEN && m->state != FILTER_MILTER_START) {
		struct span data;
		uint8_t command;
		int n = milterproto_take(span_sub(in, used, in.n), &command, &data);

		if (n < 0)
			filter_milter_broken(m, "packet-malformed");
		if (n <= 0 || reply(m, command, data) != 0)
			break;
		used += (size_t)n;
	}
	return m->state == FILTER_MILTER_BROKEN ? in.n : used;
}
