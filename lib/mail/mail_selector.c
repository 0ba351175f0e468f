/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_selector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/hex.h"

#define KEY_MAX	   1024 /* octets of p= */
#define STRING_MAX 255
#define ED25519	   32

static const char *const types[] = {[MAIL_SELECTOR_RSA] = "rsa",
				    [MAIL_SELECTOR_ED25519] = "ed25519"};
static const char letters[] = {[MAIL_SELECTOR_RSA] = 'r', [MAIL_SELECTOR_ED25519] = 'e'};

const char *mail_selector_type_name(enum mail_selector_type type)
{
	return types[type];
}

static const char *const words[] = {
#define MAIL_SELECTOR_X(sym, word, text) word,
    MAIL_SELECTOR_VERDICTS(MAIL_SELECTOR_X)
#undef MAIL_SELECTOR_X
};
static const char *const texts[] = {
#define MAIL_SELECTOR_X(sym, word, text) text,
    MAIL_SELECTOR_VERDICTS(MAIL_SELECTOR_X)
#undef MAIL_SELECTOR_X
};

const char *mail_selector_verdict_word(enum mail_selector_verdict v)
{
	return words[v];
}

const char *mail_selector_verdict_text(enum mail_selector_verdict v)
{
	return texts[v];
}

int mail_selector_format(char out[MAIL_SELECTOR_MAX], const char *prefix, uint32_t version,
			 enum mail_selector_type type)
{
	int n = snprintf(out, MAIL_SELECTOR_MAX, "%s%" PRIu32 "%c", prefix, version, letters[type]);

	return n < MAIL_SELECTOR_MAX ? 0 : ERR_LIMIT;
}

int mail_selector_name(char out[MAIL_SELECTOR_NAME_MAX], const char *selector, const char *domain)
{
	int n = snprintf(out, MAIL_SELECTOR_NAME_MAX, "%s._domainkey.%s", selector, domain);

	return n < MAIL_SELECTOR_NAME_MAX ? 0 : ERR_LIMIT;
}

int mail_selector_prefix_ok(const char *s)
{
	size_t n = strlen(s);

	if (n < 1 || n > MAIL_SELECTOR_PREFIX_MAX || s[0] < 'a' || s[0] > 'z')
		return 0;
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-'))
			return 0;
	return 1;
}

/* An Ed25519 key stands in DER behind 12 octets that are always the same. */
struct span mail_selector_key(enum mail_selector_type type, struct span spki)
{
	if (type == MAIL_SELECTOR_RSA)
		return spki;
	return spki.n == 12 + ED25519 ? span_sub(spki, 12, ED25519) : span_of(NULL, 0);
}

int mail_selector_text(struct buf *out, enum mail_selector_type type, struct span key)
{
	char text[HEX_B64_SIZE(KEY_MAX)];

	if (key.n > KEY_MAX)
		return ERR_LIMIT;
	hex_b64_encode(text, key.p, key.n);
	return buf_putf(out, "v=DKIM1; k=%s; p=%s", types[type], text);
}

int mail_selector_zone(struct buf *out, const char *name, struct span text)
{
	buf_putf(out, "%s. IN TXT", name);
	for (size_t at = 0; at == 0 || at < text.n; at += STRING_MAX) {
		struct span part = span_sub(text, at, STRING_MAX);
		buf_putf(out, " \"%.*s\"", (int)part.n, (const char *)part.p);
	}
	return buf_put_str(out, "\n");
}

/* --- reading: tag-list of RFC 6376 3.2 */

static int is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span s)
{
	while (s.n && is_space(s.p[0]))
		s = span_sub(s, 1, s.n);
	while (s.n && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Takes the part up to the next c, trimmed, out of *rest. */
static struct span next_part(struct span *rest, uint8_t c)
{
	ptrdiff_t at = span_find(*rest, c);
	struct span part = at < 0 ? *rest : span_sub(*rest, 0, (size_t)at);

	*rest = at < 0 ? span_of(NULL, 0) : span_sub(*rest, (size_t)at + 1, rest->n);
	return trim(part);
}

/* Tags by their letter; a span without bytes and with p NULL: not there. */
#define TAGS "vkphst"
enum { TAG_V, TAG_K, TAG_P, TAG_H, TAG_S, TAG_T, TAG_COUNT };

/* What each tag says; others are passed over, as they must be. ERR_FORMAT. */
static int tags_get(struct span text, struct span tags[TAG_COUNT])
{
	struct span rest = text;

	memset(tags, 0, TAG_COUNT * sizeof(*tags));
	for (unsigned i = 0; rest.n; i++) {
		struct span tag = next_part(&rest, ';'), name;
		ptrdiff_t eq = span_find(tag, '='), which;

		if (!tag.n && !rest.n)
			break; /* a semicolon at the end */
		if (eq < 1)
			return ERR_FORMAT;
		name = trim(span_sub(tag, 0, (size_t)eq));
		which = name.n == 1 ? span_find(SPAN_LIT(TAGS), name.p[0]) : -1;
		if (which < 0)
			continue;
		if (tags[which].p || (which == TAG_V && i > 0))
			return ERR_FORMAT; /* twice; or v= is not the first */
		tags[which] = trim(span_sub(tag, (size_t)eq + 1, tag.n));
	}
	return tags[TAG_P].p ? 0 : ERR_FORMAT;
}

/* 1 if one of the words of a list with colons between is a or b. */
static int lists(struct span list, struct span a, struct span b)
{
	while (list.n) {
		struct span word = next_part(&list, ':');
		if (span_equal_nocase(word, a) || span_equal_nocase(word, b))
			return 1;
	}
	return 0;
}

/* 1 if p=, which may be folded, is the base64 of key. */
static int is_key(struct span p, struct span key)
{
	uint8_t bytes[KEY_MAX + 3];
	char *text = malloc(p.n ? p.n : 1);
	size_t n = 0;
	int got;

	if (!text)
		return 0;
	for (size_t i = 0; i < p.n; i++)
		if (!is_space(p.p[i]))
			text[n++] = (char)p.p[i];
	got = hex_b64_decode(bytes, sizeof(bytes), span_of(text, n));
	free(text);
	return got >= 0 && span_equal(span_of(bytes, (size_t)got), key);
}

static enum mail_selector_verdict judge_one(struct span text, enum mail_selector_type type,
					    struct span key, int *testing)
{
	const struct span any = SPAN_LIT("*");
	struct span tags[TAG_COUNT], k;

	if (tags_get(text, tags) < 0 ||
	    (tags[TAG_V].p && !span_equal(tags[TAG_V], SPAN_LIT("DKIM1"))))
		return MAIL_SELECTOR_MALFORMED;
	if (!tags[TAG_P].n)
		return MAIL_SELECTOR_REVOKED;
	k = tags[TAG_K].p ? tags[TAG_K] : SPAN_LIT("rsa");
	if (!span_equal_nocase(k, span_str(types[type])) || !is_key(tags[TAG_P], key))
		return MAIL_SELECTOR_DIFFERENT;
	if ((tags[TAG_H].p && !lists(tags[TAG_H], SPAN_LIT("sha256"), SPAN_LIT("sha256"))) ||
	    (tags[TAG_S].p && !lists(tags[TAG_S], any, SPAN_LIT("email"))))
		return MAIL_SELECTOR_UNFIT;
	*testing = lists(tags[TAG_T], SPAN_LIT("y"), SPAN_LIT("y"));
	return MAIL_SELECTOR_PUBLISHED;
}

enum mail_selector_verdict mail_selector_judge(const struct span *txts, size_t count,
					       enum mail_selector_type type, struct span key,
					       int *testing)
{
	int unwanted;

	testing = testing ? testing : &unwanted;
	*testing = 0;
	if (count == 0)
		return MAIL_SELECTOR_MISSING;
	return count > 1 ? MAIL_SELECTOR_MULTIPLE : judge_one(txts[0], type, key, testing);
}
