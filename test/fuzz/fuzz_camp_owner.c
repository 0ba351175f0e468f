/* SPDX-License-Identifier: Apache-2.0 */
/* Domains of customers, in two lines. The first is a domain as somebody writes it: what is taken is a host name that stays as
 * it is when it is read again, and covers itself. The second is a host: what covers it is the host or stands behind a dot at
 * its end. And both as TXT records: neither proves a challenge that is not its own end. */
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_owner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static void covers(const char *domain, struct span line)
{
	char host[1024];
	size_t n = strlen(domain);

	if (!line.n || line.n >= sizeof(host) || memchr(line.p, 0, line.n))
		return;
	memcpy(host, line.p, line.n);
	host[line.n] = '\0';
	if (camp_owner_covers(domain, host))
		must(line.n >= n && !strcmp(host + line.n - n, domain) && (line.n == n || host[line.n - n - 1] == '.'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char challenge[] = "0123456789abcdef0123456789abcdef";
	struct span lines[2] = {span_of(data, size), span_of(NULL, 0)};
	ptrdiff_t end = span_find(lines[0], '\n');
	char domain[MAIL_URL_HOST], again[MAIL_URL_HOST], name[CAMP_OWNER_NAME];
	const char *why = NULL;

	if (end >= 0) {
		lines[1] = span_sub(lines[0], (size_t)end + 1, size);
		lines[0] = span_sub(lines[0], 0, (size_t)end);
	}
	if (camp_owner_judge(lines, 2, challenge) == CAMP_OWNER_FOUND)
		must(memmem(data, size, challenge, sizeof(challenge) - 1) != NULL);
	if (camp_owner_domain(domain, lines[0], &why) < 0) {
		must(why && *why);
		return 0;
	}
	must(camp_owner_domain(again, span_str(domain), &why) == 0 && !strcmp(again, domain));
	must(domain[strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789-.")] == '\0' && strchr(domain, '.'));
	must(camp_owner_covers(domain, domain));
	camp_owner_name(name, domain);
	must(strlen(name) <= 253);
	covers(domain, lines[1]);
	return 0;
}
