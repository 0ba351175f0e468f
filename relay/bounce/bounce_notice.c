/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/bounce/bounce_notice.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "mail/mail_arf.h"

struct read {
	struct bounce_notice *n;
	struct mail_report report;
	struct mail_dsn dsn;
	struct mail_arf arf;
	const char *domain;
	int of;
};

static int take_address(void *arg, struct span address)
{
	struct read *r = arg;
	struct bounce_notice *n = r->n;

	for (unsigned i = 0; i < n->count; i++)
		if (span_equal_nocase(span_str(n->addresses[i].address), address))
			return 0;
	if (n->count == BOUNCE_NOTICE_ADDRESSES)
		return 1;
	if (span_copy_str(n->addresses[n->count].address, MAIL_REPORT_ADDRESS, address) == 0)
		n->addresses[n->count++].of = r->of;
	return 0;
}

static int take_token(void *arg, struct span address)
{
	struct read *r = arg;
	ptrdiff_t at = span_find(address, '@');

	if (at < 0 ||
	    !span_equal_nocase(span_sub(address, (size_t)at + 1, address.n), span_str(r->domain)) ||
	    bounce_verp_parse(span_sub(address, 0, (size_t)at), &r->n->token) < 0)
		return 0;
	r->n->has_token = 1;
	return 1;
}

/* The returned header and, last, anything in the text. */
static void take_rest(struct read *r)
{
	r->of = r->n->told_count == 1 ? 0 : -1;
	mail_report_addresses(buf_span(&r->report.original), MAIL_REPORT_TO, take_address, r);
	mail_report_addresses(r->report.header, MAIL_REPORT_TO, take_address, r);
	mail_report_scan(buf_span(&r->report.text), take_address, r);
}

static void read_bounce(struct read *r)
{
	struct bounce_notice *n = r->n;

	n->kind = BOUNCE_NOTICE_BOUNCE;
	snprintf(n->what, sizeof(n->what), "%s", r->dsn.dialect);
	for (unsigned i = 0; i < r->dsn.count; i++) {
		const struct mail_dsn_recipient *d = &r->dsn.recipients[i];
		struct bounce_notice_told *t = &n->told[n->told_count++];
		t->action = d->action;
		t->class = bounce_class_of(d->code, d->status, d->text);
		t->hard =
		    d->action == MAIL_DSN_FAILED && bounce_class_hard(t->class, d->code, d->status);
		t->code = d->code;
		memcpy(t->status, d->status, sizeof(t->status));
	}
	for (unsigned i = 0; i < r->dsn.count; i++) {
		r->of = (int)i;
		mail_report_scan(span_str(r->dsn.recipients[i].original), take_address, r);
		mail_report_scan(span_str(r->dsn.recipients[i].address), take_address, r);
	}
}

static void read_complaint(struct read *r)
{
	struct bounce_notice *n = r->n;

	n->kind = BOUNCE_NOTICE_COMPLAINT;
	n->wanted = !r->arf.complaint;
	for (size_t i = 0; r->arf.type[i] && i + 1 < sizeof(n->what); i++) {
		char c = r->arf.type[i];
		n->what[i] = (c >= 'a' && c <= 'z') || c == '-' ? c : '?';
	}
	r->of = -1;
	for (unsigned i = 0; i < r->arf.count; i++)
		mail_report_scan(span_str(r->arf.recipients[i]), take_address, r);
	if (n->has_token)
		return;
	if (!mail_report_scan(span_str(r->arf.from), take_token, r))
		mail_report_addresses(buf_span(&r->report.original), MAIL_REPORT_FROM, take_token,
				      r);
}

int bounce_notice_read(struct bounce_notice *n, struct span message, const char *domain)
{
	struct read *r = calloc(1, sizeof(*r));
	struct bounce_verp token = n->token;
	int has = n->has_token;

	if (!r)
		return ERR_NOMEM;
	memset(n, 0, sizeof(*n));
	n->token = token;
	n->has_token = has;
	r->n = n;
	r->domain = domain;
	mail_report_init(&r->report);
	mail_report_read(&r->report, message);
	if (mail_arf_read(&r->report, &r->arf) == 0)
		read_complaint(r);
	else if (mail_dsn_read(&r->report, &r->dsn) == 0)
		read_bounce(r);
	if (n->kind != BOUNCE_NOTICE_OTHER)
		take_rest(r);
	mail_report_clear(&r->report);
	explicit_bzero(r, sizeof(*r));
	free(r);
	return 0;
}

const struct bounce_notice_told *bounce_notice_told(const struct bounce_notice *n, unsigned i)
{
	int of = i < n->count ? n->addresses[i].of : -1;

	return of >= 0 && (unsigned)of < n->told_count ? &n->told[of] : NULL;
}
