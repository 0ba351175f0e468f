/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_dnsmsg.h"

#include "core/err.h"
#include "core/num.h"

enum { HEADER = 12, JUMPS_MAX = 16, TYPE_CNAME = 5, CLASS_IN = 1 };

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

static int take_mx(struct span m, size_t at, size_t length, struct out_dnsmsg *out)
{
	struct out_mx_host *h = &out->mx[out->count];
	int rc;

	if (length < 3)
		return ERR_FORMAT;
	h->preference = num_get_u16(m.p + at);
	rc = read_name(m, at + 2, h->name);
	if (rc < 0)
		return rc;
	if (rc == 0)
		out->void_records++;
	else
		out->count++;
	return 0;
}

static int take_address(struct span m, size_t at, size_t length, int type, struct out_dnsmsg *out)
{
	size_t want = type == OUT_DNSMSG_A ? 4 : 16;

	if (length != want)
		return ERR_FORMAT;
	memcpy(out->addresses[out->count++], m.p + at, want);
	return 0;
}

/* One record at *at; moves on. */
static int take_record(struct span m, size_t *at, int type, struct out_dnsmsg *out)
{
	int n = skip_name(m, *at), err = 0;
	size_t head = *at + (size_t)(n > 0 ? n : 0), length;
	uint32_t ttl;

	if (n < 0 || head + 10 > m.n)
		return ERR_FORMAT;
	length = num_get_u16(m.p + head + 8);
	if (head + 10 + length > m.n)
		return ERR_FORMAT;
	*at = head + 10 + length;
	if (num_get_u16(m.p + head + 2) != CLASS_IN)
		return 0;
	ttl = num_get_u32(m.p + head + 4);
	if (ttl > INT32_MAX) /* RFC 2181 8 */
		ttl = 0;
	if (num_get_u16(m.p + head) == type && out->count < OUT_DNSMSG_RECORDS)
		err = type == OUT_DNSMSG_MX ? take_mx(m, head + 10, length, out)
					    : take_address(m, head + 10, length, type, out);
	else if (num_get_u16(m.p + head) != TYPE_CNAME)
		return 0;
	if (ttl < out->ttl)
		out->ttl = ttl;
	return err;
}

int out_dnsmsg_parse(struct span m, int type, struct out_dnsmsg *out)
{
	size_t at = HEADER;
	unsigned questions, answers;

	out->count = out->void_records = 0;
	out->ttl = UINT32_MAX;
	if (m.n < HEADER || m.n > 65535)
		return ERR_FORMAT;
	out->rcode = m.p[3] & 0x0f;
	questions = num_get_u16(m.p + 4);
	answers = num_get_u16(m.p + 6);
	while (questions--) {
		int n = skip_name(m, at);
		if (n < 0 || at + (size_t)n + 4 > m.n)
			return ERR_FORMAT;
		at += (size_t)n + 4;
	}
	while (answers--)
		if (take_record(m, &at, type, out) < 0)
			return ERR_FORMAT;
	if (out->ttl == UINT32_MAX)
		out->ttl = 0;
	return 0;
}
