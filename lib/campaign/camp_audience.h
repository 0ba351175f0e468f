/* SPDX-License-Identifier: Apache-2.0 */
/* camp_audience - who may get a campaign: addresses, made into keyed hashes that tell nothing without the key.
 *
 * Story:     relay reads a list, a piece after the other (camp_audience_read), sorts it and drops what is there twice
 *            (camp_audience_close), and keeps the hashes alone. milter hashes the recipient of each message with the same key
 *            (keyd's AUDIENCE_KEY) and looks whether it is among them (camp_bundle_audience).
 * Same:      two addresses are the same if they are equal once A to Z are small letters, on both sides of the "@". Nothing else
 *            is made equal: no dots, no "+tag", no quotes, no Unicode against xn--. What is an address, smtp_addr says.
 * List:      one address a line, LF or CR LF; blanks around it, empty lines and lines that begin with "#" do not count. The
 *            octets EF BB BF that some editors begin a file with are passed over.
 * Rules:     audience-address: a line is no address. Its number is told and never what stands there.
 * Ownership: clear frees all. What addresses passed through is wiped.
 * Limits:    CAMP_AUDIENCE_MAX addresses.
 * Errors:    ERR_LIMIT, ERR_NOMEM, ERR_CRYPTO (no memory in OpenSSL).
 * Thread:    pure; any. */
#ifndef CAMPAIGN_CAMP_AUDIENCE_H
#define CAMPAIGN_CAMP_AUDIENCE_H

#include "campaign/camp_bundle.h"
#include "campaign/camp_finding.h"

#define CAMP_AUDIENCE_KEY 32

/* Hash of one address, "local@domain". ERR_FORMAT: it is none. */
int camp_audience_hash(const uint8_t key[CAMP_AUDIENCE_KEY], struct span address, uint8_t out[CAMP_AUDIENCE]);

struct camp_audience {
	struct buf hashes; /* CAMP_AUDIENCE octets each */
	uint64_t lines;	   /* read so far */
	uint64_t doubles;  /* dropped by close */
};
void camp_audience_init(struct camp_audience *a);
void camp_audience_clear(struct camp_audience *a);
/* text: whole lines, but for the last of all, which may lack its line end. Lines that are no address are findings, numbered
 * from the first of all. */
int camp_audience_read(struct camp_audience *a, const uint8_t key[CAMP_AUDIENCE_KEY], struct span text,
		       struct camp_findings *fs);
/* Sorts, and drops what is there twice. */
void camp_audience_close(struct camp_audience *a);
static inline uint64_t camp_audience_count(const struct camp_audience *a)
{
	return buf_size(&a->hashes) / CAMP_AUDIENCE;
}

#endif
