/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/dkim/dkim_domain.h"

#include <idn2.h>
#include <string.h>

/* As the DNS knows it, and the configuration: *made is to be freed. NULL: there is no such domain. */
static const char *ascii(const char *from, uint8_t **made)
{
	*made = NULL;
	for (const char *p = from; *p; p++)
		if ((unsigned char)*p >= 0x80)
			return idn2_lookup_u8((const uint8_t *)from, made, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK
				   ? (const char *)*made
				   : NULL;
	return from;
}

static int covers(const struct relay_dkim *d, const char *from, size_t n)
{
	size_t own = strlen(d->domain);

	if (n < own || strcmp(from + n - own, d->domain) != 0)
		return 0;
	return n == own || (d->subdomains && from[n - own - 1] == '.');
}

static const struct relay_dkim *longest(const struct relay_conf *conf, const char *customer, const char *from, int *foreign)
{
	const struct relay_dkim *all = conf->dkim.items, *found = NULL;
	size_t n = strlen(from);

	for (size_t i = 0; i < conf->dkim.count; i++) {
		const struct relay_dkim *d = all + i;
		if (!covers(d, from, n))
			continue;
		if (customer && d->customer && strcmp(d->customer, customer) != 0)
			*foreign = 1;
		else if (!found || strlen(d->domain) > strlen(found->domain))
			found = d;
	}
	return found;
}

const struct relay_dkim *dkim_domain_find(const struct relay_conf *conf, const char *customer, const char *from,
					  int *foreign)
{
	const struct relay_dkim *found = NULL;
	uint8_t *made;
	const char *name = ascii(from, &made);

	*foreign = 0;
	if (name)
		found = longest(conf, customer, name, foreign);
	idn2_free(made);
	return found;
}
