/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "core/log.h"
#include "relay/filter/filter_chain_own.h"
#include "smtp/smtp_addr.h"

/* "<a@b>" or "a@b", perhaps with a source route: without its brackets. ERR_FORMAT. */
static int address(struct span s, int null_ok, struct span *out)
{
	struct smtp_addr a;
	int flags = SMTP_ADDR_UTF8_OK | (null_ok ? SMTP_ADDR_NULL_OK : 0), n;

	*out = s;
	if (!s.n)
		return null_ok ? 0 : ERR_FORMAT;
	if (s.p[0] != '<')
		return smtp_addr_parse(s, flags, &a) < 0 ? ERR_FORMAT : 0;
	n = smtp_addr_parse_path(s, flags, &a);
	if (n < 0 || (size_t)n != s.n)
		return ERR_FORMAT;
	*out = a.local.n ? span_of(a.local.p, a.local.n + 1 + a.domain.n) : span_of(NULL, 0);
	return 0;
}

/* Whether a wish can be fulfilled at all. */
static int check(const struct milterproto_reply *r)
{
	struct span s;

	switch (r->what) {
	case MILTERPROTO_SAYS_ADD_HEADER:
	case MILTERPROTO_SAYS_INS_HEADER:
	case MILTERPROTO_SAYS_CHG_HEADER:
		return filter_head_name_ok(r->a) ? 0 : ERR_FORMAT;
	case MILTERPROTO_SAYS_ADD_RCPT:
	case MILTERPROTO_SAYS_ADD_RCPT_PAR:
	case MILTERPROTO_SAYS_DEL_RCPT:
		return address(r->a, 0, &s);
	case MILTERPROTO_SAYS_CHG_FROM:
		return address(r->a, 1, &s);
	default:
		return 0;
	}
}

int filter_chain_change(struct filter_chain *c, const struct milterproto_reply *r)
{
	int err;

	if (c->phase != FILTER_CHAIN_FINISH || c->decided)
		return ERR_BADSTATE;
	if (r->what == MILTERPROTO_SAYS_REPL_BODY)
		return filter_body_put(&c->body, r->a);
	err = check(r);
	return err < 0
		   ? err
		   : milterproto_put(&c->changes, (enum milterproto_command)r->command, r->data);
}

static int apply_recipient(struct filter_chain *c, const struct milterproto_reply *r)
{
	struct span s;

	if (address(r->a, 0, &s) < 0)
		return ERR_FORMAT;
	return r->what == MILTERPROTO_SAYS_DEL_RCPT ? c->host->remove_recipient(c->arg, s)
						    : c->host->add_recipient(c->arg, s);
}

static int apply_one(struct filter_chain *c, const struct milterproto_reply *r)
{
	int blank = !(c->links[c->at].conn.m.steps & MILTERPROTO_HDR_LEADSPC);
	struct span s;

	switch (r->what) {
	case MILTERPROTO_SAYS_ADD_HEADER:
		return filter_head_add(&c->head, r->a, r->b, blank);
	case MILTERPROTO_SAYS_INS_HEADER:
		return filter_head_insert(&c->head, r->index, r->a, r->b, blank);
	case MILTERPROTO_SAYS_CHG_HEADER:
		return filter_head_change(&c->head, r->index, r->a, r->b, blank);
	case MILTERPROTO_SAYS_CHG_FROM:
		return address(r->a, 1, &s) < 0 ? ERR_FORMAT : c->host->set_sender(c->arg, s);
	case MILTERPROTO_SAYS_QUARANTINED:
		c->quarantine = 1;
		return 0;
	default:
		return apply_recipient(c, r);
	}
}

/* The new body counts from here on, and the one before it is void. */
static int apply_body(struct filter_chain *c)
{
	int err = filter_body_end(&c->body);

	if (err < 0)
		return err;
	memcpy(c->replaced_hash, c->body.hash, sizeof(c->replaced_hash));
	spool_writer_abort(c->replaced);
	c->replaced = c->source = filter_body_take(&c->body, &c->replaced_id);
	return 0;
}

int filter_chain_apply(struct filter_chain *c)
{
	struct span in = buf_span(&c->changes), data;
	unsigned changes = 0, body = (unsigned)filter_body_begun(&c->body);
	struct milterproto_reply r;
	uint8_t command;
	int n, err = 0;

	while (err == 0 && (n = milterproto_take(in, &command, &data)) > 0) {
		if (milterproto_reply(command, data, &r) == 0)
			err = apply_one(c, &r);
		in = span_sub(in, (size_t)n, in.n);
		changes++;
	}
	if (err == 0 && body)
		err = apply_body(c);
	if (changes || body)
		log_event(LOG_LEVEL_INFO, c->fact->id ? c->fact->id : c->name, "filter-changed",
			  "filter=%s changes=%u body=%s quarantine=%s",
			  c->links[c->at].conn.conf->socket, changes, body ? "yes" : "no",
			  c->quarantine ? "yes" : "no");
	filter_chain_undo(c);
	return err;
}

void filter_chain_undo(struct filter_chain *c)
{
	buf_reset(&c->changes);
	filter_body_abort(&c->body);
}
