/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_campaign.h"

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"

#define NAME_MIN    1
#define NAME_MAX    64
#define NONCE_MIN   8
#define TIME_DIGITS 11

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static int is_word(uint8_t c, int dots)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || (dots && c == '.');
}

static int word_ok(struct span s, size_t min, int dots)
{
	if (s.n < min || s.n > NAME_MAX)
		return 0;
	for (size_t i = 0; i < s.n; i++)
		if (!is_word(s.p[i], dots))
			return 0;
	return 1;
}

/* Bytes of white space at the start of s: blanks, and line ends that a blank follows. -1: a line
 * end without one, which is no fold. */
static int space(struct span s)
{
	size_t i = 0;

	while (i < s.n) {
		size_t end = i;
		if (is_blank(s.p[i])) {
			i++;
			continue;
		}
		if (s.p[end] == '\r')
			end++;
		if (end >= s.n || s.p[end] != '\n')
			return s.p[i] == '\r' ? -1 : (int)i;
		if (end + 1 >= s.n || !is_blank(s.p[end + 1]))
			return -1;
		i = end + 1;
	}
	return (int)i;
}

static struct span trim(struct span s)
{
	while (s.n && (is_blank(s.p[0]) || s.p[0] == '\r' || s.p[0] == '\n'))
		s = span_sub(s, 1, s.n);
	while (s.n && (is_blank(s.p[s.n - 1]) || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\n'))
		s.n--;
	return s;
}

/* Takes "tag=value" from the front of rest, and the ";" and white space behind it unless last. */
static int take(struct span *rest, const char *tag, int last, struct span *value)
{
	size_t n = strlen(tag), end = n + 1;
	int blank;

	if (rest->n <= n || memcmp(rest->p, tag, n) != 0 || rest->p[n] != '=')
		return ERR_FORMAT;
	while (end < rest->n && is_word(rest->p[end], 1))
		end++;
	*value = span_sub(*rest, n + 1, end - n - 1);
	*rest = span_sub(*rest, end, rest->n);
	if (last)
		return rest->n ? ERR_FORMAT : 0;
	if (!rest->n || rest->p[0] != ';')
		return ERR_FORMAT;
	*rest = span_sub(*rest, 1, rest->n);
	blank = space(*rest);
	if (blank < 1)
		return ERR_FORMAT;
	*rest = span_sub(*rest, (size_t)blank, rest->n);
	return 0;
}

/* One number has one spelling, or two headers with different bytes would have the same MAC. */
static int number(struct span s, uint64_t max, uint64_t *out)
{
	if (s.n == 0 || s.p[0] == '0' || num_parse_u64(s, out) != 0 || *out > max)
		return ERR_FORMAT;
	return 0;
}

static int values_ok(const struct mail_campaign *c)
{
	return word_ok(c->id, NAME_MIN, 1) && word_ok(c->kid, NAME_MIN, 1) &&
	       word_ok(c->nonce, NONCE_MIN, 0) && c->version > 0 && c->time > 0 &&
	       c->time <= INT64_C(99999999999);
}

int mail_campaign_parse(struct span value, struct mail_campaign *c)
{
	struct span rest = trim(value), v, version, time, mac;
	uint64_t n;

	if (take(&rest, "v", 0, &v) != 0 || take(&rest, "id", 0, &c->id) != 0 ||
	    take(&rest, "ver", 0, &version) != 0 || take(&rest, "t", 0, &time) != 0 ||
	    take(&rest, "n", 0, &c->nonce) != 0 || take(&rest, "kid", 0, &c->kid) != 0 ||
	    take(&rest, "mac", 1, &mac) != 0)
		return ERR_FORMAT;
	if (!span_equal(v, SPAN_LIT("1")) || number(version, UINT32_MAX, &n) != 0)
		return ERR_FORMAT;
	c->version = (uint32_t)n;
	if (time.n > TIME_DIGITS || number(time, INT64_MAX, &n) != 0)
		return ERR_FORMAT;
	c->time = (int64_t)n;
	if (hex_b64url_decode(c->mac, sizeof(c->mac), mac) != MAIL_CAMPAIGN_MAC)
		return ERR_FORMAT;
	return values_ok(c) ? 0 : ERR_FORMAT;
}

int mail_campaign_format(struct buf *out, const struct mail_campaign *c)
{
	char mac[HEX_B64_SIZE(MAIL_CAMPAIGN_MAC)];

	if (!values_ok(c))
		return ERR_FORMAT;
	hex_b64url_encode(mac, c->mac, sizeof(c->mac));
	return buf_putf(out, "v=1; id=%.*s; ver=%u; t=%lld; n=%.*s; kid=%.*s; mac=%s", (int)c->id.n,
			(const char *)c->id.p, c->version, (long long)c->time, (int)c->nonce.n,
			(const char *)c->nonce.p, (int)c->kid.n, (const char *)c->kid.p, mac);
}

static struct span without_brackets(struct span path)
{
	if (path.n >= 2 && path.p[0] == '<' && path.p[path.n - 1] == '>')
		return span_sub(path, 1, path.n - 2);
	return path;
}

/* LF divides the fields, so no field may hold one; the other controls have no business there
 * either. */
static int clean(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return 0;
	return 1;
}

int mail_campaign_input(struct buf *out, const struct mail_campaign *c, struct span sender,
			struct span recipient, struct span message_id)
{
	sender = without_brackets(sender);
	recipient = without_brackets(recipient);
	message_id = trim(message_id);
	if (!values_ok(c) || !recipient.n || !message_id.n || !clean(sender) || !clean(recipient) ||
	    !clean(message_id))
		return ERR_FORMAT;
	if (sender.n + recipient.n + message_id.n > MAIL_CAMPAIGN_INPUT_MAX - 256)
		return ERR_LIMIT;
	buf_putf(out, "dp-camp-1\n%.*s\n%u\n%lld\n%.*s\n", (int)c->id.n, (const char *)c->id.p,
		 c->version, (long long)c->time, (int)c->nonce.n, (const char *)c->nonce.p);
	buf_put_span(out, sender);
	buf_put(out, "\n", 1);
	buf_put_span(out, recipient);
	buf_put(out, "\n", 1);
	return buf_put_span(out, message_id);
}

int mail_campaign_fresh(const struct mail_campaign *c, int64_t now)
{
	int64_t age = now / CLOCK_SEC - c->time;

	return age >= -MAIL_CAMPAIGN_WINDOW && age <= MAIL_CAMPAIGN_WINDOW;
}
