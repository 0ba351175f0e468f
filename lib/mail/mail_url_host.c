/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts: WHATWG URL 3.5, UTS 46 by libidn2, suffixes by libpsl. */
#include <arpa/inet.h>
#include <idn2.h>
#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "mail/mail_script.h"
#include "mail/mail_url.h"

#define LABEL 63

/* Of a newer file, or NULL: those compiled in. Set once, before there are other threads. */
static psl_ctx_t *loaded;

static const psl_ctx_t *suffixes(void)
{
	return loaded ? loaded : psl_builtin();
}

int mail_url_suffixes(const char *path)
{
	FILE *f = fopen(path, "re");
	psl_ctx_t *made;

	if (!f)
		return ERR_NOTFOUND;
	made = psl_load_fp(f);
	fclose(f);
	/* the real list has thousands; a file that was cut short must not make names of suffixes */
	if (!made || psl_suffix_count(made) < 1000) {
		psl_free(made);
		return ERR_FORMAT;
	}
	psl_free(loaded);
	loaded = made;
	return 0;
}

int mail_url_is_tld(const char *label)
{
	static const char *const reserved[] = {"example", "test", "invalid", "localhost", "local", "onion"};
	size_t i;

	for (i = 0; i < sizeof(reserved) / sizeof(*reserved); i++)
		if (strcmp(label, reserved[i]) == 0)
			return 1;
	return *label && !strchr(label, '.') &&
	       psl_is_public_suffix2(suffixes(), label, PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE);
}

static int is_address(const char *host)
{
	size_t n = strlen(host);
	return host[0] == '[' || (n && host[n - 1] >= '0' && host[n - 1] <= '9' && strspn(host, "0123456789.") == n);
}

int mail_url_registrable(char dst[MAIL_URL_HOST], const char *host)
{
	const char *found = is_address(host) ? NULL : psl_registrable_domain(suffixes(), host);

	if (!found)
		return ERR_NOTFOUND;
	memmove(dst, found, strlen(found) + 1);
	return 0;
}

static int hex_of(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* dst has room for as much as s has. */
static size_t percent_decode(char *dst, struct span s, unsigned *odd)
{
	size_t i, n = 0;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 2 < s.n && hex_of(s.p[i + 1]) >= 0 && hex_of(s.p[i + 2]) >= 0) {
			dst[n++] = (char)(hex_of(s.p[i + 1]) << 4 | hex_of(s.p[i + 2]));
			*odd |= MAIL_URL_ODD(PERCENT);
			i += 2;
		} else {
			dst[n++] = (char)s.p[i];
		}
	}
	return n;
}

/* A number of an IPv4 address: 10, 012, 0xa; "0x" is zero. 0 or ERR_FORMAT. */
static int number(struct span s, uint64_t *v)
{
	unsigned base = 10;

	if (!s.n)
		return ERR_FORMAT;
	if (s.n >= 2 && s.p[0] == '0') {
		base = (s.p[1] | 0x20) == 'x' ? 16 : 8;
		s = span_sub(s, base == 16 ? 2 : 1, s.n);
	}
	for (*v = 0; s.n; s = span_sub(s, 1, s.n)) {
		int digit = hex_of(s.p[0]);
		if (digit < 0 || (unsigned)digit >= base)
			return ERR_FORMAT;
		if (*v < UINT64_C(1) << 40) /* more is too much anyway */
			*v = *v * base + (unsigned)digit;
	}
	return 0;
}

static struct span last_label(struct span host)
{
	size_t i = host.n;

	while (i && host.p[i - 1] != '.')
		i--;
	return span_sub(host, i, host.n);
}

/* WHATWG "ends in a number": then it is an IPv4 address or nothing. */
static int ends_in_number(struct span host)
{
	struct span label;
	uint64_t v;
	size_t i;

	if (host.n && host.p[host.n - 1] == '.')
		host.n--;
	label = last_label(host);
	for (i = 0; i < label.n && label.p[i] >= '0' && label.p[i] <= '9'; i++)
		;
	return label.n && (i == label.n || number(label, &v) == 0);
}

static int ipv4(char dst[MAIL_URL_HOST], struct span host)
{
	uint64_t part[4], whole = 0;
	unsigned n = 0, i;

	if (host.n && host.p[host.n - 1] == '.')
		host.n--;
	for (;;) {
		ptrdiff_t dot = span_find(host, '.');
		if (n == 4 || number(dot < 0 ? host : span_sub(host, 0, (size_t)dot), &part[n++]) < 0)
			return ERR_FORMAT;
		if (dot < 0)
			break;
		host = span_sub(host, (size_t)dot + 1, host.n);
	}
	for (i = 0; i + 1 < n; i++) {
		if (part[i] > 255)
			return ERR_FORMAT;
		whole |= part[i] << (24 - 8 * i);
	}
	if (part[n - 1] >= UINT64_C(1) << (8 * (5 - n)))
		return ERR_FORMAT;
	whole |= part[n - 1];
	snprintf(dst, MAIL_URL_HOST, "%u.%u.%u.%u", (unsigned)(whole >> 24) & 255, (unsigned)(whole >> 16) & 255,
		 (unsigned)(whole >> 8) & 255, (unsigned)whole & 255);
	return 0;
}

static int ipv6(char dst[MAIL_URL_HOST], struct span inside)
{
	char text[64];
	uint8_t address[16];

	if (span_copy_str(text, sizeof(text), inside) < 0 || inet_pton(AF_INET6, text, address) != 1)
		return ERR_FORMAT;
	dst[0] = '[';
	inet_ntop(AF_INET6, address, dst + 1, MAIL_URL_HOST - 2);
	strcat(dst, "]");
	return 0;
}

static int forbidden(uint8_t c)
{
	return c <= ' ' || c == 0x7f || strchr("#/:<>?@[\\]^|%", c) != NULL;
}

/* Letters of one label, as people see them. */
static void judge_label(struct span label, unsigned *odd)
{
	if (mail_script_mixed(label) != 0)
		*odd |= MAIL_URL_ODD(MIXED);
	if (mail_script_lookalike(label))
		*odd |= MAIL_URL_ODD(LOOKALIKE);
}

/* Of libidn2. */
static int result(int rc)
{
	return rc == IDN2_OK ? 0 : rc == IDN2_MALLOC ? ERR_NOMEM : ERR_FORMAT;
}

static int judge_idn(const char *ascii, unsigned *odd)
{
	struct span rest;
	char *seen = NULL, *again = NULL;
	int rc;

	/* There and back: an A-label that no mapping makes is a disguise. */
	rc = result(idn2_to_unicode_8z8z(ascii, &seen, IDN2_NONTRANSITIONAL));
	if (rc == 0)
		rc = result(idn2_to_ascii_8z(seen, &again, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL));
	if (rc == 0 && strcmp(again, ascii) != 0)
		rc = ERR_FORMAT;
	if (rc < 0)
		goto out;
	for (rest = span_str(seen); rest.n;) {
		ptrdiff_t dot = span_find(rest, '.');
		judge_label(dot < 0 ? rest : span_sub(rest, 0, (size_t)dot), odd);
		rest = dot < 0 ? span_of(NULL, 0) : span_sub(rest, (size_t)dot + 1, rest.n);
	}
	rc = 0;
out:
	idn2_free(seen);
	idn2_free(again);
	return rc;
}

/* text: the host, decoded. dst: ASCII in small letters. */
static int to_ascii(char dst[MAIL_URL_HOST], const char *text, unsigned *odd)
{
	char *made = NULL;
	size_t i, n = strlen(text);
	int plain = 1, rc = 0;

	for (i = 0; i < n; i++)
		plain &= (uint8_t)text[i] < 0x80;
	if (!plain) {
		rc = result(idn2_to_ascii_8z(text, &made, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL));
		if (rc < 0)
			return rc;
		n = strlen(made);
	}
	if (!n || n >= MAIL_URL_HOST)
		rc = ERR_FORMAT;
	else
		memcpy(dst, made ? made : text, n + 1);
	if (made && strncmp(dst, "xn--", 4) != 0 && !strstr(dst, ".xn--") && rc == 0)
		*odd |= MAIL_URL_ODD(MAPPED); /* was not ASCII, and now it is */
	idn2_free(made);
	for (i = 0; rc == 0 && i < n; i++) {
		if (dst[i] >= 'A' && dst[i] <= 'Z')
			dst[i] = (char)(dst[i] + 32);
		if (forbidden((uint8_t)dst[i]))
			rc = ERR_FORMAT;
	}
	return rc;
}

/* Labels are 1 to 63 octets; one dot may close the host, and is dropped. */
static int labels(char *host, unsigned *odd)
{
	size_t i, n = strlen(host), run = 0;

	if (n && host[n - 1] == '.') {
		host[--n] = '\0';
		*odd |= MAIL_URL_ODD(MAPPED);
	}
	for (i = 0; i <= n; i++) {
		if (i < n && host[i] != '.') {
			if (++run > LABEL)
				return ERR_FORMAT;
			continue;
		}
		if (!run)
			return ERR_FORMAT;
		run = 0;
	}
	return 0;
}

int mail_url_host(char dst[MAIL_URL_HOST], enum mail_url_kind *kind, unsigned *odd, struct span host)
{
	char text[4 * MAIL_URL_HOST], room[MAIL_URL_HOST];
	int rc = ERR_FORMAT;
	size_t n;

	*kind = MAIL_URL_NO_HOST;
	dst[0] = '\0';
	if (!host.n || host.n >= sizeof(text))
		return ERR_FORMAT;
	if (host.p[0] == '[') {
		*odd |= MAIL_URL_ODD(ADDRESS);
		*kind = MAIL_URL_IPV6;
		return host.p[host.n - 1] == ']' ? ipv6(dst, span_sub(host, 1, host.n - 2)) : ERR_FORMAT;
	}
	n = percent_decode(text, host, odd);
	text[n] = '\0';
	if (memchr(text, '\0', n))
		goto bad;
	rc = to_ascii(dst, text, odd);
	if (rc < 0)
		goto bad;
	if (ends_in_number(span_str(dst))) {
		*odd |= MAIL_URL_ODD(ADDRESS);
		*kind = MAIL_URL_IPV4;
		rc = ipv4(room, span_str(dst));
		if (rc < 0)
			goto bad;
		memcpy(dst, room, sizeof(room));
		return 0;
	}
	*kind = MAIL_URL_DOMAIN;
	rc = labels(dst, odd);
	if (rc == 0 && (strncmp(dst, "xn--", 4) == 0 || strstr(dst, ".xn--")))
		rc = judge_idn(dst, odd);
	if (rc < 0)
		goto bad;
	if (mail_url_registrable(room, dst) < 0)
		*odd |= MAIL_URL_ODD(SUFFIX);
	return 0;
bad:
	dst[0] = '\0';
	return rc;
}
