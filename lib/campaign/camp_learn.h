/* SPDX-License-Identifier: Apache-2.0 */
/* camp_learn - makes a source of proofs: messages as the customer's own pipeline sent them, with the values that were put in.
 *
 * Story:     a pipeline that inlines CSS or rewrites HTML gives texts that no author has written. So the same campaign is
 *            sent three times or more, each with other values for each field, and the proofs are laid side by side: what is
 *            the same in all is fixed text, and where each has its own value of one field is that field. Anything else is a
 *            difference that nobody has explained, and refused with its place. The result is a source that goes through lint
 *            and approval as any other.
 * Forms:     a value is found as it is, with & < > " ' as character references, and percent-encoded.
 * Ambiguity: refused: a field that has the same value in two proofs, is empty, or is never found; two fields that could
 *            stand at one place; a difference that no field explains; parts of other types or numbers.
 * Ownership: borrows the proofs; the source is the caller's (json_decref).
 * Limits:    CAMP_LEARN_PROOFS; CAMP_* of the manifest. Time: octets of all proofs, times fields.
 * Thread:    pure; any. */
#ifndef CAMPAIGN_CAMP_LEARN_H
#define CAMPAIGN_CAMP_LEARN_H

#include <jansson.h>

#include "campaign/camp_manifest.h"

#define CAMP_LEARN_PROOFS     32
#define CAMP_LEARN_PROOFS_MIN 3

/* A part, decoded: a text (canonical), or a file. */
struct camp_learn_part {
	const char *type;
	int is_text, flowed;
	struct span text;
	const char *name, *cid, *disposition; /* "" if none */
	uint64_t size;
	uint8_t sha256[CAMP_HASH];
};

struct camp_learn_proof {
	const char *name; /* for errors: a file's */
	struct span subject; /* decoded */
	const char *from_addr, *from_name, *rcpt;
	const struct camp_learn_part *part;
	unsigned n_parts;
	struct span value[CAMP_FIELDS]; /* of each field, in the order of the names */
};

struct camp_learn_error {
	char place[160]; /* "parts[1] of second.eml, line 12, column 40" */
	char text[256];
};

/* fields: names and values. *source: an object with from, subject, parts and fields; the rest is the author's to add.
 * 0; ERR_FORMAT: refused, *e says why; ERR_NOMEM. */
int camp_learn(const struct camp_learn_proof *proofs, unsigned n_proofs, const char *const *fields, unsigned n_fields,
	       json_t **source, struct camp_learn_error *e);

#endif
