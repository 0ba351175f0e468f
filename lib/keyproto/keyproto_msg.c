/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and names, and the messages that set a connection up or push to it. The batches are in
 * keyproto_msg_batch.c, the rest in keyproto_msg_key.c. */
#include "keyproto/keyproto_msg.h"

#include "keyproto/keyproto_codec.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HELLO_STORE  16

static const struct {
	unsigned op;
	const char *name;
} ops[] = {
#define KEYPROTO_X(sym, num, name) {num, name},
    KEYPROTO_OPS(KEYPROTO_X)
#undef KEYPROTO_X
};

const char *keyproto_op_name(unsigned op)
{
	for (size_t i = 0; i < COUNT(ops); i++)
		if (ops[i].op == op)
			return ops[i].name;
	return NULL;
}

static const struct {
	uint32_t status;
	int err;
} statuses[] = {
#define KEYPROTO_X(sym, num, err) {num, err},
    KEYPROTO_STATUS_LIST(KEYPROTO_X)
#undef KEYPROTO_X
};

int keyproto_err_of_status(uint32_t status)
{
	for (size_t i = 0; i < COUNT(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].err;
	return ERR_IO;
}

uint32_t keyproto_status_of_err(int err)
{
	for (size_t i = 0; i < COUNT(statuses); i++)
		if (statuses[i].err == err)
			return statuses[i].status;
	return KEYPROTO_E_INTERNAL;
}

/* The small sets are dense and start at 1, so their names are arrays with the number as index. */
static const char *const roles[] = {
#define KEYPROTO_X(sym, num, name) [num] = name,
    KEYPROTO_ROLES(KEYPROTO_X)
#undef KEYPROTO_X
};
static const char *const purposes[] = {
#define KEYPROTO_X(sym, num, name) [num] = name,
    KEYPROTO_PURPOSES(KEYPROTO_X)
#undef KEYPROTO_X
};
static const char *const algs[] = {
#define KEYPROTO_X(sym, num, name) [num] = name,
    KEYPROTO_ALGS(KEYPROTO_X)
#undef KEYPROTO_X
};
static const char *const keytypes[] = {
    [KEYPROTO_KEY_EC_P256] = "ec-p256",
    [KEYPROTO_KEY_RSA2048] = "rsa-2048",
    [KEYPROTO_KEY_ED25519] = "ed25519",
};
static const char *const states[] = {
    [KEYPROTO_EMPTY] = "empty",
    [KEYPROTO_LOCKED] = "locked",
    [KEYPROTO_READY] = "ready",
    [KEYPROTO_ERROR] = "error",
};

const char *keyproto_role_name(unsigned role)
{
	return role < COUNT(roles) ? roles[role] : NULL;
}

unsigned keyproto_role_of_name(struct span name)
{
	for (unsigned i = 1; i < COUNT(roles); i++)
		if (span_equal(name, span_str(roles[i])))
			return i;
	return 0;
}

const char *keyproto_purpose_name(unsigned purpose)
{
	return purpose < COUNT(purposes) ? purposes[purpose] : NULL;
}

const char *keyproto_alg_name(unsigned alg)
{
	return alg < COUNT(algs) ? algs[alg] : NULL;
}

const char *keyproto_keytype_name(unsigned type)
{
	return type < COUNT(keytypes) ? keytypes[type] : NULL;
}

const char *keyproto_state_name(unsigned state)
{
	return state < COUNT(states) ? states[state] : NULL;
}

int keyproto_name_ok(struct span s)
{
	if (s.n < 1 || s.n > KEYPROTO_NAME_MAX)
		return 0;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '-' && c <= '9') || c == '_'))
			return 0; /* '-' '.' '/' and the digits are neighbours in ASCII */
	}
	return 1;
}

int keyproto_keyname_ok(struct span s, struct span *label, uint32_t *version)
{
	ptrdiff_t mark = span_find(s, '#');
	struct span name = mark < 0 ? s : span_sub(s, 0, (size_t)mark);
	uint64_t n = 0;

	for (size_t i = name.n + 1; mark >= 0 && i < s.n; i++) {
		unsigned digit = s.p[i] - '0';
		if (digit > 9 || (n == 0 && digit == 0) || n > UINT32_MAX)
			return 0;
		n = n * 10 + digit;
	}
	if (!keyproto_name_ok(name) || (mark >= 0 && n == 0) || n > UINT32_MAX)
		return 0;
	if (label)
		*label = name;
	if (version)
		*version = (uint32_t)n;
	return 1;
}

static int hello_ok(const struct keyproto_hello *m)
{
	return m->version_min >= 1 && m->version_min <= m->version_max &&
	       keyproto_role_name(m->role) && keyproto_name_ok(m->program);
}

int keyproto_hello_put(struct buf *b, const struct keyproto_hello *m)
{
	if (!hello_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_u16(b, m->version_min);
	wire_put_u16(b, m->version_max);
	wire_put_u8(b, m->role);
	wire_put_bytes8(b, m->program);
	return buf_failed(b);
}

int keyproto_hello_get(struct span body, struct keyproto_hello *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->version_min = wire_get_u16(&g);
	m->version_max = wire_get_u16(&g);
	m->role = wire_get_u8(&g);
	m->program = wire_get_bytes8(&g);
	return wire_get_end(&g) == 0 && hello_ok(m) ? 0 : ERR_FORMAT;
}

static int hello_reply_ok(const struct keyproto_hello_reply *m)
{
	return m->version >= 1 && keyproto_state_name(m->state) && m->store.n == HELLO_STORE;
}

int keyproto_hello_reply_put(struct buf *b, const struct keyproto_hello_reply *m)
{
	if (!hello_reply_ok(m))
		return keyproto_codec_refuse(b);
	wire_put_u16(b, m->version);
	wire_put_u8(b, m->state);
	wire_put_raw(b, m->store.p, HELLO_STORE);
	return buf_failed(b);
}

int keyproto_hello_reply_get(struct span body, struct keyproto_hello_reply *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->version = wire_get_u16(&g);
	m->state = wire_get_u8(&g);
	m->store = wire_get_raw(&g, HELLO_STORE);
	return wire_get_end(&g) == 0 && hello_reply_ok(m) ? 0 : ERR_FORMAT;
}

int keyproto_event_put(struct buf *b, uint8_t state)
{
	if (!keyproto_state_name(state))
		return keyproto_codec_refuse(b);
	wire_put_u8(b, state);
	return buf_failed(b);
}

int keyproto_event_get(struct span body, uint8_t *state)
{
	struct wire_get g;

	wire_get_init(&g, body);
	*state = wire_get_u8(&g);
	return wire_get_end(&g) == 0 && keyproto_state_name(*state) ? 0 : ERR_FORMAT;
}

int keyproto_bytes_put(struct buf *b, struct span s)
{
	wire_put_bytes16(b, s);
	return buf_failed(b);
}

int keyproto_bytes_get(struct span body, struct span *s)
{
	struct wire_get g;

	wire_get_init(&g, body);
	*s = wire_get_bytes16(&g);
	return wire_get_end(&g);
}
