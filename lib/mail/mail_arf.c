/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_arf.h"

#include "core/err.h"
#include "mail/mail_header.h"

static void take_type(struct mail_arf *a, struct span value)
{
	static const char *const complaints[] = {"abuse", "fraud",   "virus",
						 "other", "opt-out", "opt-out-list"};

	mail_header_unfold(a->type, sizeof(a->type), value);
	for (char *s = a->type; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s |= 0x20;
	a->complaint = 0;
	for (size_t i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++)
		a->complaint |= !strcmp(a->type, complaints[i]);
}

static void take_source(struct mail_arf *a, struct span value)
{
	mail_header_unfold(a->source, sizeof(a->source), value);
}

static void take_from(struct mail_arf *a, struct span value)
{
	mail_report_first(a->from, value);
}

static int add_recipient(void *arg, struct span address)
{
	struct mail_arf *a = arg;

	for (unsigned i = 0; i < a->count; i++)
		if (span_equal_nocase(span_str(a->recipients[i]), address))
			return 0;
	if (a->count == MAIL_ARF_RECIPIENTS)
		return 1;
	if (span_copy_str(a->recipients[a->count], MAIL_REPORT_ADDRESS, address) == 0)
		a->count++;
	return 0;
}

static void take_recipient(struct mail_arf *a, struct span value)
{
	mail_report_scan(value, add_recipient, a);
}

static const struct {
	const char *name;
	void (*take)(struct mail_arf *a, struct span value);
} fields[] = {
    {"Feedback-Type", take_type},	   {"Source-IP", take_source},
    {"Original-Mail-From", take_from},	   {"Original-Rcpt-To", take_recipient},
    {"Removal-Recipient", take_recipient}, {"Original-Recipient", take_recipient},
};

static void read_fields(struct span section, struct mail_arf *a)
{
	struct mail_header_field f;
	struct mail_header h;

	mail_header_init(&h, section, 0);
	while (mail_header_next(&h, &f) == 1)
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
			if (span_equal_nocase(f.name, span_str(fields[i].name)))
				fields[i].take(a, f.value);
}

/* Outlook.com's field stands in the report's own header, or in that of the message it returns. */
static int read_jmrp(struct span section, struct mail_arf *a)
{
	struct span value;

	if (!mail_header_find(section, "X-HmXmrOriginalRecipient", &value))
		return 0;
	take_recipient(a, value);
	return 1;
}

int mail_arf_read(const struct mail_report *r, struct mail_arf *a)
{
	int jmrp;

	memset(a, 0, sizeof(*a));
	jmrp = read_jmrp(r->header, a) + read_jmrp(buf_span(&r->original), a);
	if (r->kind == MAIL_REPORT_FEEDBACK)
		read_fields(buf_span(&r->machine), a);
	else if (jmrp && r->kind == MAIL_REPORT_NONE)
		take_type(a, SPAN_LIT("abuse"));
	return a->type[0] ? 0 : ERR_NOTFOUND;
}
