/* SPDX-License-Identifier: Apache-2.0 */
#include "milterproto/milterproto.h"

#include "core/err.h"

#define HEAD 5 /* length and command */

static uint8_t *u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
	return p + 4;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Room for a packet with n octets of data, its head already there; NULL: buf says why. */
static uint8_t *packet(struct buf *out, enum milterproto_command c, size_t n)
{
	uint8_t *p = buf_reserve(out, HEAD + n);

	if (!p)
		return NULL;
	p = u32(p, (uint32_t)n + 1);
	*p++ = (uint8_t)c;
	return p;
}

static uint8_t *bytes(uint8_t *p, struct span s)
{
	if (s.n)
		memcpy(p, s.p, s.n);
	return p + s.n;
}

int milterproto_put(struct buf *out, enum milterproto_command c, struct span data)
{
	uint8_t *p = packet(out, c, data.n);

	if (!p)
		return buf_failed(out);
	bytes(p, data);
	buf_commit(out, HEAD + data.n);
	return 0;
}

int milterproto_put_options(struct buf *out, uint32_t version, uint32_t actions, uint32_t steps)
{
	uint8_t data[12];

	u32(u32(u32(data, version), actions), steps);
	return milterproto_put(out, MILTERPROTO_OPTNEG, span_of(data, sizeof(data)));
}

int milterproto_put_connect(struct buf *out, const char *host, char family, unsigned port,
			    const char *address)
{
	size_t host_n = strlen(host) + 1, address_n = strlen(address) + 1;
	size_t n = host_n + 1 + (family == 'U' ? 0 : 2 + address_n);
	uint8_t *p = packet(out, MILTERPROTO_CONNECT, n);

	if (!p)
		return buf_failed(out);
	p = bytes(p, span_of(host, host_n));
	*p++ = (uint8_t)family;
	if (family != 'U') {
		*p++ = (uint8_t)(port >> 8);
		*p++ = (uint8_t)port;
		bytes(p, span_of(address, address_n));
	}
	buf_commit(out, HEAD + n);
	return 0;
}

int milterproto_put_strings(struct buf *out, enum milterproto_command c, const struct span *strings,
			    unsigned count)
{
	size_t n = 0;
	uint8_t *p;

	for (unsigned i = 0; i < count; i++)
		n += strings[i].n + 1;
	p = packet(out, c, n);
	if (!p)
		return buf_failed(out);
	for (unsigned i = 0; i < count; i++) {
		p = bytes(p, strings[i]);
		*p++ = '\0';
	}
	buf_commit(out, HEAD + n);
	return 0;
}

int milterproto_put_macros(struct buf *out, enum milterproto_command c, struct span pairs)
{
	uint8_t *p = packet(out, MILTERPROTO_MACRO, pairs.n + 1);

	if (!p)
		return buf_failed(out);
	*p++ = (uint8_t)c;
	bytes(p, pairs);
	buf_commit(out, HEAD + 1 + pairs.n);
	return 0;
}

int milterproto_take(struct span in, uint8_t *command, struct span *data)
{
	uint32_t n;

	if (in.n < 4)
		return 0;
	n = get32(in.p);
	if (n == 0)
		return ERR_FORMAT;
	if (n > MILTERPROTO_PACKET_MAX)
		return ERR_LIMIT;
	if (in.n - 4 < n)
		return 0;
	*command = in.p[4];
	*data = span_sub(in, HEAD, n - 1);
	return (int)n + 4;
}

static const struct row {
	const char *name, *data;
	uint32_t needs;
	uint8_t command;
	uint8_t kind;
} rows[] = {[MILTERPROTO_NOTHING] = {"NOTHING", "", 0, 0, 0},
#define ROW(name, octet, kind, action, data) \
	[MILTERPROTO_SAYS_##                 \
	    name] = {#name, data, MILTERPROTO_##action, octet, MILTERPROTO_KIND_##kind},
	    MILTERPROTO_REPLIES(ROW)
#undef ROW
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

const char *milterproto_name(enum milterproto_what w)
{
	return w < ROWS ? rows[w].name : rows[0].name;
}

/* A string up to its NUL. */
static int string(struct span *rest, struct span *out)
{
	ptrdiff_t n = span_find(*rest, 0);

	if (n < 0)
		return ERR_FORMAT;
	*out = span_sub(*rest, 0, (size_t)n);
	*rest = span_sub(*rest, (size_t)n + 1, rest->n);
	return 0;
}

static int number(struct span *rest, uint32_t *out)
{
	if (rest->n < 4)
		return ERR_FORMAT;
	*out = get32(rest->p);
	*rest = span_sub(*rest, 4, rest->n);
	return 0;
}

static int fill(const char *shape, struct span rest, struct milterproto_reply *r)
{
	struct span *next = &r->a;
	int err = 0;

	for (; *shape && err == 0; shape++) {
		if (*shape == 'i') {
			err = number(&rest, &r->index);
		} else if (*shape == '*') {
			*next = rest;
			rest = span_of(NULL, 0);
		} else if (*shape == 's' || rest.n) {
			err = string(&rest, next);
			next = &r->b;
		}
	}
	return err < 0 || rest.n ? ERR_FORMAT : 0;
}

int milterproto_reply(uint8_t command, struct span data, struct milterproto_reply *r)
{
	memset(r, 0, sizeof(*r));
	r->command = command;
	r->data = data;
	for (unsigned i = 1; i < ROWS; i++) {
		if (rows[i].command != command)
			continue;
		r->what = (enum milterproto_what)i;
		r->kind = rows[i].kind;
		r->needs = rows[i].needs;
		return fill(rows[i].data, data, r);
	}
	return ERR_FORMAT;
}

int milterproto_options(struct span data, struct milterproto_options *o)
{
	uint32_t stage;
	struct span names;

	memset(o, 0, sizeof(*o));
	if (number(&data, &o->version) < 0 || number(&data, &o->actions) < 0 ||
	    number(&data, &o->steps) < 0)
		return ERR_FORMAT;
	while (data.n) {
		if (number(&data, &stage) < 0 || string(&data, &names) < 0 ||
		    stage >= MILTERPROTO_STAGES)
			return ERR_FORMAT;
		o->macros[stage] = names;
		o->asked |= 1u << stage;
	}
	return 0;
}
