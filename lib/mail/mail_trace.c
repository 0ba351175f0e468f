/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_trace.h"

#include <stdio.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"

#define ID_LENGTH    13
#define TID_LENGTH   16
#define CONSENT_LAST 16

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span s)
{
	while (s.n && is_blank(s.p[0]))
		s = span_sub(s, 1, s.n);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Takes "tag=value" from the front, and what divides it from the next. 1: taken; 0: another tag stands there. */
static int take(struct span *rest, const char *tag, struct span *value)
{
	size_t n = strlen(tag), end;

	if (rest->n <= n || memcmp(rest->p, tag, n) != 0 || rest->p[n] != '=')
		return 0;
	for (end = n + 1; end < rest->n && rest->p[end] != ';' && !is_blank(rest->p[end]); end++)
		;
	*value = span_sub(*rest, n + 1, end - n - 1);
	*rest = span_sub(*rest, end, rest->n);
	if (!rest->n)
		return 1;
	if (rest->p[0] != ';' || rest->n < 3 || !is_blank(rest->p[1]))
		return ERR_FORMAT;
	*rest = trim(span_sub(*rest, 1, rest->n));
	return 1;
}

static int name_ok(struct span s, size_t max)
{
	if (s.n == 0 || s.n > max)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		      c == '-' || c == '/'))
			return 0;
	}
	return 1;
}

static int consent_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 'a' || s.p[i] > 'z')
			return 0;
	return s.n && s.n <= CONSENT_LAST;
}

static int tid_parse(struct span s, uint64_t *tid)
{
	uint8_t raw[8];

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] >= 'A' && s.p[i] <= 'Z')
			return ERR_FORMAT;
	if (s.n != TID_LENGTH || hex_decode(raw, sizeof(raw), s) != sizeof(raw))
		return ERR_FORMAT;
	*tid = num_get_u64(raw);
	return *tid ? 0 : ERR_FORMAT;
}

static int tokens(struct span *rest, struct mail_trace *t)
{
	struct span tid, number;
	uint64_t n;
	int r = take(rest, "tid", &tid);

	if (r <= 0)
		return r;
	if (take(rest, "num", &number) != 1 || take(rest, "consent", &t->consent) != 1 ||
	    tid_parse(tid, &t->tid) != 0 || number.n == 0 || number.p[0] == '0' ||
	    num_parse_u64(number, &n) != 0 || n > UINT32_MAX || !consent_ok(t->consent))
		return ERR_FORMAT;
	t->number = (uint32_t)n;
	return 0;
}

int mail_trace_parse(struct span value, struct mail_trace *t)
{
	struct span rest = trim(value), v;
	int r;

	memset(t, 0, sizeof(*t));
	if (take(&rest, "v", &v) != 1 || !span_equal(v, SPAN_LIT("1")) || take(&rest, "customer", &t->customer) != 1 ||
	    take(&rest, "id", &t->id) != 1)
		return ERR_FORMAT;
	r = take(&rest, "campaign", &t->campaign);
	if (r < 0 || (r && !name_ok(t->campaign, MAIL_TRACE_NAME)) || tokens(&rest, t) < 0)
		return ERR_FORMAT;
	r = take(&rest, "tls", &v);
	if (r < 0 || (r && !span_equal(v, SPAN_LIT("verify"))))
		return ERR_FORMAT;
	t->verify = r;
	return rest.n || !name_ok(t->customer, MAIL_TRACE_NAME) || !name_ok(t->id, ID_LENGTH) || t->id.n != ID_LENGTH
		   ? ERR_FORMAT
		   : 0;
}

int mail_trace_format(char dst[MAIL_TRACE_MAX], const struct mail_trace *t)
{
	size_t n, room = MAIL_TRACE_MAX;

	if (!name_ok(t->customer, MAIL_TRACE_NAME) || t->id.n != ID_LENGTH ||
	    (t->campaign.n && !name_ok(t->campaign, MAIL_TRACE_NAME)) || (t->tid && !consent_ok(t->consent)))
		return ERR_LIMIT;
	n = (size_t)snprintf(dst, room, "v=1; customer=%.*s; id=%.*s", (int)t->customer.n, (const char *)t->customer.p,
			     (int)t->id.n, (const char *)t->id.p);
	if (t->campaign.n)
		n += (size_t)snprintf(dst + n, room - n, "; campaign=%.*s", (int)t->campaign.n,
				      (const char *)t->campaign.p);
	if (t->tid)
		n += (size_t)snprintf(dst + n, room - n, "; tid=%016llx; num=%u; consent=%.*s",
				      (unsigned long long)t->tid, t->number, (int)t->consent.n,
				      (const char *)t->consent.p);
	if (t->verify)
		n += (size_t)snprintf(dst + n, room - n, "; tls=verify");
	return (int)n;
}
