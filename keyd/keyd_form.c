/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_form.h"

#include "keyproto/keyproto_msg.h"

#define ED25519_INPUT 32 /* SHA-256 of what RS256 would have been given */

/* Two base64url strings with a dot between: what a JWT's signature is over. */
static int like_jwt(struct span text)
{
	unsigned dots = 0;

	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		dots += c == '.';
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_' || c == '.'))
			return 0;
	}
	return dots == 1;
}

static int begins(struct span s, struct span with)
{
	return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

static int ends(struct span s, struct span with)
{
	return s.n >= with.n && memcmp(s.p + s.n - with.n, with.p, with.n) == 0;
}

/* Length of the name in front of the colon, in small letters; 0: none. */
static size_t name_of(struct span line)
{
	size_t n = 0;

	while (n < line.n && line.p[n] != ':') {
		if (line.p[n] <= ' ' || line.p[n] > '~' || (line.p[n] >= 'A' && line.p[n] <= 'Z'))
			return 0;
		n++;
	}
	return n < line.n ? n : 0;
}

/* One header as "relaxed" leaves it: no space at either end of the value, and no two of them. */
static int relaxed(struct span line)
{
	size_t n = name_of(line);
	struct span value = span_sub(line, n + 1, line.n);

	if (n == 0 || (value.n && value.p[value.n - 1] == ' '))
		return 0;
	for (size_t i = 0; i < value.n; i++) {
		uint8_t c = value.p[i];
		if (c == '\0' || c == '\t' || c == '\r' || c == '\n')
			return 0;
		if (c == ' ' && (i == 0 || value.p[i - 1] == ' '))
			return 0;
	}
	return 1;
}

static int like_dkim_headers(struct span data)
{
	struct span line;
	ptrdiff_t lf;

	while ((lf = span_find(data, '\n')) > 0) {
		if (data.p[lf - 1] != '\r' || !relaxed(span_sub(data, 0, (size_t)lf - 1)))
			return 0;
		data = span_sub(data, (size_t)lf + 1, data.n);
	}
	line = data;
	return lf < 0 && relaxed(line) && begins(line, SPAN_LIT("dkim-signature:v=1;")) &&
	       (ends(line, SPAN_LIT("; b=")) || ends(line, SPAN_LIT(";b=")));
}

static int like_dkim(unsigned alg, struct span data)
{
	if (alg == KEYPROTO_ALG_ED25519)
		return data.n == ED25519_INPUT;
	return like_dkim_headers(data);
}

int keyd_form_ok(struct span label, unsigned alg, struct span data)
{
	if (begins(label, SPAN_LIT("dkim/")))
		return (alg == KEYPROTO_ALG_RS256 || alg == KEYPROTO_ALG_ED25519) &&
		       like_dkim(alg, data);
	if (like_dkim(alg, data) || like_dkim_headers(data))
		return 0;
	return !begins(label, SPAN_LIT("tls/")) || !like_jwt(data);
}
