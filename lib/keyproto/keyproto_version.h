/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_version - KEY_VERSIONS: the versions of one signing key, with their public parts.
 *
 * Story:     who signs by a key and must name the version to others (DKIM's selector), or has to
 *            know which ones signed before, asks for its label: one bytes16 (keyproto_bytes_put).
 *            The answer has the versions, newest first, also those that were destroyed. It holds
 *            until keyd's epoch grows: it does when a version is made, or activated.
 *            E_NOTFOUND: no such label.
 * Limits:    the newest KEYPROTO_VERSIONS_MAX.
 * Ownership: spans point into the body.
 * Errors:    ERR_FORMAT.
 * Source:    sealpost-keyproto(7).
 * Thread:    pure; any. */
#ifndef KEYPROTO_KEYPROTO_VERSION_H
#define KEYPROTO_KEYPROTO_VERSION_H

#include "keyproto/keyproto_msg.h"

#define KEYPROTO_VERSIONS_MAX 64

enum keyproto_version_state {
	KEYPROTO_VERSION_NEXT = 1,   /* made, signs nothing yet (but for tls/...) */
	KEYPROTO_VERSION_ACTIVE = 2, /* the label without a number means it */
	KEYPROTO_VERSION_RETIRED = 3,
	KEYPROTO_VERSION_DESTROYED = 4
};
/* "next", "active", "retired", "destroyed", or NULL. */
const char *keyproto_version_state_name(unsigned state);

struct keyproto_version {
	uint32_t version; /* from 1, without gaps */
	uint8_t type;	  /* enum keyproto_keytype */
	uint8_t state;	  /* enum keyproto_version_state */
	uint64_t created; /* microseconds since 1970 */
	uint64_t changed; /* when it came into its state */
	struct span spki; /* DER SubjectPublicKeyInfo */
};
int keyproto_versions_put(struct buf *b, const struct keyproto_version *items, unsigned count);
/* items: room for KEYPROTO_VERSIONS_MAX. Returns the count, from 1, or ERR_FORMAT. */
int keyproto_versions_get(struct span body, struct keyproto_version *items);
/* When version at of items (as _get gives them) ceased to sign, microseconds since 1970; 0: it signs, or will. Of one that is
 * destroyed it may be told too late, never too early. */
int64_t keyproto_version_retired(const struct keyproto_version *items, unsigned at);

#endif
