/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_dnsmsg.h"

#include "core/err.h"
#include "core/num.h"

enum { HEADER = 12, JUMPS_MAX = 16, TYPE_RRSIG = 46, CLASS_IN = 1 };

struct reader {
	struct span m;
	int type;
	char name[OUT_MX_NAME]; /* where the chain of CNAMEs stands; "": lost */
	struct out_dnsmsg *out;
};

/* Length of the name at offset at, in place (a pointer ends it). */
static int skip_name(struct span m, size_t at)
{
	size_t from = at;

	while (at < m.n) {
		uint8_t c = m.p[at];
		if (c == 0)
			return (int)(at + 1 - from);
		if ((c & 0xc0) == 0xc0)
			return at + 2 <= m.n ? (int)(at + 2 - from) : ERR_FORMAT;
		if (c & 0xc0)
			return ERR_FORMAT;
		at += (size_t)c + 1;
	}
	return ERR_FORMAT;
}

/* Letters folded to lower case; 0 for what no host name has. */
static char host_octet(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c | 0x20);
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return (char)c;
	return 0;
}

/* The name at offset at as text: 1 taken, 0 not a host name, ERR_FORMAT. */
static int read_name(struct span m, size_t at, char dst[OUT_MX_NAME])
{
	size_t n = 0, limit = at + 1;
	int good = 1, jumps = 0;

	while (at < m.n) {
		uint8_t c = m.p[at];
		if (c == 0) {
			dst[n] = '\0';
			return good;
		}
		if ((c & 0xc0) == 0xc0) {
			if (at + 2 > m.n || ++jumps > JUMPS_MAX)
				return ERR_FORMAT;
			at = (size_t)(c & 0x3f) << 8 | m.p[at + 1];
			if (at >= limit) /* only backwards: no circles */
				return ERR_FORMAT;
			limit = at;
			continue;
		}
		if ((c & 0xc0) || at + 1 + c > m.n || n + c + 2 > OUT_MX_NAME)
			return ERR_FORMAT;
		if (n)
			dst[n++] = '.';
		for (size_t i = 0; i < c; i++) {
			dst[n] = host_octet(m.p[at + 1 + i]);
			good &= dst[n++] != 0;
		}
		at += (size_t)c + 1;
	}
	return ERR_FORMAT;
}

/* --- one record's data: 1 taken, 0 void, ERR_FORMAT */

static int take_mx(struct reader *r, size_t at, size_t length)
{
	struct out_mx_host *h = &r->out->mx[r->out->count];

	if (length < 3)
		return ERR_FORMAT;
	h->preference = num_get_u16(r->m.p + at);
	return read_name(r->m, at + 2, h->name);
}

static int take_a(struct reader *r, size_t at, size_t length)
{
	if (length != 4)
		return ERR_FORMAT;
	memcpy(r->out->addresses[r->out->count], r->m.p + at, 4);
	return 1;
}

static int take_aaaa(struct reader *r, size_t at, size_t length)
{
	if (length != 16)
		return ERR_FORMAT;
	memcpy(r->out->addresses[r->out->count], r->m.p + at, 16);
	return 1;
}

static int take_txt(struct reader *r, size_t at, size_t length)
{
	struct out_dnsmsg_txt *t = &r->out->txt[r->out->count];
	size_t end = at + length;

	t->len = 0;
	if (length == 0)
		return 0;
	while (at < end) {
		size_t n = r->m.p[at++];
		if (n > end - at || t->len + n >= sizeof(t->text))
			return 0;
		memcpy(t->text + t->len, r->m.p + at, n);
		t->len = (uint16_t)(t->len + n);
		at += n;
	}
	t->text[t->len] = '\0';
	return 1;
}

static int take_tlsa(struct reader *r, size_t at, size_t length)
{
	struct out_dnsmsg_tlsa *t = &r->out->tlsa[r->out->count];

	if (length < 4 || length - 3 > sizeof(t->data))
		return 0;
	t->usage = r->m.p[at];
	t->selector = r->m.p[at + 1];
	t->match = r->m.p[at + 2];
	t->len = (uint16_t)(length - 3);
	memcpy(t->data, r->m.p + at + 3, t->len);
	return 1;
}

static const struct kind {
	int type;
	unsigned most;
	int (*take)(struct reader *r, size_t at, size_t length);
} kinds[] = {
    {OUT_DNSMSG_A, OUT_DNSMSG_RECORDS, take_a},
    {OUT_DNSMSG_MX, OUT_DNSMSG_RECORDS, take_mx},
    {OUT_DNSMSG_TXT, OUT_DNSMSG_TXTS, take_txt},
    {OUT_DNSMSG_AAAA, OUT_DNSMSG_RECORDS, take_aaaa},
    {OUT_DNSMSG_TLSA, OUT_DNSMSG_TLSAS, take_tlsa},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static int take(struct reader *r, size_t at, size_t length)
{
	static const struct kind other = {0, OUT_DNSMSG_RECORDS, NULL};
	const struct kind *k = &other;
	int rc;

	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].type == r->type)
			k = &kinds[i];
	if (r->out->count >= k->most)
		return 0;
	rc = k->take ? k->take(r, at, length) : 1;
	if (rc < 0)
		return rc;
	if (rc)
		r->out->count++;
	else
		r->out->void_records++;
	return 0;
}

/* The record owned by the name at owner may be the next link of the chain. */
static int follow(struct reader *r, size_t owner, size_t at)
{
	char name[OUT_MX_NAME];
	int rc = read_name(r->m, owner, name);

	if (rc < 0)
		return rc;
	if (rc == 0 || !r->name[0] || strcmp(name, r->name) != 0)
		return 0;
	rc = read_name(r->m, at, name);
	if (rc < 0)
		return rc;
	if (rc == 0) {
		r->out->void_records++;
		name[0] = '\0';
	}
	memcpy(r->name, name, sizeof(name));
	memcpy(r->out->canonical, name, sizeof(name));
	r->out->count += rc && r->type == OUT_DNSMSG_CNAME;
	return 0;
}

/* --- the message */

/* One record at *at; moves on. */
static int take_record(struct reader *r, size_t *at)
{
	size_t owner = *at, head, length;
	int n = skip_name(r->m, owner), type, err;
	uint32_t ttl;

	head = owner + (size_t)(n > 0 ? n : 0);
	if (n < 0 || head + 10 > r->m.n)
		return ERR_FORMAT;
	length = num_get_u16(r->m.p + head + 8);
	if (head + 10 + length > r->m.n)
		return ERR_FORMAT;
	*at = head + 10 + length;
	if (num_get_u16(r->m.p + head + 2) != CLASS_IN)
		return 0;
	type = num_get_u16(r->m.p + head);
	r->out->signatures += type == TYPE_RRSIG;
	if (type == OUT_DNSMSG_CNAME)
		err = follow(r, owner, head + 10);
	else if (type == r->type)
		err = take(r, head + 10, length);
	else
		return 0;
	ttl = num_get_u32(r->m.p + head + 4);
	if (ttl > INT32_MAX) /* RFC 2181 8 */
		ttl = 0;
	if (ttl < r->out->ttl)
		r->out->ttl = ttl;
	return err;
}

static int read_question(struct reader *r, size_t *at)
{
	int n = skip_name(r->m, *at), rc;

	if (n < 0 || *at + (size_t)n + 4 > r->m.n)
		return ERR_FORMAT;
	rc = read_name(r->m, *at, r->name);
	if (rc <= 0)
		r->name[0] = '\0';
	*at += (size_t)n + 4;
	return rc < 0 ? rc : 0;
}

int out_dnsmsg_parse(struct span m, int type, struct out_dnsmsg *out)
{
	struct reader r = {.m = m, .type = type, .out = out};
	size_t at = HEADER;
	unsigned questions, answers;

	out->count = out->void_records = out->signatures = 0;
	out->ttl = UINT32_MAX;
	out->canonical[0] = '\0';
	if (m.n < HEADER || m.n > 65535)
		return ERR_FORMAT;
	out->rcode = m.p[3] & 0x0f;
	questions = num_get_u16(m.p + 4);
	answers = num_get_u16(m.p + 6);
	while (questions--)
		if (read_question(&r, &at) < 0)
			return ERR_FORMAT;
	while (answers--)
		if (take_record(&r, &at) < 0)
			return ERR_FORMAT;
	if (out->ttl == UINT32_MAX)
		out->ttl = 0;
	return 0;
}
