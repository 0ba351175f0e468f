/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_msg.h"

#include <stdio.h>

#include "core/err.h"
#include "mail/mail_campaign.h"

#define NAMES_MAX 8192

void milter_msg_init(struct milter_msg *m)
{
	memset(m, 0, sizeof(*m));
	buf_init(&m->sender, MILTER_MSG_PATH_MAX);
	buf_init(&m->recipient, MILTER_MSG_PATH_MAX);
	buf_init(&m->campaign, MILTER_MSG_VALUE_MAX);
	buf_init(&m->message_id, MILTER_MSG_VALUE_MAX);
	buf_init(&m->names, NAMES_MAX);
	buf_init(&m->consent, MILTER_MSG_VALUE_MAX);
	buf_init_wiped(&m->fields, MILTER_MSG_FIELDS_MAX);
}

void milter_msg_clear(struct milter_msg *m)
{
	milter_msg_end(m);
	buf_clear(&m->sender);
	buf_clear(&m->recipient);
	buf_clear(&m->campaign);
	buf_clear(&m->message_id);
	buf_clear(&m->names);
	buf_clear(&m->consent);
	buf_clear(&m->fields);
}

/* Replaces what b holds. Too long leaves b empty and marked: only who needs the value minds. */
static void keep(struct milter_msg *m, struct buf *b, struct span s)
{
	buf_reset(b);
	if (buf_put_span(b, s) == ERR_NOMEM)
		m->no_memory = 1;
}

void milter_msg_begin(struct milter_msg *m, struct milter_conf *conf,
		      const struct milter_rule_who *who)
{
	const struct milter_rule *rule;

	milter_msg_end(m);
	m->open = 1;
	m->conf = conf;
	m->id = id_new();
	id_format(m->id_text, m->id);
	rule = milter_rule_find(conf->customers.items, conf->customers.count, who);
	m->customer = rule ? rule->customer : conf->customer;
	m->by = rule ? milter_rule_kind(rule) : "fallback";
	m->stream = milter_stream_find(&conf->streams, rule ? rule->stream : conf->stream);
	keep(m, &m->sender, who->sender);
}

void milter_msg_end(struct milter_msg *m)
{
	milter_conf_unref(m->conf);
	m->conf = NULL;
	m->customer = m->by = NULL;
	m->stream = NULL;
	m->open = 0;
	m->recipients = m->campaigns = m->message_ids = 0;
	m->forged_names = m->forged_count = m->own_count = m->consents = m->field_count = 0;
	m->flood = m->odd = m->no_memory = m->fields_cut = 0;
	buf_reset(&m->sender);
	buf_reset(&m->recipient);
	buf_reset(&m->campaign);
	buf_reset(&m->message_id);
	buf_reset(&m->names);
	buf_reset(&m->consent);
	buf_clear(&m->fields); /* plaintext of mail does not wait for the next message */
}

void milter_msg_recipient(struct milter_msg *m, struct span path)
{
	if (m->recipients++ == 0)
		keep(m, &m->recipient, path);
}

/* Notes a header that is to go. */
static void note(struct milter_msg *m, struct span name, unsigned *count)
{
	if (m->flood || m->forged_count + m->own_count == MILTER_MSG_FORGED_MAX) {
		m->flood = 1;
		return;
	}
	++*count;
	for (unsigned i = 0; i < m->forged_names; i++) {
		const char *known = (const char *)buf_ptr(&m->names) + m->forged[i].name;
		if (span_equal_nocase(span_str(known), name)) {
			m->forged[i].count++;
			return;
		}
	}
	m->forged[m->forged_names++] = (struct milter_msg_forged){buf_size(&m->names), 1};
	buf_put_span(&m->names, name);
	buf_put(&m->names, "", 1);
	if (buf_failed(&m->names) == ERR_NOMEM)
		m->no_memory = 1;
	else if (buf_failed(&m->names))
		m->flood = 1;
}

static void keep_field(struct milter_msg *m, struct span name, struct span value)
{
	if (!m->conf || !milter_conf_bodies(m->conf) || m->fields_cut)
		return;
	buf_put_span(&m->fields, name);
	buf_put(&m->fields, "", 1);
	buf_put_span(&m->fields, value);
	buf_put(&m->fields, "", 1);
	m->field_count++;
	if (buf_failed(&m->fields) == ERR_NOMEM)
		m->no_memory = 1;
	else if (buf_failed(&m->fields))
		m->fields_cut = 1;
}

static int begins(struct span name, struct span with)
{
	return span_equal_nocase(span_sub(name, 0, with.n), with);
}

/* Values that the milter itself wants to know. */
static void note_value(struct milter_msg *m, struct span name, struct span value)
{
	if (span_equal_nocase(name, SPAN_LIT(MAIL_CAMPAIGN_HEADER))) {
		m->campaigns++;
		keep(m, &m->campaign, value);
	} else if (span_equal_nocase(name, SPAN_LIT(MILTER_MSG_CONSENT))) {
		m->consents++;
		keep(m, &m->consent, value);
	} else if (span_equal_nocase(name, SPAN_LIT("Message-ID"))) {
		m->message_ids++;
		keep(m, &m->message_id, value);
	}
}

void milter_msg_header(struct milter_msg *m, struct span name, struct span value)
{
	size_t given = name.n;
	int goes = 1;

	keep_field(m, name, value);
	while (name.n && (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t'))
		name.n--;
	if (begins(name, SPAN_LIT(MILTER_MSG_OURS)))
		note(m, name, &m->forged_count);
	else if (begins(name, SPAN_LIT(MILTER_MSG_APPLICATION)))
		note(m, name, &m->own_count);
	else
		goes = 0;
	note_value(m, name, value);
	if (goes && given != name.n) /* the MTA could not find it again by its name */
		m->odd = 1;
}

int milter_msg_field(const struct milter_msg *m, size_t *at, struct span *name, struct span *value)
{
	struct span rest = span_sub(buf_span(&m->fields), *at, SIZE_MAX);
	ptrdiff_t n = span_find(rest, 0), v;

	if (n < 0)
		return 0;
	*name = span_sub(rest, 0, (size_t)n);
	rest = span_sub(rest, (size_t)n + 1, rest.n);
	v = span_find(rest, 0);
	if (v < 0)
		return 0;
	*value = span_sub(rest, 0, (size_t)v);
	*at += (size_t)n + (size_t)v + 2;
	if (value->n && value->p[0] == ' ')
		*value = span_sub(*value, 1, value->n);
	return 1;
}

unsigned milter_msg_count(const struct milter_msg *m, const char *name)
{
	struct span have, value;
	unsigned count = 0;
	size_t at = 0;

	while (milter_msg_field(m, &at, &have, &value))
		count += span_equal_nocase(have, span_str(name));
	return count;
}
