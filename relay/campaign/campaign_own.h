/* SPDX-License-Identifier: Apache-2.0 */
/* campaign_own - what the files of relay/campaign share. */
#ifndef RELAY_CAMPAIGN_CAMPAIGN_OWN_H
#define RELAY_CAMPAIGN_CAMPAIGN_OWN_H

#include "campaign/camp_bundle.h"
#include "evt/evt_timer.h"
#include "keyproto/keyproto_manifest.h"
#include "relay/campaign/campaign_audience.h"
#include "relay/campaign/campaign_known.h"
#include "relay/campaign/campaign_lint.h"
#include "relay/campaign/campaign_pack.h"
#include "relay/campaign/campaign_revoked.h"

#define CAMPAIGN_SPKI 44 /* of keyd's key, DER */

struct campaign_key { /* a version of keyd's key "manifest/CUSTOMER" */
	char customer[CAMPAIGN_NAME_MAX + 1];
	uint32_t version;
	uint8_t spki[CAMPAIGN_SPKI];
};

struct campaigns { /* control's, but for known */
	struct relay *relay;
	struct campaign_known *known;
	struct campaign_lint *lint;
	struct campaign_audiences *audiences;
	struct campaign_revoked *revoked;
	struct evt_timer timer;
	uint64_t revision; /* of what milter is told */
	struct campaign_key keys[32]; /* that were asked for, used by turns */
	unsigned key_count, key_next;
	int64_t *damaged; /* numbers of versions that do not hold */
	size_t damaged_count;
	/* opening what was ever active */
	int loading, again;
	int64_t *to_load;
	size_t load_count, load_at;
	int64_t audience_told; /* mono: when one that does not open was told of last */
	int64_t expired; /* mono: when old rejections were last looked for */
};

/* A row that outlives its statement. */
struct campaign_row {
	int64_t number, version;
	int state;
	char customer[CAMPAIGN_NAME_MAX + 1], campaign[CAMPAIGN_NAME_MAX + 1];
	char author[CAMPAIGN_NAME_MAX + 1], approver[CAMPAIGN_NAME_MAX + 1];
	int64_t created, approved, activated, changed, warnings, valid_from, valid_to, max_messages, taken;
	int64_t pieces, size, key_version;
	uint8_t hash[STORE_CAMPAIGN_HASH];
	uint8_t approval[KEYPROTO_MANIFEST_SIG_MAX], signature[KEYPROTO_MANIFEST_SIG];
	size_t approval_size, signature_size;
};
void campaign_row_of(struct campaign_row *out, const struct store_campaign *c);
/* version 0: the newest. ERR_NOTFOUND. */
int campaign_row_get(struct campaigns *c, const char *customer, const char *campaign, int64_t version,
		     struct campaign_row *out);
/* What its signatures are of; spans into row. */
void campaign_row_manifest(const struct campaign_row *row, struct keyproto_manifest *m);
/* As JSON, for the API. */
json_t *campaign_row_json(struct campaigns *c, const struct campaign_row *row);

/* Opens a version and checks it: hash, templates, what the manifest says of itself, keyd's signature if it has one. What
 * does not hold is noted and told (campaign-damaged). fn: 0 and what was opened, which holds during the call; or
 * ERR_DAMAGED, ERR_GONE, ERR_AWAY...  Returns 0 if fn will be called. */
struct campaign_opened {
	struct campaign_row row;
	struct span findings, package; /* JSON; a bundle's octets */
	struct camp_bundle bundle;
	struct camp_manifest *manifest; /* a callee that wants to keep it sets it to NULL */
};
typedef void (*campaign_open_fn)(void *arg, int err, struct campaign_opened *o);
void campaign_open(struct campaigns *c, const struct campaign_row *row, campaign_open_fn fn, void *arg);
int campaign_is_damaged(const struct campaigns *c, int64_t number);

/* Milter's list, and what tracking knows, have changed. */
void campaign_changed(struct campaigns *c);
/* Opens what tracking may be asked for and does not know yet. */
void campaign_load(struct campaigns *c);

#endif
