/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "relay/spool/spool_message.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define FORMAT 3 /* 2: without what tracking knows it by; still read */
#define FLAGS                                                                            \
	(SPOOL_8BIT | SPOOL_UTF8 | SPOOL_REQUIRETLS | SPOOL_HOLD | SPOOL_RET_FULL |          \
	 SPOOL_RET_HDRS | SPOOL_REPORT | SPOOL_TLS_OPTIONAL | SPOOL_DKIM |       \
	 SPOOL_VERIFIED)
#define NOTIFY                                                                           \
	(SPOOL_NOTIFY_NEVER | SPOOL_NOTIFY_SUCCESS | SPOOL_NOTIFY_FAILURE | SPOOL_NOTIFY_DELAY)

struct block {	     /* what spool_envelope_get allocates: recipients, then all strings */
	size_t size; /* of the whole: to wipe it */
	struct spool_recipient recipients[];
};

static void clear_string(char *s)
{
	if (s)
		secret_wipe(s, strlen(s));
	free(s);
}

void spool_envelope_clear(struct spool_envelope *e)
{
	if (e->block) {
		struct block *b = e->block;
		secret_wipe(b, b->size);
		free(b);
	} else {
		clear_string(e->customer);
		clear_string(e->sender);
		clear_string(e->client);
		clear_string(e->tls);
		clear_string(e->campaign);
		clear_string(e->credential);
		clear_string(e->envid);
		if (e->head.p)
			secret_wipe((void *)e->head.p, e->head.n);
		free((void *)e->head.p);
		for (unsigned i = 0; e->recipients && i < e->count; i++) {
			clear_string(e->recipients[i].address);
			clear_string(e->recipients[i].orcpt);
		}
		free(e->recipients);
	}
	memset(e, 0, sizeof(*e));
}

static struct span text(const char *s)
{
	return span_str(s ? s : "");
}

int spool_envelope_put(struct buf *b, const struct spool_envelope *e)
{
	wire_put_u8(b, FORMAT);
	wire_put_bytes8(b, span_str(e->customer));
	wire_put_bytes16(b, span_str(e->sender));
	wire_put_u32(b, (uint32_t)e->flags);
	wire_put_u64(b, (uint64_t)e->created);
	wire_put_u64(b, e->size);
	wire_put_bytes16(b, text(e->client));
	wire_put_bytes8(b, text(e->tls));
	wire_put_bytes8(b, text(e->campaign));
	wire_put_bytes8(b, text(e->credential));
	wire_put_bytes8(b, text(e->envid));
	wire_put_u64(b, e->tid);
	wire_put_u32(b, e->number);
	wire_put_u8(b, (uint8_t)e->consent);
	wire_put_bytes32(b, e->head);
	wire_put_u64(b, e->skip);
	wire_put_u32(b, e->count);
	for (unsigned i = 0; i < e->count; i++) {
		wire_put_bytes16(b, span_str(e->recipients[i].address));
		wire_put_u32(b, e->recipients[i].notify);
		wire_put_bytes16(b, text(e->recipients[i].orcpt));
	}
	return buf_failed(b);
}

struct reading {
	struct wire_get g;
	char *at;    /* where the next string goes; NULL: only count */
	size_t need; /* bytes of strings so far */
	int bad;
};

static char *string(struct reading *r, struct span s)
{
	char *here = r->at;

	r->need += s.n + 1;
	if (span_find(s, 0) >= 0)
		r->bad = 1;
	if (!here)
		return NULL;
	if (s.n)
		memcpy(here, s.p, s.n);
	here[s.n] = '\0';
	r->at += s.n + 1;
	return here;
}

/* Octets as they are: no NUL behind them, and any within. */
static void read_changed_head(struct reading *r, struct spool_envelope *e)
{
	struct span s = wire_get_bytes32(&r->g);

	e->head = span_of(r->at, s.n);
	r->need += s.n;
	if (r->at && s.n) {
		memcpy(r->at, s.p, s.n);
		r->at += s.n;
	}
	e->skip = wire_get_u64(&r->g);
	r->bad |= s.n > SPOOL_ENVELOPE_HEAD_MAX || e->skip > e->size || (s.n == 0 && e->skip);
}

/* Reads all but the count of recipients and what follows. */
static void read_head(struct reading *r, struct spool_envelope *e)
{
	uint8_t format = wire_get_u8(&r->g);

	r->bad |= format != FORMAT && format != FORMAT - 1;
	e->customer = string(r, wire_get_bytes8(&r->g));
	e->sender = string(r, wire_get_bytes16(&r->g));
	e->flags = (int)wire_get_u32(&r->g);
	e->created = (int64_t)wire_get_u64(&r->g);
	e->size = wire_get_u64(&r->g);
	e->client = string(r, wire_get_bytes16(&r->g));
	e->tls = string(r, wire_get_bytes8(&r->g));
	e->campaign = string(r, wire_get_bytes8(&r->g));
	e->credential = string(r, wire_get_bytes8(&r->g));
	e->envid = string(r, wire_get_bytes8(&r->g));
	if (format == FORMAT) {
		e->tid = wire_get_u64(&r->g);
		e->number = wire_get_u32(&r->g);
		e->consent = wire_get_u8(&r->g);
	}
	read_changed_head(r, e);
	e->count = wire_get_u32(&r->g);
	r->bad |= (e->flags & ~FLAGS) != 0 || e->count > SPOOL_RECIPIENTS_MAX;
}

static void read_recipients(struct reading *r, struct spool_envelope *e,
			    struct spool_recipient *into)
{
	for (unsigned i = 0; i < e->count && !r->g.failed; i++) {
		char *address = string(r, wire_get_bytes16(&r->g));
		uint32_t notify = wire_get_u32(&r->g);
		char *orcpt = string(r, wire_get_bytes16(&r->g));
		r->bad |= (notify & ~(uint32_t)NOTIFY) != 0;
		if (into)
			into[i] = (struct spool_recipient){address, notify, orcpt};
	}
}

/* Twice over the bytes: first to see that they are good and what they need, then into one block. */
int spool_envelope_get(struct span s, struct spool_envelope *e)
{
	struct reading r = {0};
	struct block *b;
	size_t size;

	memset(e, 0, sizeof(*e));
	wire_get_init(&r.g, s);
	read_head(&r, e);
	if (!r.bad)
		read_recipients(&r, e, NULL);
	if (wire_get_end(&r.g) < 0 || r.bad) {
		memset(e, 0, sizeof(*e));
		return ERR_FORMAT;
	}
	size = sizeof(*b) + e->count * sizeof(*b->recipients) + r.need;
	b = malloc(size);
	if (!b) {
		memset(e, 0, sizeof(*e));
		return ERR_NOMEM;
	}
	b->size = size;
	r.at = (char *)&b->recipients[e->count];
	wire_get_init(&r.g, s);
	read_head(&r, e);
	read_recipients(&r, e, b->recipients);
	e->recipients = b->recipients;
	e->block = b;
	return 0;
}
