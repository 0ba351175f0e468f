/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and addresses: whose they are. */
#include <stdio.h>

#include "campaign/camp_field.h"
#include "campaign/camp_lint_own.h"
#include "campaign/camp_owner.h"
#include "core/err.h"

/* Whoever may click does not see where these lead, and who registers a campaign can turn them elsewhere later. */
static const char *const shorteners[] = {
	"adf.ly",  "bit.do",  "bit.ly",	  "bitly.com", "bl.ink",   "buff.ly",	 "chilp.it",   "clck.ru",   "cli.gs",
	"cutt.ly", "db.tt",   "dlvr.it",  "fb.me",     "git.io",   "goo.gl",	 "hyperurl.co", "ift.tt",   "is.gd",
	"j.mp",	   "lnk.bio", "lnkd.in",  "mcaf.ee",   "ouo.io",   "ow.ly",	 "page.link",  "po.st",	    "qr.ae",
	"qr.net",  "rb.gy",   "rebrand.ly", "s.coop",  "s.id",	   "shorte.st",	 "shorturl.at", "short.io", "smarturl.it",
	"snip.ly", "su.pr",   "t.co",	  "t.ly",      "t.me",	   "tiny.cc",	 "tinyurl.com", "tr.im",    "trib.al",
	"u.to",	   "urlz.fr", "v.gd",	  "vk.cc",     "wp.me",	   "x.co",	 "youtu.be",   "zpr.io",
};

int camp_lint_is_shortener(const char *host)
{
	size_t i, n = strlen(host);

	for (i = 0; i < sizeof(shorteners) / sizeof(*shorteners); i++) {
		size_t k = strlen(shorteners[i]);
		if (n >= k && strcmp(host + n - k, shorteners[i]) == 0 && (n == k || host[n - k - 1] == '.'))
			return 1;
	}
	return 0;
}

static json_t *hosts_of(const struct camp_lint_run *r)
{
	return json_object_get(r->top, "hosts");
}

int camp_lint_owns(const struct camp_lint_run *r, const char *host)
{
	json_t *v;
	size_t i;

	json_array_foreach(hosts_of(r), i, v)
		if (strcmp(json_string_value(v), host) == 0)
			return 1;
	return 0;
}

int camp_lint_verified(const struct camp_lint_run *r, const char *host)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(r->top, "owned"), i, v)
		if (camp_owner_covers(json_string_value(v), host))
			return 1;
	return 0;
}

int camp_lint_same_site(const char *a, const char *b)
{
	char x[MAIL_URL_HOST], y[MAIL_URL_HOST];

	if (strcmp(a, b) == 0)
		return 1;
	return mail_url_registrable(x, a) == 0 && mail_url_registrable(y, b) == 0 && strcmp(x, y) == 0;
}

static const char *domain_of(json_t *address)
{
	const char *addr = json_string_value(json_object_get(address, "addr"));
	const char *at = addr ? strrchr(addr, '@') : NULL;

	return at ? at + 1 : "";
}

int camp_lint_related(const struct camp_lint_run *r, const char *host)
{
	char from[MAIL_URL_HOST];
	enum mail_url_kind kind;
	unsigned odd = 0;
	json_t *v;
	size_t i;

	json_array_foreach(hosts_of(r), i, v)
		if (camp_lint_same_site(json_string_value(v), host))
			return 1;
	return mail_url_host(from, &kind, &odd, span_str(domain_of(json_object_get(r->top, "from")))) == 0 &&
	       camp_lint_same_site(from, host);
}

/* Findings for the odd bits of a host; how many there are. */
static unsigned odd_host(struct camp_lint_run *r, const char *part, unsigned odd)
{
	unsigned i, n = 0;

	for (i = 0; i < MAIL_URL_BIT_COUNT; i++) {
		if (odd & (1u << i)) {
			CAMP_LINT_ERROR(r, mail_url_odd_name(i), part, "%s", mail_url_odd_text(i));
			n++;
		}
	}
	return n;
}

static void one_host(struct camp_lint_run *r, const char *part, const char *text)
{
	char host[MAIL_URL_HOST];
	enum mail_url_kind kind;
	unsigned odd = 0;

	if (strpbrk(text, "*/:@ ") || mail_url_host(host, &kind, &odd, span_str(text)) < 0) {
		CAMP_LINT_ERROR(r, "host-name", part, "%s is no host name; write shop.example, without wildcard, port or path",
				text);
		return;
	}
	if (odd_host(r, part, odd))
		return;
	if (strcmp(host, text) != 0)
		CAMP_LINT_ERROR(r, "host-name", part, "write it as %s", host);
	if (camp_lint_is_shortener(host))
		CAMP_LINT_ERROR(r, "url-shortener", part, "%s shortens links: nobody sees where they lead", host);
	if (!camp_lint_verified(r, host))
		CAMP_LINT_ERROR(r, "host-not-owned", part, "%s " CAMP_LINT_UNVERIFIED, host);
}

void camp_lint_hosts(struct camp_lint_run *r)
{
	char part[64];
	json_t *v;
	size_t i;

	json_array_foreach(hosts_of(r), i, v) {
		snprintf(part, sizeof(part), "hosts[%zu]", i);
		one_host(r, part, json_string_value(v));
	}
}

/* A plain dot-atom address; what else RFC 5322 permits no campaign needs. 1 if it is one. */
static int plain_address(const char *addr)
{
	const char *p, *at = strrchr(addr, '@');

	if (!at || at == addr || at - addr > 64 || !at[1] || strchr(addr, '@') != at)
		return 0;
	for (p = addr; p < at; p++)
		if (!(((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') || (*p >= '0' && *p <= '9') || strchr("!#$%&'*+/=?^_`{|}~.-", *p)))
			return 0;
	return addr[0] != '.' && at[-1] != '.' && !strstr(addr, "..");
}

static void mailbox(struct camp_lint_run *r, const char *which)
{
	json_t *v = json_object_get(r->top, which);
	const char *addr = json_string_value(json_object_get(v, "addr"));
	struct span name = span_str(json_string_value(json_object_get(v, "name")));
	char part[32], host[MAIL_URL_HOST];
	enum mail_url_kind kind;
	unsigned odd = 0;

	if (!json_is_object(v) || !addr || !name.p)
		return;
	snprintf(part, sizeof(part), "%s.addr", which);
	if (!plain_address(addr) || mail_url_host(host, &kind, &odd, span_str(domain_of(v))) < 0)
		CAMP_LINT_ERROR(r, "address", part, "no address of a mailbox");
	else if (!odd_host(r, part, odd) && !camp_lint_owns(r, host) && json_array_size(hosts_of(r))) {
		json_t *h;
		size_t i;
		int same = 0;
		json_array_foreach(hosts_of(r), i, h)
			same |= camp_lint_same_site(json_string_value(h), host);
		if (!same)
			CAMP_LINT_WARN(r, "address-foreign", part, "%s and the hosts of the links are of different domains", host);
	}
	snprintf(part, sizeof(part), "%s.name", which);
	if (name.n && camp_field_text(name) != CAMP_PASS)
		CAMP_LINT_ERROR(r, "display-name", part,
				"a name with an address, a link, invisible characters or letters of several scripts");
}

void camp_lint_sender(struct camp_lint_run *r)
{
	mailbox(r, "from");
	mailbox(r, "reply_to");
}
