/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_owner.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"

#define DNS_NAME_MAX 253

/* As a host name is written: what DNS and browsers permit beside that (an underscore) no web server is called. */
static int is_host_name(const char *s)
{
	size_t label = 0;

	for (; *s; s++) {
		if (*s == '.') {
			if (!label || s[-1] == '-')
				return 0;
			label = 0;
		} else if ((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') ||
			   (*s == '-' && label)) {
			if (++label > 63)
				return 0;
		} else {
			return 0;
		}
	}
	return label && s[-1] != '-';
}

static int has_blank(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || memchr("*/:@\\%", s.p[i], 6))
			return 1;
	return s.n == 0;
}

int camp_owner_domain(char dst[MAIL_URL_HOST], struct span text, const char **why)
{
	char above[MAIL_URL_HOST];
	enum mail_url_kind kind = MAIL_URL_NO_HOST;
	unsigned odd = 0;

	if (text.n > 1 && text.p[text.n - 1] == '.')
		text.n--;
	*why = "domain must be the name of one, as shop.example: no wildcard, port or path";
	if (has_blank(text) || mail_url_host(dst, &kind, &odd, text) < 0)
		return ERR_FORMAT;
	if (kind != MAIL_URL_DOMAIN || (odd & MAIL_URL_ODD(ADDRESS))) {
		*why = "domain is an address: nobody is known by one";
		return ERR_FORMAT;
	}
	if (!is_host_name(dst) || strlen(dst) > DNS_NAME_MAX + 1 - sizeof(CAMP_OWNER_LABEL))
		return ERR_FORMAT;
	if (mail_url_registrable(above, dst) < 0) {
		*why = "domain is a public suffix: names below it are of many";
		return ERR_FORMAT;
	}
	odd &= ~MAIL_URL_ODD(SUFFIX);
	if (odd) {
		for (unsigned i = 0; i < MAIL_URL_BIT_COUNT; i++)
			if (odd & (1u << i))
				*why = mail_url_odd_text((enum mail_url_bit)i);
		return ERR_FORMAT;
	}
	return 0;
}

/* 1 if name is the same as above, or below it. */
static int is_under(const char *name, const char *above)
{
	size_t n = strlen(name), k = strlen(above);

	return n >= k && strcmp(name + n - k, above) == 0 && (n == k || name[n - k - 1] == '.');
}

int camp_owner_covers(const char *domain, const char *host)
{
	char registered[MAIL_URL_HOST];

	return *domain && is_under(host, domain) && is_host_name(host) &&
	       mail_url_registrable(registered, host) == 0 && is_under(domain, registered);
}

void camp_owner_name(char dst[CAMP_OWNER_NAME], const char *domain)
{
	snprintf(dst, CAMP_OWNER_NAME, "%s%s", CAMP_OWNER_LABEL, domain);
}

void camp_owner_text(char dst[CAMP_OWNER_TEXT], const char *challenge)
{
	snprintf(dst, CAMP_OWNER_TEXT, "%s%s", CAMP_OWNER_PREFIX, challenge);
}

static struct span without_blanks(struct span s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_sub(s, 1, s.n);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

enum camp_owner_verdict camp_owner_judge(const struct span *texts, size_t n, const char *challenge)
{
	char wanted[CAMP_OWNER_TEXT];

	camp_owner_text(wanted, challenge);
	for (size_t i = 0; i < n; i++)
		if (strlen(challenge) == CAMP_OWNER_CHALLENGE &&
		    span_equal(without_blanks(texts[i]), span_str(wanted)))
			return CAMP_OWNER_FOUND;
	return n ? CAMP_OWNER_OTHER : CAMP_OWNER_MISSING;
}
