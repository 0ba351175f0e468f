/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_tx.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"

#define FIRST_BLOCK 512 /* enough for a usual transaction */
#define BLOCK	    8192

struct in_tx_block {
	struct in_tx_block *next;
	size_t used, size;
	char text[];
};

static void start(struct in_tx *tx)
{
	memset(tx, 0, sizeof(*tx));
	tx->envelope.recipients = tx->first_recipients;
	tx->hashes = tx->first_hashes;
	tx->room = IN_TX_RECIPIENTS;
}

void in_tx_init(struct in_tx *tx)
{
	start(tx);
}

void in_tx_reset(struct in_tx *tx)
{
	while (tx->blocks) {
		struct in_tx_block *b = tx->blocks;
		tx->blocks = b->next;
		secret_wipe(b->text, b->used);
		free(b);
	}
	if (tx->envelope.recipients != tx->first_recipients)
		free(tx->envelope.recipients);
	if (tx->hashes != tx->first_hashes)
		free(tx->hashes);
	start(tx);
}

static char *take(struct in_tx *tx, size_t n)
{
	struct in_tx_block *b = tx->blocks;
	size_t size = b || n > FIRST_BLOCK ? BLOCK : FIRST_BLOCK;
	char *p;

	if (!b || n > b->size - b->used) {
		b = n <= size ? malloc(sizeof(*b) + size) : NULL;
		if (!b)
			return NULL;
		b->used = 0;
		b->size = size;
		b->next = tx->blocks;
		tx->blocks = b;
	}
	p = b->text + b->used;
	b->used += n;
	return p;
}

char *in_tx_keep(struct in_tx *tx, const char *s, size_t n)
{
	char *p = take(tx, n + 1);

	if (!p)
		return NULL;
	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

int in_tx_sender(struct in_tx *tx, const struct smtp_addr *a)
{
	char text[SMTP_ADDR_MAX];

	if (smtp_addr_format(text, a) < 0)
		return ERR_LIMIT;
	tx->envelope.sender = in_tx_keep(tx, text, strlen(text));
	return tx->envelope.sender ? 0 : ERR_NOMEM;
}

static uint32_t hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

static int find(const struct in_tx *tx, const char *address, uint32_t hash)
{
	for (unsigned i = 0; i < tx->envelope.count; i++)
		if (tx->hashes[i] == hash && !strcmp(tx->envelope.recipients[i].address, address))
			return (int)i;
	return -1;
}

int in_tx_find(const struct in_tx *tx, const char *address)
{
	return find(tx, address, hash_of(address));
}

void in_tx_remove(struct in_tx *tx, unsigned index)
{
	struct spool_recipient *r = tx->envelope.recipients + index;
	unsigned behind = --tx->envelope.count - index;

	memmove(r, r + 1, behind * sizeof(*r));
	memmove(tx->hashes + index, tx->hashes + index + 1, behind * sizeof(*tx->hashes));
}

static int grow(struct in_tx *tx)
{
	unsigned room = tx->room * 4;
	struct spool_recipient *r = calloc(room, sizeof(*r));
	uint32_t *h = calloc(room, sizeof(*h));

	if (!r || !h) {
		free(r);
		free(h);
		return ERR_NOMEM;
	}
	memcpy(r, tx->envelope.recipients, tx->envelope.count * sizeof(*r));
	memcpy(h, tx->hashes, tx->envelope.count * sizeof(*h));
	if (tx->envelope.recipients != tx->first_recipients)
		free(tx->envelope.recipients);
	if (tx->hashes != tx->first_hashes)
		free(tx->hashes);
	tx->envelope.recipients = r;
	tx->hashes = h;
	tx->room = room;
	return 0;
}

int in_tx_notify(struct in_tx *tx, uint32_t notify, struct span orcpt)
{
	struct spool_recipient *r = &tx->envelope.recipients[tx->envelope.count - 1];

	r->notify = notify;
	r->orcpt = orcpt.n ? in_tx_keep(tx, (const char *)orcpt.p, orcpt.n) : NULL;
	if (!orcpt.n || r->orcpt)
		return 0;
	in_tx_remove(tx, tx->envelope.count - 1);
	return ERR_NOMEM;
}

int in_tx_add(struct in_tx *tx, const struct smtp_addr *a)
{
	struct spool_recipient *r;
	char text[SMTP_ADDR_MAX];
	uint32_t hash;

	if (smtp_addr_format(text, a) < 0)
		return ERR_LIMIT;
	hash = hash_of(text);
	if (find(tx, text, hash) >= 0)
		return 0;
	if (tx->envelope.count == tx->room && grow(tx) < 0)
		return ERR_NOMEM;
	r = &tx->envelope.recipients[tx->envelope.count];
	r->address = in_tx_keep(tx, text, strlen(text));
	r->notify = 0;
	r->orcpt = NULL;
	if (!r->address)
		return ERR_NOMEM;
	tx->hashes[tx->envelope.count++] = hash;
	return 1;
}
