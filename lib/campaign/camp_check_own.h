/* SPDX-License-Identifier: Apache-2.0 */
/* camp_check_own - the judge's state; camp_check.c has the body, camp_check_head.c the header section. */
#ifndef CAMPAIGN_CAMP_CHECK_OWN_H
#define CAMPAIGN_CAMP_CHECK_OWN_H

#include <openssl/evp.h>

#include "campaign/camp_check.h"

struct camp_check_signed_part {
	unsigned part;
	uint64_t size;
	uint8_t sha256[CAMP_HASH], mac[CAMP_PART_MAC];
	int seen;
};

struct camp_check {
	const struct camp_compiled *c;
	const struct camp_manifest *m;
	struct mail_gate *gate;
	struct camp_check_result result;
	char rcpt[330];
	const char *name; /* of the header being judged */
	unsigned seen; /* headers that came: a bit for each row of the table */

	unsigned row; /* the next of the tree */
	const struct camp_mime *current;
	unsigned part;
	struct camp_match match;
	struct camp_match_params match_params;
	EVP_MD_CTX *digest;
	uint64_t octets;

	struct camp_place *places;
	unsigned n_places, cap_places, first_place;
	struct buf values;
	struct camp_edit_part parts[CAMP_PARTS + 1];
	unsigned n_parts;
	size_t skipped;
	struct camp_check_signed_part signed_part[CAMP_ATTACHMENTS];
	unsigned n_signed;
	int done;
};

/* Notes the first verdict; the error to give back. */
int camp_check_fail(struct camp_check *k, enum camp_verdict v);
/* A field of the header section; its end. */
int camp_check_field(struct camp_check *k, struct span name, struct span value);
int camp_check_fields(struct camp_check *k);
struct camp_check_signed_part *camp_check_part_of(struct camp_check *k, unsigned part);

#endif
