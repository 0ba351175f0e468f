/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tlsrpt/tlsrpt_tally.h"

#include <stdlib.h>

#include "core/err.h"

#define BUCKETS 4096u

/* Behind the entry stands what makes it different from others: domain, mx, ip, from, reason, each with its NUL, then the
 * policy. */
struct tlsrpt_tally_entry {
	struct tlsrpt_tally_entry *next;
	int64_t day, sessions;
	int kind, result;
	size_t size, texts; /* of all; of those with a NUL */
	char bytes[];
};

enum { TEXTS = 5 };

static void texts_of(const struct store_tlsrpt_count *c, const char *texts[TEXTS])
{
	texts[0] = c->domain;
	texts[1] = c->mx;
	texts[2] = c->ip;
	texts[3] = c->from;
	texts[4] = c->reason;
}

static struct tlsrpt_tally_entry *entry_new(const struct store_tlsrpt_count *c)
{
	const char *texts[TEXTS];
	struct tlsrpt_tally_entry *e;
	size_t size = 0, at = 0;

	texts_of(c, texts);
	for (int i = 0; i < TEXTS; i++)
		size += strlen(texts[i]) + 1;
	e = malloc(sizeof(*e) + size + c->policy.n);
	if (!e)
		return NULL;
	*e = (struct tlsrpt_tally_entry){.day = c->day,
					 .sessions = c->sessions,
					 .kind = c->kind,
					 .result = c->result,
					 .size = size + c->policy.n,
					 .texts = size};
	for (int i = 0; i < TEXTS; i++) {
		size_t n = strlen(texts[i]) + 1;
		memcpy(e->bytes + at, texts[i], n);
		at += n;
	}
	if (c->policy.n)
		memcpy(e->bytes + at, c->policy.p, c->policy.n);
	return e;
}

static int same(const struct tlsrpt_tally_entry *a, const struct tlsrpt_tally_entry *b)
{
	return a->day == b->day && a->kind == b->kind && a->result == b->result && a->size == b->size &&
	       a->texts == b->texts && !memcmp(a->bytes, b->bytes, a->size);
}

static size_t hash(const struct tlsrpt_tally_entry *e)
{
	uint32_t h = 2166136261u ^ (uint32_t)e->day ^ (uint32_t)e->kind << 8 ^ (uint32_t)e->result << 16;

	for (size_t i = 0; i < e->size; i++)
		h = (h ^ (uint8_t)e->bytes[i]) * 16777619u;
	return h % BUCKETS;
}

int tlsrpt_tally_add(struct tlsrpt_tally *t, const struct store_tlsrpt_count *c)
{
	struct tlsrpt_tally_entry *e = entry_new(c), **at;
	int err = 0;

	if (e && !t->buckets)
		t->buckets = calloc(BUCKETS, sizeof(struct tlsrpt_tally_entry *));
	if (!e || !t->buckets) {
		free(e);
		return ERR_NOMEM;
	}
	for (at = &t->buckets[hash(e)]; *at && !same(*at, e); at = &(*at)->next)
		;
	if (*at) {
		(*at)->sessions += e->sessions;
		free(e);
	} else if (t->count == TLSRPT_TALLY_MAX) {
		free(e);
		err = ERR_LIMIT;
	} else {
		*at = e;
		t->count++;
	}
	return err;
}

static struct store_tlsrpt_count count_of(const struct tlsrpt_tally_entry *e)
{
	const char *texts[TEXTS], *p = e->bytes;

	for (int i = 0; i < TEXTS; i++) {
		texts[i] = p;
		p += strlen(p) + 1;
	}
	return (struct store_tlsrpt_count){.day = e->day,
					   .domain = texts[0],
					   .kind = e->kind,
					   .policy = span_of(p, e->size - e->texts),
					   .result = e->result,
					   .mx = texts[1],
					   .ip = texts[2],
					   .from = texts[3],
					   .reason = texts[4],
					   .sessions = e->sessions};
}

int tlsrpt_tally_each(const struct tlsrpt_tally *t, store_tlsrpt_count_fn fn, void *arg)
{
	int said = 0;

	for (size_t i = 0; t->buckets && !said && i < BUCKETS; i++)
		for (const struct tlsrpt_tally_entry *e = t->buckets[i]; e && !said; e = e->next) {
			struct store_tlsrpt_count c = count_of(e);
			said = fn(arg, &c);
		}
	return said;
}

void tlsrpt_tally_clear(struct tlsrpt_tally *t)
{
	for (size_t i = 0; t->buckets && i < BUCKETS; i++)
		while (t->buckets[i]) {
			struct tlsrpt_tally_entry *e = t->buckets[i];
			t->buckets[i] = e->next;
			free(e);
		}
	free(t->buckets);
	*t = (struct tlsrpt_tally){.count = 0};
}
