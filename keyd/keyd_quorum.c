/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_quorum.h"

#include <openssl/evp.h>

#include "core/err.h"
#include "core/secret.h"

int keyd_quorum_add(struct keyd_quorum *q, unsigned op, struct span body, uint32_t uid,
		    unsigned need, int64_t now, struct keyd_quorum_proposal **out)
{
	struct keyd_quorum_proposal *p = NULL;
	unsigned of_uid = 0;

	for (unsigned i = 0; i < KEYD_QUORUM_MAX; i++) {
		if (!q->items[i].number)
			p = &q->items[i];
		else
			of_uid += q->items[i].uids[0] == uid;
	}
	if (!p || of_uid >= KEYD_QUORUM_EACH)
		return ERR_LIMIT;
	if (!EVP_Q_digest(NULL, "SHA256", NULL, body.p ? body.p : (const uint8_t *)"", body.n,
			  p->digest, NULL))
		return ERR_CRYPTO;
	p->body = secret_alloc(body.n ? body.n : 1);
	if (!p->body)
		return ERR_NOMEM;
	if (body.n)
		memcpy(p->body, body.p, body.n);
	p->n = body.n;
	p->number = ++q->last;
	p->op = op;
	p->have = 1;
	p->need = need;
	p->uids[0] = uid;
	p->ends = now + KEYD_QUORUM_TIME;
	*out = p;
	return 0;
}

static struct keyd_quorum_proposal *find(struct keyd_quorum *q, uint64_t number, int64_t now)
{
	for (unsigned i = 0; number && i < KEYD_QUORUM_MAX; i++)
		if (q->items[i].number == number && q->items[i].ends > now)
			return &q->items[i];
	return NULL;
}

int keyd_quorum_approve(struct keyd_quorum *q, uint64_t number, uint32_t uid, int64_t now,
			struct keyd_quorum_proposal **out)
{
	struct keyd_quorum_proposal *p = find(q, number, now);

	if (!p)
		return ERR_NOTFOUND;
	for (unsigned i = 0; i < p->have; i++)
		if (p->uids[i] == uid)
			return ERR_EXISTS;
	p->uids[p->have++] = uid;
	*out = p;
	return 0;
}

int keyd_quorum_withdraw(struct keyd_quorum *q, uint64_t number, uint32_t uid, int64_t now,
			 struct keyd_quorum_proposal **out)
{
	struct keyd_quorum_proposal *p = find(q, number, now);

	if (!p)
		return ERR_NOTFOUND;
	if (p->uids[0] != uid)
		return ERR_DENIED;
	*out = p;
	return 0;
}

struct keyd_quorum_proposal *keyd_quorum_expired(struct keyd_quorum *q, int64_t now)
{
	for (unsigned i = 0; i < KEYD_QUORUM_MAX; i++)
		if (q->items[i].number && q->items[i].ends <= now)
			return &q->items[i];
	return NULL;
}

void keyd_quorum_drop(struct keyd_quorum_proposal *p)
{
	if (p->number)
		secret_free(p->body, p->n ? p->n : 1);
	memset(p, 0, sizeof(*p));
}

void keyd_quorum_clear(struct keyd_quorum *q)
{
	for (unsigned i = 0; i < KEYD_QUORUM_MAX; i++)
		keyd_quorum_drop(&q->items[i]);
}
