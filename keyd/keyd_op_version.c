/* SPDX-License-Identifier: Apache-2.0 */
/* KEY_VERSIONS: what there is of one signing key. */
#include <inttypes.h>
#include <stdio.h>

#include "core/err.h"
#include "keyd/keyd_op.h"
#include "keyproto/keyproto_version.h"

_Static_assert((int)KEYPROTO_VERSION_NEXT == KEYD_RECORD_NEXT &&
		   (int)KEYPROTO_VERSION_DESTROYED == KEYD_RECORD_DESTROYED,
	       "the store's states are those that are told");

static void tell(struct keyproto_version *out, const struct keyd_ring_info *info)
{
	out->version = info->version;
	out->type = (uint8_t)info->type;
	out->state = (uint8_t)info->state;
	out->created = (uint64_t)info->created;
	out->changed = (uint64_t)info->changed;
	out->spki = info->spki;
}

int keyd_op_version_list(struct keyd_op_call *call)
{
	struct keyproto_version items[KEYPROTO_VERSIONS_MAX];
	char name[KEYPROTO_KEYNAME_MAX + 1];
	struct keyd_ring_info info;
	unsigned count = 0;
	struct span label;

	if (keyproto_bytes_get(call->body, &label) < 0)
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, label) < 0)
		return ERR_DENIED;
	if (keyd_ring_key_in(call->keyd->ring, label, 0, &info) < 0)
		return ERR_NOTFOUND;
	call->subject = label;
	do {
		tell(&items[count++], &info);
		snprintf(name, sizeof(name), "%.*s#%" PRIu32, (int)label.n, (const char *)label.p,
			 info.version - 1);
	} while (count < KEYPROTO_VERSIONS_MAX &&
		 keyd_ring_key(call->keyd->ring, span_str(name), &info) == 0);
	return keyproto_versions_put(call->reply, items, count);
}
