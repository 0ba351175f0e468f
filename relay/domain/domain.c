/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/domain/domain.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/rand.h"
#include "relay/domain/domain_own.h"
#include "relay/store/store_domain.h"

/* --- words */

const char *domain_state_name(int state)
{
	static const char *const names[] = {[DOMAIN_PENDING] = "pending",
					    [DOMAIN_VERIFIED] = "verified",
					    [DOMAIN_TRUSTED] = "trusted"};

	return state >= 0 && state < (int)(sizeof(names) / sizeof(names[0])) ? names[state]
									     : "unknown";
}

static const struct {
	const char *name, *text;
} founds[] = {
#define DOMAIN_X(sym, num, name, text) [num] = {name, text},
    DOMAIN_FOUNDS(DOMAIN_X)
#undef DOMAIN_X
};
enum { FOUNDS = sizeof(founds) / sizeof(founds[0]) };

const char *domain_found_name(int found)
{
	return found >= 0 && found < FOUNDS ? founds[found].name : "unknown";
}

const char *domain_found_text(int found)
{
	return found >= 0 && found < FOUNDS ? founds[found].text : "";
}

/* --- rows */

static void row_of(struct domain *out, const struct store_domain *d)
{
	*out = (struct domain){.state = d->state,
			       .found = d->found,
			       .secure = d->secure,
			       .created = d->created,
			       .since = d->since,
			       .checked = d->checked};
	snprintf(out->customer, sizeof(out->customer), "%s", d->customer);
	snprintf(out->domain, sizeof(out->domain), "%s", d->domain);
	snprintf(out->challenge, sizeof(out->challenge), "%s", d->challenge);
	snprintf(out->reason, sizeof(out->reason), "%s", d->reason);
}

static int take_row(void *arg, const struct store_domain *d)
{
	row_of(arg, d);
	return 0;
}

int domain_get(struct relay *r, const char *customer, const char *domain, struct domain *out)
{
	return store_domain_get(r->store, customer, domain, take_row, out);
}

static int put(struct relay *r, const struct domain *d)
{
	const struct store_domain row = {.customer = d->customer,
					 .domain = d->domain,
					 .state = d->state,
					 .challenge = d->challenge,
					 .reason = d->reason,
					 .created = d->created,
					 .since = d->since,
					 .checked = d->checked,
					 .found = d->found,
					 .secure = d->secure};

	return store_domain_put(r->store, &row);
}

struct each {
	domain_fn fn;
	void *arg;
};

static int give_row(void *arg, const struct store_domain *d)
{
	struct each *e = arg;
	struct domain row;

	row_of(&row, d);
	return e->fn(e->arg, &row);
}

int domain_each(struct relay *r, const char *customer, domain_fn fn, void *arg)
{
	struct each e = {fn, arg};

	return store_domain_each(r->store, customer, give_row, &e);
}

json_t *domain_json(const struct domain *d)
{
	char name[CAMP_OWNER_NAME], text[CAMP_OWNER_TEXT];

	camp_owner_name(name, d->domain);
	camp_owner_text(text, d->challenge);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:b}", "domain",
			 d->domain, "customer", d->customer, "state", domain_state_name(d->state),
			 "reason", d->reason, "name", name, "text", text, "created",
			 (json_int_t)d->created, "since", (json_int_t)d->since, "checked",
			 (json_int_t)d->checked, "found", domain_found_name(d->found), "why",
			 domain_found_text(d->found), "dnssec", d->secure);
}

/* --- changes */

/* A row that is not there yet. */
static int make(struct relay *r, const char *customer, const char *domain, struct domain *out)
{
	uint8_t random[CAMP_OWNER_CHALLENGE / 2];
	int64_t n = store_domain_count(r->store, customer);

	if (n < 0)
		return (int)n;
	if (n >= CAMP_OWNER_DOMAINS)
		return ERR_LIMIT;
	memset(out, 0, sizeof(*out));
	out->created = out->since = clock_wall();
	snprintf(out->customer, sizeof(out->customer), "%s", customer);
	snprintf(out->domain, sizeof(out->domain), "%s", domain);
	rand_bytes(random, sizeof(random));
	hex_encode(out->challenge, random, sizeof(random));
	return 0;
}

/* 0, ERR_EXISTS: it is another customer's. */
static int is_free(struct relay *r, const char *customer, const char *domain)
{
	int taken = store_domain_taken(r->store, customer, domain, DOMAIN_VERIFIED);

	return taken > 0 ? ERR_EXISTS : taken;
}

int domain_add(struct relay *r, const char *customer, const char *domain, struct domain *out)
{
	int err = domain_get(r, customer, domain, out);

	if (err != ERR_NOTFOUND)
		return err;
	err = is_free(r, customer, domain);
	if (err == 0)
		err = make(r, customer, domain, out);
	if (err == 0)
		err = put(r, out);
	if (err == 0)
		log_event(LOG_LEVEL_INFO, NULL, "domain-added", "customer=%s domain=%s", customer,
			  domain);
	return err;
}

int domain_trust(struct relay *r, const char *customer, const char *domain, const char *reason,
		 unsigned uid, struct domain *out)
{
	int err = domain_get(r, customer, domain, out);

	if (err == 0 && out->state == DOMAIN_VERIFIED)
		return ERR_BADSTATE;
	if (err == ERR_NOTFOUND)
		err = make(r, customer, domain, out);
	if (err < 0)
		return err;
	out->state = DOMAIN_TRUSTED;
	out->since = clock_wall();
	snprintf(out->reason, sizeof(out->reason), "%s", reason);
	err = put(r, out);
	if (err == 0)
		log_event(LOG_LEVEL_WARN, NULL, "domain-trusted", "customer=%s domain=%s uid=%u",
			  customer, domain, uid);
	return err;
}

int domain_remove(struct relay *r, const char *customer, const char *domain)
{
	int err = store_domain_remove(r->store, customer, domain);

	if (err == 0)
		log_event(LOG_LEVEL_INFO, NULL, "domain-removed", "customer=%s domain=%s", customer,
			  domain);
	return err;
}

int domain_note(struct relay *r, struct domain *d)
{
	int taken = 0, err;

	d->checked = clock_wall();
	if (d->found == DOMAIN_FOUND && d->state != DOMAIN_VERIFIED) {
		taken = is_free(r, d->customer, d->domain);
		if (taken == 0) {
			d->state = DOMAIN_VERIFIED;
			d->since = d->checked;
		}
	}
	err = put(r, d);
	if (err < 0)
		return err;
	if (d->found == DOMAIN_FOUND && taken == 0)
		log_event(LOG_LEVEL_INFO, NULL, "domain-verified",
			  "customer=%s domain=%s dnssec=%s", d->customer, d->domain,
			  d->secure ? "secure" : "insecure");
	else
		log_event(LOG_LEVEL_WARN, NULL, "domain-unverified",
			  "customer=%s domain=%s found=%s state=%s", d->customer, d->domain,
			  domain_found_name(d->found), domain_state_name(d->state));
	return taken;
}

/* --- whose a host is */

static int is_state(void *arg, const struct store_domain *d)
{
	(void)arg;
	return d->state == DOMAIN_VERIFIED || d->state == DOMAIN_TRUSTED;
}

int domain_owns(struct relay *r, const char *customer, const char *host, const char *but)
{
	int rc;

	for (const char *name = host; name;
	     name = strchr(name, '.') ? strchr(name, '.') + 1 : NULL) {
		if ((but && !strcmp(name, but)) || !camp_owner_covers(name, host))
			continue;
		rc = store_domain_get(r->store, customer, name, is_state, NULL);
		if (rc != 0 && rc != ERR_NOTFOUND)
			return rc;
	}
	return 0;
}

static int add_owned(void *arg, const struct store_domain *d)
{
	return is_state(NULL, d) && json_array_append_new(arg, json_string(d->domain)) < 0
		   ? ERR_NOMEM
		   : 0;
}

json_t *domain_owned(struct relay *r, const char *customer)
{
	json_t *all = json_array();

	if (all && store_domain_each(r->store, customer, add_owned, all) == 0)
		return all;
	json_decref(all);
	return NULL;
}
