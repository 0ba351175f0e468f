/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_roundtrip - every codec of keyproto_msg.h as one function: decode a body, encode it again.
 *
 * Story: the unit test runs the table over the examples, the fuzz target over anything.
 *        A row's number is what fuzz inputs begin with, so rows are only ever added at the end. */
#ifndef TEST_UNIT_KEYPROTO_ROUNDTRIP_H
#define TEST_UNIT_KEYPROTO_ROUNDTRIP_H

#include "core/err.h"
#include "keyproto/keyproto_audit.h"
#include "keyproto/keyproto_backup.h"
#include "keyproto/keyproto_checkpoint.h"
#include "keyproto/keyproto_manifest.h"
#include "keyproto/keyproto_msg.h"
#include "keyproto/keyproto_dek.h"
#include "keyproto/keyproto_rotate.h"
#include "keyproto/keyproto_shred.h"
#include "keyproto/keyproto_slot.h"
#include "keyproto/keyproto_version.h"
#include "keyproto/keyproto_witness.h"

/* 0: out holds the body again. ERR_FORMAT: _get refused. Anything else: _put failed on what _get gave. */
typedef int (*keyproto_roundtrip_fn)(struct span body, struct buf *out);

#define KEYPROTO_ROUNDTRIP_BROKEN 1

#define KEYPROTO_ROUNDTRIP_STRUCT(name, type)                                                      \
	static int roundtrip_##name(struct span body, struct buf *out)                             \
	{                                                                                          \
		static struct type m;                                                              \
		int r = keyproto_##name##_get(body, &m);                                           \
		if (r != 0)                                                                        \
			return r;                                                                  \
		return keyproto_##name##_put(out, &m) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;        \
	}
#define KEYPROTO_ROUNDTRIP_LIST(name, type)                                                        \
	static int roundtrip_##name(struct span body, struct buf *out)                             \
	{                                                                                          \
		static struct type items[KEYPROTO_BATCH_MAX];                                      \
		int n = keyproto_##name##_get(body, items);                                        \
		if (n <= 0)                                                                        \
			return n;                                                                  \
		return keyproto_##name##_put(out, items, (unsigned)n) == 0                         \
			   ? 0                                                                     \
			   : KEYPROTO_ROUNDTRIP_BROKEN;                                            \
	}

KEYPROTO_ROUNDTRIP_STRUCT(hello, keyproto_hello)
KEYPROTO_ROUNDTRIP_STRUCT(hello_reply, keyproto_hello_reply)
KEYPROTO_ROUNDTRIP_STRUCT(derive_new, keyproto_derive_new)
KEYPROTO_ROUNDTRIP_LIST(derived, keyproto_derived)
KEYPROTO_ROUNDTRIP_STRUCT(derive_existing, keyproto_derive_existing)
KEYPROTO_ROUNDTRIP_STRUCT(fields, keyproto_fields)
KEYPROTO_ROUNDTRIP_LIST(results, keyproto_result)
KEYPROTO_ROUNDTRIP_STRUCT(mac, keyproto_mac)
KEYPROTO_ROUNDTRIP_STRUCT(sign, keyproto_sign)
KEYPROTO_ROUNDTRIP_STRUCT(public, keyproto_public)
KEYPROTO_ROUNDTRIP_STRUCT(init, keyproto_init)
KEYPROTO_ROUNDTRIP_STRUCT(slot, keyproto_slot)
KEYPROTO_ROUNDTRIP_STRUCT(key_add, keyproto_key_add)
KEYPROTO_ROUNDTRIP_STRUCT(rotate, keyproto_rotate)
KEYPROTO_ROUNDTRIP_STRUCT(schedule, keyproto_schedule)
KEYPROTO_ROUNDTRIP_STRUCT(slot_add, keyproto_slot_add)
KEYPROTO_ROUNDTRIP_STRUCT(slot_made, keyproto_slot_made)
KEYPROTO_ROUNDTRIP_STRUCT(slot_test, keyproto_slot_test)
KEYPROTO_ROUNDTRIP_STRUCT(witness, keyproto_witness)

KEYPROTO_ROUNDTRIP_STRUCT(audit_at, keyproto_audit_at)
KEYPROTO_ROUNDTRIP_STRUCT(audit_part, keyproto_audit_part)

static int roundtrip_audit_number(struct span body, struct buf *out)
{
	uint64_t number;

	if (keyproto_audit_number_get(body, &number) != 0)
		return ERR_FORMAT;
	return keyproto_audit_number_put(out, number) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;
}

static int roundtrip_audit_zeroize(struct span body, struct buf *out)
{
	const uint8_t *store;

	if (keyproto_audit_zeroize_get(body, &store) != 0)
		return ERR_FORMAT;
	return keyproto_audit_zeroize_put(out, store) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;
}

static int roundtrip_event(struct span body, struct buf *out)
{
	uint8_t state;

	if (keyproto_event_get(body, &state) != 0)
		return ERR_FORMAT;
	return keyproto_event_put(out, state) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;
}

static int roundtrip_slot_remove(struct span body, struct buf *out)
{
	uint32_t id;

	if (keyproto_slot_remove_get(body, &id) != 0)
		return ERR_FORMAT;
	return keyproto_slot_remove_put(out, id) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;
}

static int roundtrip_bytes(struct span body, struct buf *out)
{
	struct span s;

	if (keyproto_bytes_get(body, &s) != 0)
		return ERR_FORMAT;
	return keyproto_bytes_put(out, s) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;
}

static int roundtrip_rotation(struct span body, struct buf *out)
{
	uint8_t order;

	if (keyproto_rotation_get(body, &order) != 0)
		return ERR_FORMAT;
	return keyproto_rotation_put(out, order) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;
}

static int roundtrip_deks(struct span body, struct buf *out)
{
	static struct keyproto_dek items[KEYPROTO_BATCH_MAX];
	int n = keyproto_deks_get(body, items);

	if (n < 0)
		return n;
	return keyproto_deks_put(out, items, (unsigned)n) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;
}

KEYPROTO_ROUNDTRIP_STRUCT(dek_empty, keyproto_dek_empty)

KEYPROTO_ROUNDTRIP_STRUCT(backup, keyproto_backup)
KEYPROTO_ROUNDTRIP_STRUCT(backup_begun, keyproto_backup_begun)
KEYPROTO_ROUNDTRIP_STRUCT(restore, keyproto_restore)

static int roundtrip_backup_forget(struct span body, struct buf *out)
{
	uint32_t id;

	if (keyproto_backup_forget_get(body, &id) != 0)
		return ERR_FORMAT;
	return keyproto_backup_forget_put(out, id) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;
}

static int roundtrip_shreds(struct span body, struct buf *out)
{
	uint32_t from;

	if (keyproto_shreds_get(body, &from) != 0)
		return ERR_FORMAT;
	return keyproto_shreds_put(out, from) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;
}

KEYPROTO_ROUNDTRIP_STRUCT(checkpoint, keyproto_checkpoint)
KEYPROTO_ROUNDTRIP_STRUCT(checkpoint_signed, keyproto_checkpoint_signed)
KEYPROTO_ROUNDTRIP_STRUCT(checkpoint_last, keyproto_checkpoint_last)
KEYPROTO_ROUNDTRIP_LIST(versions, keyproto_version)
KEYPROTO_ROUNDTRIP_STRUCT(manifest_sign, keyproto_manifest_sign)
KEYPROTO_ROUNDTRIP_STRUCT(manifest_signed, keyproto_manifest_signed)
KEYPROTO_ROUNDTRIP_STRUCT(approver_add, keyproto_approver_add)
KEYPROTO_ROUNDTRIP_STRUCT(track, keyproto_track)

static int roundtrip_audience(struct span body, struct buf *out)
{
	struct span customer;
	int r = keyproto_audience_get(body, &customer);

	if (r != 0)
		return r;
	return keyproto_audience_put(out, customer) == 0 ? 0 : KEYPROTO_ROUNDTRIP_BROKEN;
}

static const keyproto_roundtrip_fn keyproto_roundtrips[] = {
    roundtrip_hello,	       roundtrip_hello_reply, roundtrip_derive_new, roundtrip_derived,
    roundtrip_derive_existing, roundtrip_fields,      roundtrip_results,    roundtrip_mac,
    roundtrip_sign,	       roundtrip_public,      roundtrip_init,	    roundtrip_slot,
    roundtrip_key_add,	       roundtrip_event,	      roundtrip_bytes,
    roundtrip_rotate,	       roundtrip_schedule,    roundtrip_rotation,
    roundtrip_slot_add,	       roundtrip_slot_made,   roundtrip_slot_test,  roundtrip_slot_remove,
    roundtrip_witness,
    roundtrip_deks,	       roundtrip_dek_empty,
    roundtrip_audit_at,	       roundtrip_audit_part,  roundtrip_audit_number, roundtrip_audit_zeroize,
    roundtrip_backup,	       roundtrip_backup_begun, roundtrip_backup_forget, roundtrip_restore,
    roundtrip_shreds,
    roundtrip_checkpoint,      roundtrip_checkpoint_signed, roundtrip_checkpoint_last,
    roundtrip_versions,
    roundtrip_manifest_sign,   roundtrip_manifest_signed, roundtrip_approver_add,   roundtrip_track,
    roundtrip_audience,
};
#define KEYPROTO_ROUNDTRIPS (sizeof(keyproto_roundtrips) / sizeof(keyproto_roundtrips[0]))

#endif
