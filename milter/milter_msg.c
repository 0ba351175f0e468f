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
}

void milter_msg_clear(struct milter_msg *m)
{
	milter_msg_end(m);
	buf_clear(&m->sender);
	buf_clear(&m->recipient);
	buf_clear(&m->campaign);
	buf_clear(&m->message_id);
	buf_clear(&m->names);
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
	keep(m, &m->sender, who->sender);
}

void milter_msg_end(struct milter_msg *m)
{
	milter_conf_unref(m->conf);
	m->conf = NULL;
	m->customer = m->by = NULL;
	m->open = 0;
	m->recipients = m->campaigns = m->message_ids = 0;
	m->forged_names = m->forged_count = 0;
	m->flood = m->odd = m->no_memory = 0;
	buf_reset(&m->sender);
	buf_reset(&m->recipient);
	buf_reset(&m->campaign);
	buf_reset(&m->message_id);
	buf_reset(&m->names);
}

void milter_msg_recipient(struct milter_msg *m, struct span path)
{
	if (m->recipients++ == 0)
		keep(m, &m->recipient, path);
}

static void note_forged(struct milter_msg *m, struct span name)
{
	if (m->flood || m->forged_count == MILTER_MSG_FORGED_MAX) {
		m->flood = 1;
		return;
	}
	m->forged_count++;
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

void milter_msg_header(struct milter_msg *m, struct span name, struct span value)
{
	size_t given = name.n;

	while (name.n && (name.p[name.n - 1] == ' ' || name.p[name.n - 1] == '\t'))
		name.n--;
	if (span_equal_nocase(span_sub(name, 0, sizeof(MILTER_MSG_OURS) - 1),
			      SPAN_LIT(MILTER_MSG_OURS))) {
		note_forged(m, name);
	} else if (span_equal_nocase(name, SPAN_LIT(MAIL_CAMPAIGN_HEADER))) {
		m->campaigns++;
		keep(m, &m->campaign, value);
	} else if (span_equal_nocase(name, SPAN_LIT("Message-ID"))) {
		m->message_ids++;
		keep(m, &m->message_id, value);
		return;
	} else {
		return;
	}
	/* The MTA could not find it again by its name. */
	if (given != name.n)
		m->odd = 1;
}

void milter_msg_trace(const struct milter_msg *m, char dst[128])
{
	snprintf(dst, 128, "v=1; customer=%s; id=%s", m->customer, m->id_text);
}
