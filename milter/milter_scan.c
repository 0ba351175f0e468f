/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_scan.h"

#include <stdlib.h>

#include "campaign/camp_html.h"
#include "core/err.h"
#include "core/secret.h"
#include "mail/mail_gate.h"
#include "mail/mail_sensitive_html.h"
#include "mail/mail_url.h"
#include "mail/mail_word.h"
#include "milter/milter_links.h"

struct milter_scan {
	const struct milter_conf *conf;
	const struct milter_stream *links;
	struct mail_gate *gate;
	struct mail_sensitive sensitive;
	unsigned found[MAIL_SENSITIVE_RULES]; /* before the part at hand */
	int html; /* it is, and is gathered for what is shown of it */
	struct buf text; /* of the part at hand, for links-only */
	int gathering;
	int over; /* the gate has failed, or a callback stopped it */
	int no_memory; /* to read a URL */
	struct milter_scan_result r;
};

static int broken(struct milter_scan *s, enum camp_verdict v, const char *reason, unsigned part, uint64_t offset)
{
	if (s->r.verdict == CAMP_PASS) {
		s->r.verdict = v;
		s->r.reason = reason;
		s->r.part = part;
		s->r.offset = offset;
	}
	return ERR_DENIED;
}

/* --- links */

static enum camp_verdict verdict_of(const char *rule)
{
	return rule == milter_links_memory ? CAMP_MEMORY : CAMP_POLICY;
}

/* cid: names a part of this very message. */
static int url_allowed(void *arg, const struct camp_html_url *u)
{
	struct milter_scan *s = arg;
	struct mail_url url;
	size_t at;
	int err;

	if (u->use == CAMP_HTML_SHOWN) {
		const char *rule = milter_links_text(s->links, u->value, &at);
		s->no_memory |= rule == milter_links_memory;
		return rule != NULL;
	}
	if (u->use == CAMP_HTML_IMAGE && span_equal_nocase(span_sub(u->value, 0, 4), SPAN_LIT("cid:")))
		return 0;
	err = mail_url_parse(&url, u->value);
	s->no_memory |= err == ERR_NOMEM;
	if (err < 0 || url.odd)
		return 1;
	if (url.scheme == MAIL_URL_MAILTO || url.scheme == MAIL_URL_TEL)
		return 0;
	return !milter_links_host(s->links, url.host);
}

static int judge_html(struct milter_scan *s, const struct mail_gate_part *part)
{
	struct camp_html_finding f;
	int err = camp_html_live(buf_span(&s->text), part->charset, url_allowed, s, &f);

	if (err == ERR_DENIED && !s->no_memory)
		return broken(s, CAMP_POLICY, camp_html_rule_name(f.rule), part->index, f.at);
	return err < 0 ? broken(s, CAMP_MEMORY, "memory", part->index, 0) : 0;
}

static int judge_text(struct milter_scan *s, const struct mail_gate_part *part)
{
	size_t at = 0;
	const char *rule = milter_links_text(s->links, buf_span(&s->text), &at);

	return rule ? broken(s, verdict_of(rule), rule, part->index, at) : 0;
}

/* --- sensitive content */

/* What is shown of HTML, as far as it tells more than its octets did. */
static int look_at_shown(struct milter_scan *s, unsigned part)
{
	struct mail_sensitive *shown = malloc(sizeof(*shown));
	int err = ERR_NOMEM;

	if (shown) {
		mail_sensitive_init(shown, s->conf->sensitive_set);
		err = mail_sensitive_html(shown, buf_span(&s->text));
		for (size_t i = 0; i < s->conf->sensitive.count; i++)
			if (shown->found[i] > s->sensitive.found[i] - s->found[i])
				s->sensitive.found[i] = s->found[i] + shown->found[i];
		mail_sensitive_clear(shown);
		free(shown);
	}
	return err < 0 ? broken(s, CAMP_MEMORY, "memory", part, 0) : 0;
}

static void look_at_subject(struct milter_scan *s, struct span value)
{
	char text[4096];
	int n = mail_word_decode(text, sizeof(text), value);

	mail_sensitive_begin(&s->sensitive);
	mail_sensitive_feed(&s->sensitive, n < 0 ? value : span_of(text, (size_t)n));
	mail_sensitive_end(&s->sensitive);
	secret_wipe(text, sizeof(text));
}

/* --- what the gate tells */

static int on_begin(void *arg, const struct mail_gate_part *part)
{
	struct milter_scan *s = arg;
	const char *rule;

	buf_reset(&s->text);
	s->gathering = 0;
	s->html = part->text && s->conf->sensitive_set && !strcmp(part->type, "text/html");
	memcpy(s->found, s->sensitive.found, sizeof(s->found));
	if (part->text && s->conf->sensitive_set)
		mail_sensitive_begin(&s->sensitive);
	if (!s->links || part->multipart)
		return 0;
	s->gathering = part->text && (!strcmp(part->type, "text/html") || !strcmp(part->type, "text/plain"));
	rule = milter_links_file(s->links, part, s->gathering);
	return rule ? broken(s, CAMP_POLICY, rule, part->index, part->raw_from) : 0;
}

static int on_text(void *arg, const struct mail_gate_part *part, struct span canonical, const struct mail_gate_run *runs,
		   size_t n_runs)
{
	struct milter_scan *s = arg;

	(void)runs;
	(void)n_runs;
	if (s->conf->sensitive_set)
		mail_sensitive_feed(&s->sensitive, canonical);
	if (s->html && !s->gathering) /* of a long one its first part */
		canonical = span_sub(canonical, 0, buf_room(&s->text));
	if (!s->gathering && !s->html)
		return 0;
	if (buf_put_span(&s->text, canonical) < 0)
		return buf_failed(&s->text) == ERR_NOMEM
			   ? broken(s, CAMP_MEMORY, "memory", part->index, 0)
			   : broken(s, CAMP_TOO_BIG, "text-size", part->index, MILTER_SCAN_TEXT);
	return 0;
}

static int on_end(void *arg, const struct mail_gate_part *part)
{
	struct milter_scan *s = arg;

	if (part->text && s->conf->sensitive_set)
		mail_sensitive_end(&s->sensitive);
	if (s->html && look_at_shown(s, part->index) < 0)
		return ERR_DENIED;
	if (!s->gathering)
		return 0;
	s->gathering = 0;
	return strcmp(part->type, "text/html") ? judge_text(s, part) : judge_html(s, part);
}

/* --- the message */

struct milter_scan *milter_scan_new(const struct milter_conf *conf, const struct milter_stream *links)
{
	static const struct mail_gate_fns fns = {.begin = on_begin, .text = on_text, .end = on_end};
	struct milter_scan *s = calloc(1, sizeof(*s));

	if (s)
		s->gate = mail_gate_new(&fns, s, 1);
	if (!s || !s->gate) {
		free(s);
		return NULL;
	}
	s->conf = conf;
	s->links = links;
	s->r.verdict = CAMP_PASS;
	mail_sensitive_init(&s->sensitive, conf->sensitive_set);
	buf_init_wiped(&s->text, MILTER_SCAN_TEXT);
	return s;
}

void milter_scan_free(struct milter_scan *s)
{
	if (!s)
		return;
	mail_gate_free(s->gate);
	mail_sensitive_clear(&s->sensitive);
	buf_clear(&s->text);
	free(s);
}

/* The gate cannot read on: what is there is not known. */
static void unreadable(struct milter_scan *s)
{
	struct mail_gate_verdict v = mail_gate_verdict(s->gate);
	const struct milter_sensitive *rules = s->conf->sensitive.items;

	s->over = 1;
	if (v.rule == MAIL_GATE_STOPPED || v.rule == MAIL_GATE_NONE)
		return; /* a callback has said why */
	for (size_t i = 0; i < s->conf->sensitive.count; i++)
		if (rules[i].action == MILTER_SENSITIVE_VERIFY)
			s->r.verify = rules[i].name;
		else
			s->r.unread = 1;
	if (s->links || s->r.unread)
		broken(s, mail_gate_rule_class(v.rule) == 552 ? CAMP_TOO_BIG : CAMP_AMBIGUOUS, mail_gate_rule_name(v.rule),
		       v.part, v.offset);
}

void milter_scan_header(struct milter_scan *s, struct span name, struct span value)
{
	const char *rule = s->links && !s->over ? milter_links_field(s->links, name, value) : NULL;

	if (rule)
		broken(s, verdict_of(rule), rule, 0, 0);
	if (s->conf->sensitive_set && span_equal_nocase(name, SPAN_LIT("Subject")))
		look_at_subject(s, value);
	if (!s->over && mail_gate_header(s->gate, name, value) < 0)
		unreadable(s);
}

void milter_scan_eoh(struct milter_scan *s)
{
	if (!s->over && mail_gate_eoh(s->gate) < 0)
		unreadable(s);
}

int milter_scan_body(struct milter_scan *s, struct span piece)
{
	if (!s->over && mail_gate_body(s->gate, piece) < 0)
		unreadable(s);
	return s->over;
}

/* What each rule has found in all texts. */
static void count(struct milter_scan *s)
{
	const struct milter_sensitive *rules = s->conf->sensitive.items;

	for (size_t i = 0; i < s->conf->sensitive.count; i++) {
		if (!s->sensitive.found[i])
			continue;
		s->r.found += s->sensitive.found[i];
		if (rules[i].action == MILTER_SENSITIVE_VERIFY)
			s->r.verify = rules[i].name;
		else
			s->r.refuse = rules[i].name;
	}
}

void milter_scan_end(struct milter_scan *s, struct milter_scan_result *out)
{
	if (!s->over && mail_gate_end(s->gate) < 0)
		unreadable(s);
	s->over = 1;
	count(s);
	*out = s->r;
}
