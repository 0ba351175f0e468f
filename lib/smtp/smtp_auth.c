/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/smtp_auth.h"

#include "core/err.h"

int smtp_auth_field_ok(struct span field)
{
	if (field.n > SMTP_AUTH_FIELD)
		return ERR_LIMIT;
	return field.n && span_find(field, 0) < 0 ? 0 : ERR_FORMAT;
}

/* The next field up to NUL, taken off the front of rest. */
static int take(struct span *rest, struct span *field)
{
	ptrdiff_t end = span_find(*rest, 0);

	if (end < 0)
		return ERR_FORMAT;
	*field = span_sub(*rest, 0, (size_t)end);
	*rest = span_sub(*rest, (size_t)end + 1, rest->n);
	return 0;
}

int smtp_auth_plain_parse(struct span message, struct smtp_auth_plain *out)
{
	int err;

	if (take(&message, &out->authzid) < 0 || take(&message, &out->name) < 0)
		return ERR_FORMAT;
	out->password = message;
	if (out->authzid.n > SMTP_AUTH_FIELD)
		return ERR_LIMIT;
	err = smtp_auth_field_ok(out->name);
	return err < 0 ? err : smtp_auth_field_ok(out->password);
}
