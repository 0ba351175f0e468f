/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_snapshot.h"

#include "core/err.h"
#include "core/secret.h"
#include "keyd/keyd_ring_anchor.h"
#include "seal/seal_kdf.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define FORMAT	 2
#define TAG	 32
#define SLOT_MAX 1280 /* eight of them, and the rest of the head, are under 12 KiB */

static const uint8_t magic[16] = "sealpost-keys-v1"; /* all 16 bytes, no NUL */

/* Each id was given once. */
static int id_ok(const struct keyd_snapshot_head *head, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (head->slots[i].id == head->slots[at].id)
			return 0;
	return head->slots[at].id < head->next_slot;
}

static int slots_get(struct wire_get *g, struct keyd_snapshot_head *head)
{
	head->next_slot = wire_get_u32(g);
	head->slot_count = wire_get_u8(g);
	if (head->slot_count < 1 || head->slot_count > KEYD_ROOT_SLOTS_MAX)
		return ERR_DAMAGED;
	for (unsigned i = 0; i < head->slot_count; i++)
		if (keyd_root_slot_get(wire_get_bytes16(g), &head->slots[i]) < 0 || !id_ok(head, i))
			return ERR_DAMAGED;
	return g->failed ? ERR_DAMAGED : 0;
}

int64_t keyd_snapshot_head_parse(struct span file, struct keyd_snapshot_head *head)
{
	struct wire_get g;
	struct span name, id, anchor;

	wire_get_init(&g, file);
	name = wire_get_raw(&g, sizeof(magic));
	if (!span_equal(name, span_of(magic, sizeof(magic))))
		return ERR_DAMAGED;
	if (wire_get_u32(&g) != FORMAT)
		return g.failed ? ERR_DAMAGED : ERR_UNSUPPORTED;
	id = wire_get_raw(&g, sizeof(head->id));
	if (g.failed)
		return ERR_DAMAGED;
	memcpy(head->id, id.p, sizeof(head->id));
	head->generation = wire_get_u64(&g);
	head->made = (int64_t)wire_get_u64(&g);
	head->restored = wire_get_u8(&g);
	anchor = wire_get_raw(&g, sizeof(head->anchor));
	head->anchored = (int64_t)wire_get_u64(&g);
	if (g.failed || head->restored > 1)
		return ERR_DAMAGED;
	memcpy(head->anchor, anchor.p, sizeof(head->anchor));
	if (slots_get(&g, head) < 0)
		return ERR_DAMAGED;
	return (int64_t)(file.n - g.rest.n);
}

int keyd_snapshot_parse(struct span file, const uint8_t key[32],
			int (*fn)(void *arg, unsigned type, struct span body), void *arg,
			const uint8_t **tag)
{
	struct keyd_snapshot_head head;
	struct span all = span_sub(file, 0, file.n < TAG ? 0 : file.n - TAG), body;
	struct wire_get g;
	uint8_t own[TAG];
	unsigned type;
	int64_t n;
	int rc;

	if (file.n < TAG)
		return ERR_DAMAGED;
	rc = seal_kdf_hmac(key, 32, &all, 1, own);
	if (rc < 0)
		return rc;
	if (!secret_equal(own, all.p + all.n, TAG))
		return ERR_DAMAGED;
	n = keyd_snapshot_head_parse(all, &head);
	if (n < 0)
		return (int)n;
	wire_get_init(&g, span_sub(all, (size_t)n, all.n));
	while ((type = wire_get_u8(&g)) != 0) {
		body = wire_get_bytes32(&g);
		if (g.failed)
			return ERR_DAMAGED;
		rc = fn(arg, type, body);
		if (rc < 0)
			return rc;
	}
	*tag = all.p + all.n;
	return wire_get_end(&g) < 0 ? ERR_DAMAGED : 0;
}

struct put {
	struct buf *out;
	const int *cancel;
};

static int put_record(void *arg, unsigned type, struct span body)
{
	struct put *p = arg;

	if (p->cancel && __atomic_load_n(p->cancel, __ATOMIC_RELAXED))
		return ERR_LOCKED;
	wire_put_u8(p->out, (uint8_t)type);
	wire_put_bytes32(p->out, body);
	return buf_failed(p->out);
}

static int slots_put(struct buf *out, const struct keyd_snapshot_head *head)
{
	struct buf slot;

	buf_init(&slot, SLOT_MAX);
	wire_put_u32(out, head->next_slot);
	wire_put_u8(out, (uint8_t)head->slot_count);
	for (unsigned i = 0; i < head->slot_count; i++) {
		buf_reset(&slot);
		if (keyd_root_slot_put(&slot, &head->slots[i]) == 0)
			wire_put_bytes16(out, buf_span(&slot));
		else
			out->failed = out->failed ? out->failed : buf_failed(&slot);
	}
	buf_clear(&slot);
	return buf_failed(out);
}

static int format(const struct keyd_snapshot_head *head, const struct keyd_ring *ring,
		  int (*each)(const struct keyd_ring *r,
			      int (*fn)(void *arg, unsigned type, struct span body), void *arg),
		  const uint8_t key[32], const int *cancel, struct buf *out)
{
	struct put put = {out, cancel};
	size_t start = buf_size(out);
	struct span all;
	uint8_t tag[TAG];
	int rc;

	wire_put_raw(out, magic, sizeof(magic));
	wire_put_u32(out, FORMAT);
	wire_put_raw(out, head->id, sizeof(head->id));
	wire_put_u64(out, head->generation);
	wire_put_u64(out, (uint64_t)head->made);
	wire_put_u8(out, head->restored);
	wire_put_raw(out, head->anchor, sizeof(head->anchor));
	wire_put_u64(out, (uint64_t)head->anchored);
	rc = slots_put(out, head);
	if (rc == 0)
		rc = each(ring, put_record, &put);
	if (rc < 0)
		return rc;
	wire_put_u8(out, 0);
	all = span_sub(buf_span(out), start, buf_size(out));
	rc = seal_kdf_hmac(key, 32, &all, 1, tag);
	if (rc < 0)
		return rc;
	wire_put_raw(out, tag, TAG);
	return buf_failed(out);
}

int keyd_snapshot_format(const struct keyd_snapshot_head *head, const struct keyd_ring *ring,
			 const uint8_t key[32], const int *cancel, struct buf *out)
{
	return format(head, ring, keyd_ring_each, key, cancel, out);
}

int keyd_snapshot_format_bare(const struct keyd_snapshot_head *head, const struct keyd_ring *ring,
			      const uint8_t key[32], const int *cancel, struct buf *out)
{
	struct keyd_snapshot_head h = *head;

	h.restored = 1;
	memset(h.anchor, 0, sizeof(h.anchor));
	h.anchored = 0;
	return format(&h, ring, keyd_ring_anchor_each_bare, key, cancel, out);
}
