/* SPDX-License-Identifier: Apache-2.0 */
/* A whole message, read as a report of delivery and as a complaint: what comes out is bounded,
 * terminated, of one line, and each address has its "@". */
#include <stdint.h>
#include <stdlib.h>

#include "mail/mail_arf.h"
#include "mail/mail_dsn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void line_ok(const char *s, size_t room)
{
	size_t n = strnlen(s, room);

	if (n == room)
		abort();
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
			abort();
}

static void address_ok(const char *s, int must)
{
	line_ok(s, MAIL_REPORT_ADDRESS);
	if ((must || *s) && !strchr(s, '@'))
		abort();
}

static void check_dsn(const struct mail_report *r)
{
	static struct mail_dsn d;

	if (mail_dsn_read(r, &d) != 0)
		return;
	if (!d.count || d.count > MAIL_DSN_RECIPIENTS || !d.dialect)
		abort();
	line_ok(d.envid, sizeof(d.envid));
	for (unsigned i = 0; i < d.count; i++) {
		const struct mail_dsn_recipient *one = &d.recipients[i];
		address_ok(one->address, 0);
		address_ok(one->original, 0);
		line_ok(one->text, sizeof(one->text));
		line_ok(one->status, sizeof(one->status));
		if (one->code && (one->code < 400 || one->code > 559))
			abort();
	}
}

static void check_arf(const struct mail_report *r)
{
	static struct mail_arf a;

	if (mail_arf_read(r, &a) != 0)
		return;
	if (!a.type[0] || a.count > MAIL_ARF_RECIPIENTS)
		abort();
	line_ok(a.type, sizeof(a.type));
	line_ok(a.source, sizeof(a.source));
	address_ok(a.from, 0);
	for (unsigned i = 0; i < a.count; i++)
		address_ok(a.recipients[i], 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mail_report r;

	mail_report_init(&r);
	mail_report_read(&r, span_of(data, size));
	check_dsn(&r);
	check_arf(&r);
	mail_report_clear(&r);
	return 0;
}
