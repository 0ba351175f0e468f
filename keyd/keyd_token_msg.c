/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_token_msg.h"

#include "core/err.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define GCM_BLOB (12 + KEYD_TOKEN_KEY + 16) /* nonce, key, tag */
#define RSA_MIN	 256			    /* 2048 bits */

static const struct {
	int err;
	const char *text;
} whys[] = {
#define KEYD_TOKEN_X(sym, num, err, text) [num] = {err, text},
    KEYD_TOKEN_WHYS(KEYD_TOKEN_X)
#undef KEYD_TOKEN_X
};
#define WHYS (sizeof(whys) / sizeof(whys[0]))

int keyd_token_msg_err(unsigned why)
{
	return whys[why < WHYS ? why : KEYD_TOKEN_HELPER_BROKEN].err;
}

const char *keyd_token_msg_text(unsigned why)
{
	return whys[why < WHYS ? why : KEYD_TOKEN_HELPER_BROKEN].text;
}

static int contains(struct span s, const char *word)
{
	return s.n && memmem(s.p, s.n, word, strlen(word)) != NULL;
}

/* An attribute begins after the scheme or after one of the separators. */
static int has_attribute(struct span uri, const char *name)
{
	static const char *const before[] = {":", ";", "?", "&"};
	char word[32];
	size_t n = strlen(name);

	for (unsigned i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		word[0] = before[i][0];
		memcpy(word + 1, name, n + 1);
		if (contains(uri, word))
			return 1;
	}
	return 0;
}

const char *keyd_token_uri_check(struct span uri)
{
	if (uri.n > KEYD_TOKEN_URI_MAX)
		return "the URI is too long";
	if (uri.n < 7 || memcmp(uri.p, "pkcs11:", 7) != 0)
		return "a URI of a token begins with pkcs11:";
	for (size_t i = 0; i < uri.n; i++)
		if (uri.p[i] <= ' ' || uri.p[i] >= 0x7f || uri.p[i] == '"' || uri.p[i] == '\\')
			return "a URI has no spaces, quotes or bytes beyond ASCII";
	if (contains(uri, "pin-value") || contains(uri, "pin-source"))
		return "a URI here holds no PIN";
	if (!has_attribute(uri, "object=") && !has_attribute(uri, "id="))
		return "the URI does not name the key (object= or id=)";
	return NULL;
}

static int blob_ok(unsigned kind, size_t n)
{
	if (kind == KEYD_TOKEN_AES_GCM)
		return n == GCM_BLOB;
	return kind == KEYD_TOKEN_RSA_OAEP && n >= RSA_MIN && n <= KEYD_TOKEN_BLOB_MAX;
}

static int ask_ok(const struct keyd_token_ask *m)
{
	if (m->id == 0 || m->limit_ms == 0 || m->limit_ms > KEYD_TOKEN_MSG_LIMIT_MAX ||
	    m->unattended > 1 || keyd_token_uri_check(m->uri) || m->pin.n < 1 ||
	    m->pin.n > KEYD_TOKEN_PIN_MAX || m->context.n > KEYD_TOKEN_CONTEXT_MAX)
		return 0;
	switch (m->op) {
	case KEYD_TOKEN_WRAP:
		return m->kind == 0 && m->data.n == KEYD_TOKEN_KEY;
	case KEYD_TOKEN_UNWRAP:
		return blob_ok(m->kind, m->data.n);
	case KEYD_TOKEN_TEST:
		return m->kind == 0 && m->data.n == 0;
	default:
		return 0;
	}
}

static int reply_ok(const struct keyd_token_reply *m)
{
	if (m->id == 0 || m->why >= WHYS)
		return 0;
	if (m->why == KEYD_TOKEN_OK && m->kind)
		return blob_ok(m->kind, m->data.n);
	return m->kind == 0 &&
	       (m->data.n == 0 || (m->why == KEYD_TOKEN_OK && m->data.n == KEYD_TOKEN_KEY));
}

static int refuse(struct buf *b)
{
	if (!b->failed)
		b->failed = ERR_FORMAT;
	return b->failed;
}

int keyd_token_msg_ask_put(struct buf *b, const struct keyd_token_ask *m)
{
	if (!ask_ok(m))
		return refuse(b);
	wire_put_u8(b, KEYD_TOKEN_MSG_VERSION);
	wire_put_u8(b, m->op);
	wire_put_u8(b, m->unattended);
	wire_put_u8(b, m->kind);
	wire_put_u32(b, m->id);
	wire_put_u32(b, m->limit_ms);
	wire_put_bytes16(b, m->uri);
	wire_put_bytes8(b, m->pin);
	wire_put_bytes8(b, m->context);
	wire_put_bytes16(b, m->data);
	return buf_failed(b);
}

int keyd_token_msg_ask_get(struct span packet, struct keyd_token_ask *m)
{
	struct wire_get g;
	unsigned version;

	wire_get_init(&g, packet);
	memset(m, 0, sizeof(*m));
	version = wire_get_u8(&g);
	m->op = wire_get_u8(&g);
	m->unattended = wire_get_u8(&g);
	m->kind = wire_get_u8(&g);
	m->id = wire_get_u32(&g);
	m->limit_ms = wire_get_u32(&g);
	m->uri = wire_get_bytes16(&g);
	m->pin = wire_get_bytes8(&g);
	m->context = wire_get_bytes8(&g);
	m->data = wire_get_bytes16(&g);
	if (wire_get_end(&g) < 0 || version != KEYD_TOKEN_MSG_VERSION || !ask_ok(m))
		return ERR_FORMAT;
	return 0;
}

int keyd_token_msg_reply_put(struct buf *b, const struct keyd_token_reply *m)
{
	if (!reply_ok(m))
		return refuse(b);
	wire_put_u8(b, KEYD_TOKEN_MSG_VERSION);
	wire_put_u8(b, m->why);
	wire_put_u8(b, m->kind);
	wire_put_u32(b, m->id);
	wire_put_bytes16(b, m->data);
	return buf_failed(b);
}

int keyd_token_msg_reply_get(struct span packet, struct keyd_token_reply *m)
{
	struct wire_get g;
	unsigned version;

	wire_get_init(&g, packet);
	memset(m, 0, sizeof(*m));
	version = wire_get_u8(&g);
	m->why = wire_get_u8(&g);
	m->kind = wire_get_u8(&g);
	m->id = wire_get_u32(&g);
	m->data = wire_get_bytes16(&g);
	if (wire_get_end(&g) < 0 || version != KEYD_TOKEN_MSG_VERSION || !reply_ok(m))
		return ERR_FORMAT;
	return 0;
}
