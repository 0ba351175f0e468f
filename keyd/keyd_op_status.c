/* SPDX-License-Identifier: Apache-2.0 */
/* STATUS: everything about keyd that is no secret, as JSON. Its names are safe as they are. */
#include "keyd/keyd_op.h"

#include <inttypes.h>

#include "core/clock.h"
#include "core/hex.h"
#include "core/secret.h"
#include "keyd/keyd_rotate_key.h"

#define JSON_MAX (80 * 1024)
#define KEYS_MAX (24 * 1024) /* of signing keys: KEY_LIST has the rest */

static void put_slots(const struct keyd_snapshot_head *head, struct buf *out)
{
	for (unsigned i = 0; head && i < head->slot_count; i++) {
		const struct keyd_root_slot *s = &head->slots[i];
		const struct keyd_root_method *m = keyd_root_method(s->method);
		char created[21];
		clock_format_iso(created, s->created);
		buf_putf(out,
			 "%s{\"id\":%" PRIu32
			 ",\"method\":\"%s\",\"name\":\"%s\",\"created\":\"%s\","
			 "\"safe\":%s,\"offline\":%s",
			 i ? "," : "", s->id, m->name, s->name, created, m->safe ? "true" : "false",
			 m->offline ? "true" : "false");
		if (s->method == KEYPROTO_SLOT_SHARES)
			buf_putf(out, ",\"need\":%u,\"of\":%u", s->shares.need, s->shares.of);
		buf_put_str(out, "}");
	}
}

static int has_credential(const struct keyd_snapshot_head *head)
{
	for (unsigned i = 0; i < head->slot_count; i++)
		if (head->slots[i].method == KEYPROTO_SLOT_CREDENTIAL)
			return 1;
	return 0;
}

static void put_warning(void *arg, const char *text)
{
	struct buf *out = arg;

	buf_putf(out, "%s\"%s\"", buf_ptr(out)[buf_size(out) - 1] == '[' ? "" : ",", text);
}

static void put_warnings(const struct keyd *k, const struct keyd_snapshot_head *head,
			 struct buf *out)
{
	if (k->why)
		put_warning(out, k->why);
	if (k->witness.why)
		put_warning(out, k->witness.why);
	if (head)
		keyd_root_warnings(head->slots, head->slot_count, put_warning, out);
	if (head && k->host_key_plain && has_credential(head))
		put_warning(out, "the host key of systemd's credentials lies on a disk that is not "
				 "encrypted");
	keyd_rotate_key_warnings(k, put_warning, out);
	keyd_sandbox_warnings(&k->sandbox, put_warning, out);
	keyd_shred_warnings(k, put_warning, out);
	if (k->token && !keyd_token_alive(k->token))
		put_warning(out, "the token helper has died: slots on tokens need a restart");
	if (k->store && k->ring && !keyd_store_writable(k->store))
		put_warning(out,
			    "the journal cannot be written: new customers and keys are refused");
	if (!keyd_audit_writable(k))
		put_warning(out, "the audit log cannot be written: administration is refused");
}

static void put_requests(const struct keyd_counts *counts, struct buf *out)
{
	const char *comma = "";

	for (unsigned op = 0; op < KEYPROTO_EVENT; op++) {
		if (!keyproto_op_name(op))
			continue;
		buf_putf(out, "%s\"%s\":%" PRIu64, comma, keyproto_op_name(op),
			 counts->requests[op]);
		comma = ",";
	}
}

int keyd_op_status(struct keyd_op_call *call)
{
	const struct keyd *k = call->keyd;
	const struct keyd_snapshot_head *head = k->store ? keyd_store_head(k->store) : NULL;
	struct keyd_ring_counts n = {.keks = 0};
	char id[HEX_SIZE(16)];
	size_t used, taken;
	struct buf out;
	int rc;

	if (call->body.n)
		return KEYD_OP_MALFORMED;
	if (k->ring)
		keyd_ring_counts(k->ring, &n);
	hex_encode(id, keyd_store_id(k), 16);
	secret_usage(&used, &taken);
	buf_init(&out, JSON_MAX);
	buf_putf(&out,
		 "{\"state\":\"%s\",\"store\":\"%s\",\"generation\":%" PRIu64
		 ",\"uptime_s\":%" PRId64 ",\"customers\":%" PRIu32 ",\"deks\":%" PRIu32
		 ",\"keks\":%" PRIu32 ",",
		 keyproto_state_name(k->state), id, head ? head->generation : 0,
		 (clock_mono() - k->started) / CLOCK_SEC, n.customers, n.deks, n.keks);
	keyd_op_key_json(k->ring, 0, KEYS_MAX, &out);
	buf_put_str(&out, ",\"slots\":[");
	put_slots(head, &out);
	buf_put_str(&out, "],\"unseal\":");
	keyd_unseal_json(&k->unseal, clock_mono(), &out);
	buf_put_str(&out, ",\"warnings\":[");
	put_warnings(k, head, &out);
	buf_put_str(&out, "],");
	keyd_rotate_json(k->rotate, &out);
	buf_put_str(&out, ",\"requests\":{");
	put_requests(&k->counts, &out);
	buf_put_str(&out, "},\"sandbox\":");
	keyd_sandbox_json(&k->sandbox, &out);
	buf_putf(&out, ",\"token_helper\":\"%s\"",
		 !k->token		      ? "absent"
		 : keyd_token_alive(k->token) ? "ready"
					      : "dead");
	buf_put_str(&out, ",\"audit\":");
	keyd_audit_json(k, &out);
	buf_put_str(&out, ",\"tamper\":");
	keyd_watch_json(call->keyd, &out);
	buf_putf(&out,
		 ",\"denied\":%" PRIu64 ",\"bad_frames\":%" PRIu64
		 ",\"locked_bytes\":%zu,\"selftest\":\"%s\"}",
		 k->counts.denied, k->counts.bad_frames, taken, k->tested ? "passed" : "failed");
	rc = buf_failed(&out) ? buf_failed(&out) : buf_put_span(call->reply, buf_span(&out));
	buf_clear(&out);
	return rc;
}
