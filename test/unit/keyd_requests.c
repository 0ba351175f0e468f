/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/keyd_requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/hex.h"
#include "keyproto/keyproto_audit.h"
#include "keyproto/keyproto_dek.h"
#include "keyproto/keyproto_backup.h"
#include "keyproto/keyproto_checkpoint.h"
#include "keyproto/keyproto_manifest.h"
#include "keyproto/keyproto_rotate.h"
#include "keyproto/keyproto_shred.h"

static void put_derive_new(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_derive_new m = {.customer = SPAN_LIT("default"),
					.purpose = (uint8_t)purpose,
					.count = 1,
					.contexts = {SPAN_LIT("context")}};
	(void)subject;
	keyproto_derive_new_put(b, &m);
}

static void put_derive_existing(struct buf *b, const char *subject, unsigned purpose)
{
	static const uint8_t salt[KEYPROTO_SALT];
	struct keyproto_derive_existing m = {
	    .count = 1,
	    .items = {{SPAN_LIT("default"), (uint8_t)purpose, 1, salt, SPAN_LIT("context")}}};
	(void)subject;
	keyproto_derive_existing_put(b, &m);
}

static void put_fields(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_fields m = {.customer = SPAN_LIT("default"),
				    .purpose = (uint8_t)purpose,
				    .count = 1,
				    .items = {{SPAN_LIT("aad"), SPAN_LIT("data")}}};
	(void)subject;
	keyproto_fields_put(b, &m);
}

static void put_mac(struct buf *b, const char *subject, unsigned purpose)
{
	static const uint8_t mac[32];
	struct keyproto_mac m = {.customer = SPAN_LIT("default"),
				 .label = span_str(subject),
				 .data = SPAN_LIT("data"),
				 .mac = span_of(mac, purpose ? 32 : 0)};
	keyproto_mac_put(b, &m);
}

static void put_mac_to_verify(struct buf *b, const char *subject, unsigned purpose)
{
	(void)purpose;
	put_mac(b, subject, 1);
}

static void put_sign(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_sign m = {span_str(subject), KEYPROTO_ALG_ES256, SPAN_LIT("some text")};
	(void)purpose;
	keyproto_sign_put(b, &m);
}

static void put_name(struct buf *b, const char *subject, unsigned purpose)
{
	(void)purpose;
	keyproto_bytes_put(b, span_str(subject));
}

static void put_checkpoint(struct buf *b, const char *subject, unsigned purpose)
{
	static const uint8_t hash[KEYPROTO_CHECKPOINT_HASH];
	struct keyproto_checkpoint m = {span_str(subject), 1, 10, hash};
	(void)purpose;
	keyproto_checkpoint_put(b, &m);
}

/* Its name is held to the rules of names, which other requests of one name are not. */
static void put_checkpoint_last(struct buf *b, const char *subject, unsigned purpose)
{
	(void)purpose;
	if (keyproto_name_ok(span_str(subject)))
		keyproto_bytes_put(b, span_str(subject));
	else
		b->failed = ERR_FORMAT;
}

static void put_customer(struct buf *b, const char *subject, unsigned purpose)
{
	(void)subject;
	(void)purpose;
	keyproto_bytes_put(b, SPAN_LIT("somebody"));
}

static void put_key_add(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_key_add m = {span_str(subject), KEYPROTO_KEY_EC_P256};
	(void)purpose;
	keyproto_key_add_put(b, &m);
}

static void put_init(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_init m = {.count = 1, .slots = {{.method = KEYPROTO_SLOT_FILE}}};
	(void)subject;
	(void)purpose;
	keyproto_init_put(b, &m);
}

static void put_rotate(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_rotate m = {KEYPROTO_ROTATE_KEK, SPAN_LIT("all"), 0};
	(void)subject;
	(void)purpose;
	keyproto_rotate_put(b, &m);
}

static void put_rotation(struct buf *b, const char *subject, unsigned purpose)
{
	(void)subject;
	(void)purpose;
	keyproto_rotation_put(b, KEYPROTO_ROTATION_PAUSE);
}

static void put_schedule(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_schedule m = {KEYPROTO_SCHEDULE_KEKS, 0};
	(void)subject;
	(void)purpose;
	keyproto_schedule_put(b, &m);
}

static void put_shreds(struct buf *b, const char *subject, unsigned purpose)
{
	(void)subject;
	(void)purpose;
	keyproto_shreds_put(b, 0);
}

static void put_backup(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_backup m = {.what = KEYPROTO_BACKUP_LIST};
	(void)subject;
	(void)purpose;
	keyproto_backup_put(b, &m);
}

static void put_backup_forget(struct buf *b, const char *subject, unsigned purpose)
{
	(void)subject;
	(void)purpose;
	keyproto_backup_forget_put(b, 1);
}

static void put_restore(struct buf *b, const char *subject, unsigned purpose)
{
	static const uint8_t secret[KEYPROTO_BACKUP_SECRET];
	struct keyproto_restore m = {
	    .size = 4, .secret = span_of(secret, sizeof(secret)), .data = SPAN_LIT("data")};
	(void)subject;
	(void)purpose;
	keyproto_restore_put(b, &m);
}

static void put_slot(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_slot m = {.method = KEYPROTO_SLOT_FILE};
	(void)subject;
	(void)purpose;
	keyproto_slot_put(b, &m);
}

static void put_default(struct buf *b, const char *subject, unsigned purpose)
{
	(void)subject;
	(void)purpose;
	keyproto_bytes_put(b, SPAN_LIT("default"));
}

static void put_dek_empty(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_dek_empty m = {SPAN_LIT("default"), 1};
	(void)subject;
	(void)purpose;
	keyproto_dek_empty_put(b, &m);
}

static void put_audit_at(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_audit_at m = {0, 0};
	(void)subject;
	(void)purpose;
	keyproto_audit_at_put(b, &m);
}

static void put_number(struct buf *b, const char *subject, unsigned purpose)
{
	(void)subject;
	(void)purpose;
	keyproto_audit_number_put(b, 1);
}

static void put_store(struct buf *b, const char *subject, unsigned purpose)
{
	static const uint8_t store[16];
	(void)subject;
	(void)purpose;
	keyproto_audit_zeroize_put(b, store);
}

/* An Ed25519 public key: RFC 8032 7.1, test 1. */
static const uint8_t spki[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21,
			       0x00, 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b,
			       0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda,
			       0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};

static void put_manifest_sign(struct buf *b, const char *subject, unsigned purpose)
{
	static const uint8_t hash[KEYPROTO_MANIFEST_HASH], sig[64];
	struct keyproto_manifest_sign m = {{SPAN_LIT("nobody"), SPAN_LIT("spring"), 1, hash,
					    SPAN_LIT("otto"), SPAN_LIT("erika")},
					   span_of(sig, sizeof(sig))};
	(void)subject;
	(void)purpose;
	keyproto_manifest_sign_put(b, &m);
}

static void put_approver_add(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_approver_add m = {SPAN_LIT("erika"), SPAN_LIT("*"),
					  span_of(spki, sizeof(spki))};
	(void)subject;
	(void)purpose;
	keyproto_approver_add_put(b, &m);
}

static void put_track(struct buf *b, const char *subject, unsigned purpose)
{
	struct keyproto_track m = {SPAN_LIT("default"), 318};
	(void)subject;
	(void)purpose;
	keyproto_track_put(b, &m);
}

static void put_audience(struct buf *b, const char *subject, unsigned purpose)
{
	(void)subject;
	(void)purpose;
	keyproto_audience_put(b, SPAN_LIT("default"));
}

static const struct keyd_request requests[] = {
    {KEYPROTO_MANIFEST_SIGN, KEYD_REQUEST_NOTHING, put_manifest_sign, ERR_NOTFOUND},
    {KEYPROTO_APPROVER_ADD, KEYD_REQUEST_NOTHING, put_approver_add, 0},
    {KEYPROTO_APPROVER_REMOVE, KEYD_REQUEST_NOTHING, put_customer, ERR_NOTFOUND},
    {KEYPROTO_APPROVERS, KEYD_REQUEST_NOTHING, NULL, 0},
    {KEYPROTO_TRACK_KEY, KEYD_REQUEST_NOTHING, put_track, 0},
    {KEYPROTO_AUDIENCE_KEY, KEYD_REQUEST_NOTHING, put_audience, 0},
    {KEYPROTO_DERIVE_NEW, KEYD_REQUEST_PURPOSE, put_derive_new, 0},
    {KEYPROTO_DERIVE_EXISTING, KEYD_REQUEST_PURPOSE, put_derive_existing, 0},
    {KEYPROTO_SEAL_FIELDS, KEYD_REQUEST_PURPOSE, put_fields, 0},
    {KEYPROTO_OPEN_FIELDS, KEYD_REQUEST_PURPOSE, put_fields, 0},
    {KEYPROTO_BLIND_INDEX, KEYD_REQUEST_PURPOSE, put_fields, 0},
    {KEYPROTO_RESEAL_FIELDS, KEYD_REQUEST_PURPOSE, put_fields, 0},
    {KEYPROTO_CUSTOMER_KEYS, KEYD_REQUEST_NOTHING, put_default, 0},
    {KEYPROTO_DEK_EMPTY, KEYD_REQUEST_NOTHING, put_dek_empty, ERR_BADSTATE},
    {KEYPROTO_MAC, KEYD_REQUEST_LABEL, put_mac, 0},
    {KEYPROTO_VERIFY_MAC, KEYD_REQUEST_LABEL, put_mac_to_verify, ERR_AUTH},
    {KEYPROTO_SIGN, KEYD_REQUEST_LABEL, put_sign, KEYD_REQUEST_ANY},
    {KEYPROTO_PUBLIC_KEY, KEYD_REQUEST_LABEL, put_name, KEYD_REQUEST_ANY},
    {KEYPROTO_KEY_VERSIONS, KEYD_REQUEST_LABEL, put_name, KEYD_REQUEST_ANY},
    {KEYPROTO_CHECKPOINT, KEYD_REQUEST_LABEL, put_checkpoint, 0},
    {KEYPROTO_CHECKPOINT_LAST, KEYD_REQUEST_LABEL, put_checkpoint_last, ERR_NOTFOUND},
    {KEYPROTO_INIT, KEYD_REQUEST_NOTHING, put_init, ERR_BADSTATE},
    {KEYPROTO_UNSEAL, KEYD_REQUEST_NOTHING, put_slot, ERR_BADSTATE},
    {KEYPROTO_SHRED, KEYD_REQUEST_NOTHING, put_customer, KEYD_REQUEST_ANY},
    {KEYPROTO_CUSTOMER_ADD, KEYD_REQUEST_NOTHING, put_customer, 0},
    {KEYPROTO_KEY_ADD, KEYD_REQUEST_LABEL, put_key_add, KEYD_REQUEST_ANY},
    {KEYPROTO_ROTATE, KEYD_REQUEST_NOTHING, put_rotate, 0},
    {KEYPROTO_ROTATION, KEYD_REQUEST_NOTHING, put_rotation, 0},
    {KEYPROTO_SCHEDULE, KEYD_REQUEST_NOTHING, put_schedule, 0},
    {KEYPROTO_SELFTEST, KEYD_REQUEST_NOTHING, NULL, 0},
    {KEYPROTO_ZEROIZE, KEYD_REQUEST_NOTHING, put_store, ERR_BADSTATE}, /* nothing is kept */
    {KEYPROTO_AUDIT_READ, KEYD_REQUEST_NOTHING, put_audit_at, ERR_NOTFOUND},
    {KEYPROTO_APPROVE, KEYD_REQUEST_NOTHING, put_number, ERR_NOTFOUND},
    {KEYPROTO_PROPOSALS, KEYD_REQUEST_NOTHING, NULL, 0},
    {KEYPROTO_WITHDRAW, KEYD_REQUEST_NOTHING, put_number, ERR_NOTFOUND},
    {KEYPROTO_SHRED, KEYD_REQUEST_NOTHING, put_customer, ERR_NOTFOUND},
    {KEYPROTO_SHREDS, KEYD_REQUEST_NOTHING, put_shreds, 0},
    {KEYPROTO_BACKUP, KEYD_REQUEST_NOTHING, put_backup, 0},
    {KEYPROTO_BACKUP_FORGET, KEYD_REQUEST_NOTHING, put_backup_forget, ERR_NOTFOUND},
    {KEYPROTO_RESTORE, KEYD_REQUEST_NOTHING, put_restore, ERR_BADSTATE},
};

const struct keyd_request *keyd_request_of(unsigned op)
{
	static const struct keyd_request none = {0, KEYD_REQUEST_NOTHING, NULL, KEYD_REQUEST_ANY};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (requests[i].op == op)
			return &requests[i];
	return &none;
}

/* The body of a frame written in hexadecimal, its head in the first line. */
static void put_example(struct buf *b, unsigned op)
{
	const char *top = getenv("srcdir");
	char path[512], line[512];
	uint8_t bytes[256];
	unsigned lines = 0;
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "%s/test/vectors/keyproto/%s.hex", top ? top : ".",
		 keyproto_op_name(op));
	f = keyproto_op_name(op) ? fopen(path, "r") : NULL;
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		n = line[0] == '#' ? 0 : hex_decode(bytes, sizeof(bytes), span_str(line));
		if (n < 0)
			abort();
		if (n && lines++)
			buf_put(b, bytes, (size_t)n);
	}
	if (f)
		fclose(f);
}

void keyd_request_put(struct buf *b, unsigned op, const char *subject)
{
	const struct keyd_request *r = keyd_request_of(op);
	unsigned purpose = 0;

	for (unsigned i = 1; i <= KEYPROTO_FOR_HMAC; i++)
		if (!strcmp(subject, keyproto_purpose_name(i)))
			purpose = i;
	if (r->put)
		r->put(b, subject, purpose);
	else
		put_example(b, op);
}
