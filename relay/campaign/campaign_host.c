/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/campaign/campaign_host.h"

#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "relay/campaign/campaign_own.h"
#include "relay/domain/domain.h"

/* --- what the configuration has for tracking: hosts of the customer, and the domain that takes mail to unsubscribe */

static json_t *tracking_of(struct relay *r, const char *customer)
{
	struct relay_conf *conf = relay_now(r);
	const struct relay_track_host *h = conf->tracking.hosts.items;
	json_t *all = json_array();

	for (size_t i = 0; i < conf->tracking.hosts.count; i++)
		if (!strcmp(h[i].customer, customer))
			json_array_append_new(all, json_string(h[i].host));
	if (conf->tracking.mailto && conf->tracking.mailto[0])
		json_array_append_new(all, json_string(conf->tracking.mailto));
	relay_conf_unref(conf);
	return all;
}

static int is_tracking(struct relay *r, const char *customer, const char *host)
{
	json_t *all = tracking_of(r, customer);
	const json_t *v;
	size_t i;
	int is = 0;

	json_array_foreach(all, i, v) is |= !strcmp(json_string_value(v), host);
	json_decref(all);
	return is;
}

/* --- for the lint, and at activation */

int campaign_host_complete(struct relay *r, json_t *source, const char *customer)
{
	json_t *owned = domain_owned(r, customer);

	if (!owned)
		return ERR_IO;
	return json_object_set_new(source, "owned", owned) < 0 ||
		       json_object_set_new(source, "tracking", tracking_of(r, customer)) < 0
		   ? ERR_NOMEM
		   : 0;
}

int campaign_host_check(struct relay *r, const char *customer, const struct camp_manifest *m,
			const char **host)
{
	int rc = 1;

	for (unsigned i = 0; rc == 1 && i < m->n_hosts; i++) {
		*host = m->hosts[i];
		rc = domain_owns(r, customer, *host, NULL);
	}
	for (unsigned i = 0; rc == 1 && m->has_track && i < 2; i++) {
		const char *name = i ? m->track.mailto_domain : m->track.host;
		if (!name || is_tracking(r, customer, name))
			continue;
		*host = name;
		rc = domain_owns(r, customer, name, NULL);
	}
	return rc;
}

/* --- who goes on with a domain */

struct uses {
	struct relay *relay;
	const char *customer, *domain;
	json_t *all;
	int unseen;
	int needs; /* of the version that is looked at */
};

static void look_at_host(void *arg, const char *host)
{
	struct uses *u = arg;

	u->needs |= camp_owner_covers(u->domain, host) &&
		    !is_tracking(u->relay, u->customer, host) &&
		    domain_owns(u->relay, u->customer, host, u->domain) != 1;
}

static int look_at_version(void *arg, const struct store_campaign *row)
{
	struct uses *u = arg;

	if ((row->state != CAMPAIGN_ACTIVE && row->state != CAMPAIGN_PAUSED) ||
	    (row->valid_to && clock_wall() >= row->valid_to))
		return 0;
	u->needs = 0;
	if (campaign_known_hosts(u->relay->campaigns->known, (uint32_t)row->number, look_at_host,
				 u) < 0)
		u->unseen++;
	else if (u->needs)
		json_array_append_new(u->all,
				      json_pack("{s:s, s:I, s:s}", "campaign", row->campaign,
						"version", (json_int_t)row->version, "state",
						campaign_state_name(row->state, 0, 0)));
	return 0;
}

json_t *campaign_host_uses(struct relay *r, const char *customer, const char *domain, int *unseen)
{
	struct uses u = {.relay = r, .customer = customer, .domain = domain, .all = json_array()};

	store_campaign_each(r->store, customer, NULL, look_at_version, &u);
	*unseen = u.unseen;
	return u.all;
}
