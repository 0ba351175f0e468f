/* SPDX-License-Identifier: Apache-2.0 */
/* domain - which domains are a customer's own: hosts of his campaigns are these, or lie below them.
 *
 * Story:     add notes a claim and makes a challenge, which the customer publishes in the DNS (camp_owner.h); verify looks
 *            it up there and makes the domain verified. trust is the administrator's word in place of the DNS: for the
 *            host of a network that many customers use, or where there is no DNS. A campaign's hosts are held to the list
 *            when it is registered (the lint) and once more when it is activated (campaign_host).
 *
 *              pending --verify--> verified        pending, and none at all --trust--> trusted --verify--> verified
 *
 *            A verified domain is of one customer, with all above and below it: who proves it first has it, and a claim
 *            alone keeps nobody out. What is trusted may be of several. A domain stays verified until it is removed,
 *            whatever the DNS says later; a check that failed since is shown.
 * Checks:    each has a resolver of its own with nothing cached, as for DKIM: who has just changed his zone wants to see
 *            that.
 * Limits:    CAMP_OWNER_DOMAINS of a customer; DOMAIN_CHECKS at once, DOMAIN_PATIENCE each.
 * Errors:    ERR_NOTFOUND: the customer has no such row; ERR_EXISTS: it, one above or below it, is verified for another;
 *            ERR_LIMIT: too many; ERR_BADSTATE: trust of what is verified; ERR_BUSY: too many checks; of the store.
 * Events:    domain-added, domain-verified, domain-unverified, domain-trusted, domain-removed.
 * Thread:    control's.
 * Source:    sealpost-domain(8). */
#ifndef RELAY_DOMAIN_DOMAIN_H
#define RELAY_DOMAIN_DOMAIN_H

#include <jansson.h>

#include "campaign/camp_owner.h"
#include "keyproto/keyproto_msg.h"
#include "relay/relay_control.h"

#define DOMAIN_REASON	200
#define DOMAIN_CHECKS	8
#define DOMAIN_PATIENCE (20 * CLOCK_SEC) /* the command waits half a minute */

enum domain_state { DOMAIN_PENDING, DOMAIN_VERIFIED, DOMAIN_TRUSTED }; /* in the store */
const char *domain_state_name(int state);

/* What the DNS said. In the store. X(symbol, number, name, text) */
#define DOMAIN_FOUNDS(X)                                                                          \
	X(UNASKED, 0, "unasked", "the DNS was not asked yet")                                     \
	X(FOUND, 1, "found", "the record is there")                                               \
	X(OTHER, 2, "other", "there is a TXT record, but with another text")                      \
	X(MISSING, 3, "missing", "there is no such TXT record")                                   \
	X(BOGUS, 4, "bogus", "DNSSEC signatures do not hold: what stands there may be anybody's") \
	X(UNREACHABLE, 5, "unreachable", "no answer came from the DNS: try again later")
enum domain_found {
#define DOMAIN_X(sym, num, name, text) DOMAIN_##sym = num,
	DOMAIN_FOUNDS(DOMAIN_X)
#undef DOMAIN_X
};
const char *domain_found_name(int found);
const char *domain_found_text(int found);

struct domain { /* a row that outlives its statement */
	char customer[KEYPROTO_NAME_MAX + 1], domain[MAIL_URL_HOST];
	char challenge[CAMP_OWNER_CHALLENGE + 1], reason[DOMAIN_REASON + 1];
	int state, found, secure;
	int64_t created, since, checked;
};

/* domain as of camp_owner_domain; customer a name of one. *out: the row as it is then. */
int domain_get(struct relay *r, const char *customer, const char *domain, struct domain *out);
/* A claim that is there already stays as it is. */
int domain_add(struct relay *r, const char *customer, const char *domain, struct domain *out);
/* uid: who says so. reason: one line, kept in place of a former one. */
int domain_trust(struct relay *r, const char *customer, const char *domain, const char *reason,
		 unsigned uid, struct domain *out);
int domain_remove(struct relay *r, const char *customer, const char *domain);
/* NULL: of all customers. fn until it says no (not 0), which is returned. */
typedef int (*domain_fn)(void *arg, const struct domain *d);
int domain_each(struct relay *r, const char *customer, domain_fn fn, void *arg);
/* All that is known of it. */
json_t *domain_json(const struct domain *d);

/* 1 if host is a verified or trusted domain of customer, or below one; but for what (NULL: nothing) is passed over. 0,
 * ERR_*. */
int domain_owns(struct relay *r, const char *customer, const char *host, const char *but);
/* Names of the verified and trusted, a new array; NULL: they cannot be read. */
json_t *domain_owned(struct relay *r, const char *customer);

/* Asks the DNS. 0: fn once, later: 0, the row, and what TXT records said (borrowed); or ERR_*. */
typedef void (*domain_verify_fn)(void *arg, int err, const struct domain *d, json_t *texts);
int domain_verify(struct relay *r, const char *customer, const char *domain, domain_verify_fn fn,
		  void *arg);

/* Checks that run: a part of control. */
extern const struct relay_control_part domain_part;

#endif
