/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_audit_sum.h"

#define SLOTS (2 * KEYD_AUDIT_SUM_MAX)

void keyd_audit_sum_reset(struct keyd_audit_sum *s)
{
	s->count = 0;
	s->more = s->more_failed = 0;
	memset(s->slots, 0, sizeof(s->slots));
}

static int same(const struct keyd_audit_sum_row *r, const struct keyd_audit_sum_row *key,
		struct span subject)
{
	return r->event == key->event && r->op == key->op && r->role == key->role &&
	       r->uid == key->uid && span_equal(span_of(r->subject, r->n), subject);
}

/* FNV-1a: peers choose among subjects that exist, so there is nothing to flood it with. */
static unsigned hash(const struct keyd_audit_sum_row *key, struct span subject)
{
	uint32_t h = 2166136261u;
	const uint32_t head[] = {key->event, key->op, key->role, key->uid};
	const uint8_t *p = (const uint8_t *)head;

	for (size_t i = 0; i < sizeof(head); i++)
		h = (h ^ p[i]) * 16777619u;
	for (size_t i = 0; i < subject.n; i++)
		h = (h ^ subject.p[i]) * 16777619u;
	return h % SLOTS;
}

/* The row of key, made if there is room; NULL: there is none. */
static struct keyd_audit_sum_row *find(struct keyd_audit_sum *s,
				       const struct keyd_audit_sum_row *key, struct span subject)
{
	struct keyd_audit_sum_row *r;
	unsigned at = hash(key, subject);

	for (; s->slots[at]; at = (at + 1) % SLOTS)
		if (same(&s->rows[s->slots[at] - 1], key, subject))
			return &s->rows[s->slots[at] - 1];
	if (s->count == KEYD_AUDIT_SUM_MAX)
		return NULL;
	r = &s->rows[s->count++];
	s->slots[at] = (uint16_t)s->count;
	*r = *key;
	r->count = r->failed = 0;
	r->n = (uint8_t)subject.n;
	if (subject.n)
		memcpy(r->subject, subject.p, subject.n);
	return r;
}

void keyd_audit_sum_add(struct keyd_audit_sum *s, const struct keyd_audit_sum_row *key,
			struct span subject)
{
	struct keyd_audit_sum_row *r;

	r = find(s, key, span_sub(subject, 0, KEYPROTO_NAME_MAX));
	*(r ? &r->count : &s->more) += key->count;
	*(r ? &r->failed : &s->more_failed) += key->failed;
}
