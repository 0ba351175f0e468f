/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "mail/mail_trace.h"
#include "relay/filter/filter_chain_own.h"

/* Gives the header section to the first filter from at on that wants the message. */
static void show_head(struct filter_chain *c)
{
	static const struct filter_verdict away = {.word = FILTER_FAILED, .why = "away"};

	c->ended = c->answered = 0;
	for (; c->at < c->count && !c->decided; c->at++) {
		struct filter_chain_link *l = &c->links[c->at];

		if (l->missing || l->conn.m.over)
			continue;
		if (!l->conn.conn) {
			filter_chain_judge(c, c->at, &away);
			continue;
		}
		if (filter_conn_message(&l->conn, &c->head))
			return;
	}
}

/* Octets of the body for the filter at, as many as it takes; the rest waits. */
static int push(struct filter_chain *c, struct span s)
{
	size_t n = 0;

	if (c->at >= c->count || c->answered || c->decided)
		return 0;
	if (!buf_size(&c->pending))
		n = filter_conn_body(&c->links[c->at].conn, s);
	return n < s.n ? buf_put_span(&c->pending, span_sub(s, n, s.n)) : 0;
}

/* 1 when nothing waits any more. */
static int push_pending(struct filter_chain *c)
{
	size_t n;

	if (c->at >= c->count || c->answered || c->decided)
		n = buf_size(&c->pending);
	else
		n = filter_conn_body(&c->links[c->at].conn, buf_span(&c->pending));
	buf_drain(&c->pending, n);
	return !buf_size(&c->pending);
}

int filter_chain_trace(struct filter_chain *c, const char *customer, struct span received)
{
	filter_chain_message_clear(c);
	c->body.customer = customer;
	return filter_head_trace(&c->head, received);
}

static int head_done(struct filter_chain *c)
{
	c->ask = FILTER_MESSAGE;
	c->at = 0;
	c->phase = FILTER_CHAIN_STREAM;
	show_head(c);
	return push(c, filter_head_rest(&c->head));
}

int filter_chain_show(struct filter_chain *c, struct span s)
{
	size_t used = 0;
	int err;

	if (c->phase == FILTER_CHAIN_QUIET)
		c->phase = FILTER_CHAIN_HEAD;
	if (c->phase == FILTER_CHAIN_HEAD) {
		err = filter_head_feed(&c->head, s, &used);
		if (err == 0 && c->head.done)
			err = head_done(c);
		if (err < 0)
			return err;
	}
	if (used < s.n) {
		err = push(c, span_sub(s, used, s.n));
		if (err < 0)
			return err;
	}
	return c->decided;
}

int filter_chain_room(const struct filter_chain *c)
{
	return !buf_size(&c->pending);
}

/* --- the end */

static void source_ready(void *arg)
{
	filter_chain_wake(arg, FILTER_CHAIN_WAKE_ROOM);
}

/* The body from the spool's writer to the filter at. 1: all of it; 0: not yet; ERR_*. */
static int pump_body(struct filter_chain *c)
{
	struct span piece;
	int rc = 0;

	if (!c->rereading)
		return 1;
	if (!c->reread) {
		if (!spool_reread_ready(c->source, source_ready, c))
			return 0;
		c->reread =
		    spool_reread_open(c->source, c->replaced ? 0 : filter_head_body(&c->head));
		if (!c->reread)
			return ERR_NOMEM;
	}
	while (!c->answered) {
		rc = spool_reread_next(c->reread, &piece);
		if (rc <= 0)
			break;
		if (push(c, piece) < 0)
			return ERR_NOMEM;
		if (buf_size(&c->pending))
			return 0;
	}
	spool_reread_close(c->reread);
	c->reread = NULL;
	c->rereading = 0;
	return c->answered ? 1 : rc < 0 ? rc : 1;
}

/* Its word is there: 1 if the next one may be asked. */
static int settle_word(struct filter_chain *c)
{
	int err;

	spool_reread_close(c->reread);
	c->reread = NULL;
	buf_reset(&c->pending);
	if (filter_chain_judge(c, c->at, &c->word))
		return 0;
	if (c->word.word == FILTER_FAILED) {
		filter_chain_undo(c);
	} else {
		err = filter_chain_apply(c);
		if (err < 0) {
			if (err == ERR_LIMIT)
				filter_chain_decide(c, 552, "5.3.4",
						    "Message refused: filters made it too big");
			else
				filter_chain_decide(c, 451, "4.3.0",
						    "Message could not be stored, try again later");
			return 0;
		}
	}
	c->at++;
	c->rereading = 1;
	show_head(c);
	return !c->decided;
}

/* All have spoken. */
static void finish(struct filter_chain *c)
{
	struct filter_verdict v = {.word = FILTER_GO_ON};

	if (!c->decided && (c->head.changed || c->replaced) &&
	    filter_head_render(&c->head, &c->rendered) < 0)
		filter_chain_decide(c, 552, "5.3.4", "Message refused: filters made it too big");
	if (c->decided)
		v = c->decision;
	c->phase = FILTER_CHAIN_QUIET;
	c->host->answer(c->arg, &v);
}

static void pump_end(struct filter_chain *c)
{
	while (!c->decided && c->at < c->count) {
		if (c->answered) {
			if (!filter_body_room(&c->body))
				return;
			if (!settle_word(c))
				break;
			continue;
		}
		if (!push_pending(c))
			return;
		if (!c->ended) {
			int rc = pump_body(c);

			if (rc < 0)
				filter_chain_decide(c, 451, "4.3.0",
						    "Message could not be stored, try again later");
			if (rc == 0)
				return;
			if (rc > 0 && !c->answered) {
				c->ended = 1;
				filter_conn_end(&c->links[c->at].conn);
			}
			continue;
		}
		return; /* for its word */
	}
	finish(c);
}

void filter_chain_pump(struct filter_chain *c)
{
	if (c->phase == FILTER_CHAIN_FINISH) {
		pump_end(c);
		return;
	}
	if (c->answered && !c->decided && c->phase == FILTER_CHAIN_STREAM &&
	    !filter_chain_judge(c, c->at, &c->word))
		c->word = (struct filter_verdict){.word = FILTER_GO_ON}; /* judged once */
	if (c->phase == FILTER_CHAIN_STREAM && push_pending(c))
		c->host->room(c->arg);
}

int filter_chain_end(struct filter_chain *c, struct spool_writer *sw)
{
	c->source = sw;
	if (c->phase == FILTER_CHAIN_QUIET)
		c->phase = FILTER_CHAIN_HEAD; /* an empty message */
	if (c->phase == FILTER_CHAIN_HEAD && (filter_head_end(&c->head) < 0 || head_done(c) < 0))
		filter_chain_decide(c, 451, "4.3.0",
				    "Message could not be stored, try again later");
	c->phase = FILTER_CHAIN_FINISH;
	filter_chain_wake(c, FILTER_CHAIN_WAKE_ROOM);
	return 1;
}

void filter_chain_result(struct filter_chain *c, struct filter_chain_result *out)
{
	memset(out, 0, sizeof(*out));
	out->head = buf_span(&c->rendered);
	out->quarantine = c->quarantine;
	out->mark = filter_head_given(&c->head, SPAN_LIT(MAIL_TRACE_HEADER));
	if (c->replaced) {
		out->writer = c->replaced;
		out->id = c->replaced_id;
		out->hash = c->body.hashes ? c->replaced_hash : NULL;
		c->replaced = NULL;
	} else if (out->head.n) {
		out->skip = filter_head_body(&c->head);
	}
}

static void empty(struct buf *b)
{
	buf_reset(b);
	buf_trim(b);
}

void filter_chain_message_clear(struct filter_chain *c)
{
	filter_chain_undo(c);
	spool_reread_close(c->reread);
	c->reread = NULL;
	spool_writer_abort(c->replaced);
	c->replaced = c->source = NULL;
	filter_head_clear(&c->head);
	empty(&c->pending);
	empty(&c->changes);
	empty(&c->rendered);
	c->ended = c->answered = c->rereading = c->quarantine = 0;
}
