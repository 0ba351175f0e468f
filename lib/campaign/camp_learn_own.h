/* SPDX-License-Identifier: Apache-2.0 */
/* camp_learn_own - one text of all proofs. */
#ifndef CAMPAIGN_CAMP_LEARN_OWN_H
#define CAMPAIGN_CAMP_LEARN_OWN_H

#include "campaign/camp_learn.h"
#include "core/buf.h"

/* bits: where a field was found */
enum { CAMP_LEARN_FOUND = 1, CAMP_LEARN_PERCENT = 2, CAMP_LEARN_AFTER_EQUALS = 4 };

/* text: the text of each proof; found: bits of each field, added to. Appends the template. */
int camp_learn_text(const struct camp_learn_proof *proofs, unsigned n_proofs, const char *const *fields, unsigned n_fields,
		    const struct span *text, const char *part, struct buf *out, unsigned *found, struct camp_learn_error *e);

#endif
