/* SPDX-License-Identifier: Apache-2.0 */
/* campaign - what campaigns are registered here, and what others may know of them.
 *
 * Story:     an author adds a source (campaign_add); the lint makes a manifest and templates of it, which lie sealed in the
 *            store and never change. Somebody else approves them with a key of his own, keyd countersigns at activation.
 *            milter asks for the list and for bundles (api_milter), the tracking host where a link leads.
 *
 *              linted --> approved --> active <--> paused
 *                 |           |           |           |     revoked: by order; superseded: a newer version was activated;
 *                 +-----------+-----------+-----------+---> both stand in the signed list of the revoked, for ever
 *
 *            Whatever was ever active is opened and checked when keyd is ready: hash, templates, keyd's signature. What
 *            does not hold is told loudly (event campaign-damaged), and served to nobody.
 * Numbers:   each version has one, from 1, which no other version of any campaign ever gets: tokens carry it.
 * Ownership: everything is copied.
 * Thread:    campaign_link, campaign_find: any, they never wait. The rest: control's. */
#ifndef RELAY_CAMPAIGN_CAMPAIGN_H
#define RELAY_CAMPAIGN_CAMPAIGN_H

#include <jansson.h>

#include "relay/relay_control.h"

#define CAMPAIGN_NAME_MAX 64
#define CAMPAIGN_URL_MAX  2048

/* X(symbol, number in the store, name) */
#define CAMPAIGN_STATES(X)                                                                         \
	X(MAKING, 0, "making") /* being sealed: nobody is told of it */                            \
	X(LINTED, 1, "linted")                                                                     \
	X(APPROVED, 2, "approved")                                                                 \
	X(ACTIVE, 3, "active")                                                                     \
	X(PAUSED, 4, "paused")                                                                     \
	X(REVOKED, 5, "revoked")                                                                   \
	X(SUPERSEDED, 6, "superseded")
enum campaign_state {
#define CAMPAIGN_X(sym, num, name) CAMPAIGN_##sym = num,
	CAMPAIGN_STATES(CAMPAIGN_X)
#undef CAMPAIGN_X
};
/* What people are told: "ended" for one that is active or paused and whose time was over at now (valid_to, wall usec; 0: it
 * has no end), else the state's name; "unknown" for a number that has none. */
const char *campaign_state_name(int state, int64_t valid_to, int64_t now);

/* A version that was ever active, by its number. */
struct campaign_about {
	char customer[CAMPAIGN_NAME_MAX + 1], campaign[CAMPAIGN_NAME_MAX + 1];
	uint32_t version;
	int state;	/* enum campaign_state: ACTIVE and what comes after it */
	unsigned links; /* indexes are below it */
};
/* 0; ERR_NOTFOUND: no version of that number was ever active, or its manifest does not hold; ERR_AWAY: not opened yet,
 * for keyd was not there since relay started: it may be answered later. */
int campaign_find(struct relay *r, uint32_t number, struct campaign_about *out);
/* Where the manifest's link leads: url as the manifest has it, {NAME} standing for a field's value; "" for a link that is
 * not tracked. ERR_NOTFOUND also for an index that it does not have. about may be NULL. */
int campaign_link(struct relay *r, uint32_t number, unsigned index, char url[CAMPAIGN_URL_MAX + 1],
		  struct campaign_about *about);

/* --- what the API asks (control's thread). Each is answered once, perhaps within the call: 0 and an object, taken over;
 * or ERR_* and why, for a person. An object may come with an error too: findings of the lint, with ERR_UNSUPPORTED. */
typedef void (*campaign_fn)(void *arg, int err, const char *why, json_t *body);

/* Which version of what; version 0: the newest. */
struct campaign_which {
	const char *customer, *campaign;
	int64_t version;
};

/* source: a document for the lint, borrowed; what it says of author, version and number, and of whose its hosts are, is overwritten. */
void campaign_add(struct relay *r, json_t *source, const char *author, campaign_fn fn, void *arg);
void campaign_lint_only(struct relay *r, json_t *source, const char *author, campaign_fn fn, void *arg);
/* Text of the next lines of a list of recipients: see campaign_audience.h. A source names the list in its member audience. */
void campaign_audience(struct relay *r, const char *customer, const char *list, struct span text, campaign_fn fn,
		       void *arg);
/* signature: over keyproto_manifest_approver_text of hash, which must be the version's. */
void campaign_approve(struct relay *r, const struct campaign_which *which, const uint8_t hash[32],
		      const char *approver, struct span signature, campaign_fn fn, void *arg);
/* keep: versions that are active stay so; else they are superseded, and join the list of the revoked. */
void campaign_activate(struct relay *r, const struct campaign_which *which, int keep, campaign_fn fn, void *arg);
/* version 0: all versions, and those that may come. */
void campaign_revoke(struct relay *r, const struct campaign_which *which, campaign_fn fn, void *arg);
/* active to paused, and back. */
void campaign_pause(struct relay *r, const struct campaign_which *which, int pause, campaign_fn fn, void *arg);
/* The row, and with content: findings and bundle. */
void campaign_show(struct relay *r, const struct campaign_which *which, campaign_fn fn, void *arg);
/* What milter would say of this message: the judge itself. */
void campaign_test(struct relay *r, const struct campaign_which *which, struct span message, const char *rcpt,
		   campaign_fn fn, void *arg);
/* Rows; NULL: of any customer, any campaign. */
json_t *campaign_list(struct relay *r, const char *customer, const char *campaign);
/* For status. */
struct campaign_numbers {
	int64_t active, damaged; /* damaged: of all that were looked at */
	int revoked_damaged;	 /* the list of the revoked is not what keyd signed */
};
void campaign_numbers(struct relay *r, struct campaign_numbers *n);

/* --- for milter. ERR_AWAY, ERR_DAMAGED: nothing can be said, campaign mail has to wait. */
int campaign_feed(struct relay *r, json_t **out);
void campaign_bundle(struct relay *r, const struct campaign_which *which, campaign_fn fn, void *arg);
/* Octets of its audience, from there on. */
void campaign_audience_piece(struct relay *r, const struct campaign_which *which, int64_t from, campaign_fn fn, void *arg);
/* {"granted": at most count, "grant": the id of this block}. spent: the id of one that was used up, or NULL; ERR_FORMAT: it is
 * none. */
int campaign_take(struct relay *r, const struct campaign_which *which, int64_t count, const json_t *spent, json_t **answer);
/* items: an array of {"grant", "unused"}; those that were given back before, or never granted, are passed over. ERR_FORMAT. */
int campaign_return(struct relay *r, const json_t *items, int64_t *returned);
/* items: an array. How many were taken, or ERR_FORMAT. */
int campaign_reports(struct relay *r, const json_t *items);
int campaign_report(struct relay *r, const char *id, json_t **out);

extern const struct relay_control_part campaign_part;

#endif
