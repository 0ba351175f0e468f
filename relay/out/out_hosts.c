/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_hosts.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_timer.h"
#include "relay/out/out_addr.h"
#include "relay/out/out_site.h"
#include "relay/out/out_verdict.h"

#define PATIENCE (30 * CLOCK_SEC) /* for names and addresses; then once more for TLSA records */
#define TTL_MIN	 (30 * CLOCK_SEC)
#define TTL_MAX	 (3600 * CLOCK_SEC)

static const struct queue_result short_of_memory = {
    .outcome = SPOOL_DEFERRED, .reason = QUEUE_LOCAL, .reply = "4.3.0 out of memory"};

struct host_query {
	struct out_hosts_lookup *lookup;
	struct out_dns_query *query;
	uint8_t host, v6;
};

/* What DANE needs to know of a host, step by step. */
struct dane_query {
	struct out_hosts_lookup *lookup;
	struct out_dns_query *query;
	uint8_t host;
	uint8_t secure, insecure; /* addresses came that are */
	uint8_t own; /* the host's own name is being asked, not the end of its aliases */
	char canonical[OUT_MX_NAME];
};

struct out_hosts_lookup {
	struct out_dns *dns;
	const struct relay_conf *conf;
	struct out_route route;
	out_hosts_fn fn;
	void *arg;
	struct evt_timer timer;
	struct out_dns_query *mx;
	struct out_mx_host mx_hosts[OUT_MX_HOSTS];
	struct host_query queries[2 * OUT_MX_HOSTS];
	struct dane_query dane_queries[OUT_MX_HOSTS];
	unsigned query_count, open; /* open counts one for the starter while it asks */
	unsigned unsure, bogus, refused;
	int dane, asking_dane;
	int done; /* told; freed when the starter lets go */
	int within;
	int only_site;
	uint32_t ttl;
	struct out_hosts hosts;
};

static void lookup_free(struct out_hosts_lookup *k)
{
	evt_timer_clear(&k->timer);
	out_dns_cancel(k->mx);
	for (unsigned i = 0; i < k->query_count; i++)
		out_dns_cancel(k->queries[i].query);
	for (unsigned i = 0; i < k->hosts.name_count; i++)
		out_dns_cancel(k->dane_queries[i].query);
	out_hosts_clear(&k->hosts);
	free(k);
}

static void tell(struct out_hosts_lookup *k, const struct queue_result *failure)
{
	int64_t ttl = k->ttl * CLOCK_SEC;

	for (unsigned i = 0; i < k->hosts.name_count; i++)
		if (k->hosts.tlsa[i].state >= OUT_TLSA_FAILED)
			ttl = 0; /* may be better soon */
	k->done = 1;
	k->hosts.ttl = ttl < TTL_MIN ? TTL_MIN : ttl > TTL_MAX ? TTL_MAX : ttl;
	k->fn(k->arg, &k->hosts, failure);
	if (!k->within)
		lookup_free(k);
}

static void tell_failure(struct out_hosts_lookup *k, int outcome, int reason, const char *enhanced,
			 const char *text)
{
	struct queue_result v = {0};

	if (k->route.named && outcome == SPOOL_BOUNCED) {
		outcome = SPOOL_DEFERRED;
		reason = QUEUE_DNS;
		enhanced = "4.4.4";
	}
	out_verdict_ours(&v, outcome, reason, enhanced, text);
	tell(k, &v);
}

static void end_dane(struct dane_query *q, enum out_tlsa_state state);

static void on_timer(void *arg)
{
	struct out_hosts_lookup *k = arg;

	if (!k->asking_dane) {
		tell_failure(k, SPOOL_DEFERRED, QUEUE_DNS, "4.4.3", "name lookup took too long");
		return;
	}
	k->open++; /* so that it is not told before the last */
	for (unsigned i = 0; i < k->hosts.name_count; i++)
		if (k->dane_queries[i].query) {
			out_dns_cancel(k->dane_queries[i].query);
			end_dane(&k->dane_queries[i], OUT_TLSA_FAILED);
		}
	k->open = 0;
	tell(k, NULL);
}

static void ask_dane(struct out_hosts_lookup *k);

/* No host has an address that could be used. */
static void conclude_none(struct out_hosts_lookup *k)
{
	if (k->bogus) {
		k->hosts.failure = TLSRPT_DNSSEC_INVALID;
		tell_failure(k, SPOOL_DEFERRED, QUEUE_DNS, "4.4.3",
			     "addresses of the mail host failed DNSSEC validation (bogus)");
	} else if (k->unsure) {
		tell_failure(k, SPOOL_DEFERRED, QUEUE_DNS, "4.4.3",
			     "addresses of the mail host could not be looked up for now");
	} else if (k->refused) {
		tell_failure(k, SPOOL_BOUNCED, QUEUE_POLICY, "5.4.4",
			     "mail host has only addresses that are not allowed");
	} else {
		tell_failure(k, SPOOL_BOUNCED, QUEUE_DNS, "5.4.4",
			     k->route.mx ? "mail host has no address" : "next hop has no address");
	}
}

/* All that was asked has been heard of. */
static void conclude(struct out_hosts_lookup *k)
{
	if (!k->hosts.count)
		conclude_none(k);
	else if (k->dane && k->hosts.mx_secure && !k->asking_dane)
		ask_dane(k);
	else
		tell(k, NULL);
}

static void add_target(struct out_hosts_lookup *k, const uint8_t *bytes, int v6, uint8_t host)
{
	struct out_hosts_target *t = &k->hosts.targets[k->hosts.count];
	struct sockaddr_storage a;

	out_addr_make(&a, bytes, v6, k->route.port);
	if (!k->route.named && !out_addr_allowed(k->conf, &a)) {
		k->refused++;
		log_event(LOG_LEVEL_WARN, NULL, "mx-address-refused", "host=%s kind=%s",
			  k->hosts.names[host], out_addr_special(&a));
		return;
	}
	if (k->hosts.count == OUT_HOSTS_TARGETS)
		return;
	t->address = a;
	t->rank = (struct out_mx_rank){
	    .preference = k->mx_hosts[host].preference,
	    .host = host,
	    .family = (v6 != 0) == (k->conf->outbound.ipv6 != RELAY_IPV6_PREFER)};
	k->hosts.count++;
}

static void let_go(struct out_hosts_lookup *k)
{
	if (--k->open == 0)
		conclude(k);
}

static void note_security(struct dane_query *d, const struct out_dnsmsg *msg, int secure)
{
	if (secure)
		d->secure = 1;
	else
		d->insecure = 1;
	memcpy(d->canonical, msg->canonical, sizeof(d->canonical));
}

static void on_addresses(void *arg, int result, const struct out_dnsmsg *msg, int secure)
{
	struct host_query *q = arg;
	struct out_hosts_lookup *k = q->lookup;

	q->query = NULL;
	if (result < 0 && result != ERR_NOTFOUND)
		k->unsure++;
	if (result == ERR_AUTH)
		k->bogus++;
	if (result == 0 && msg->count)
		note_security(&k->dane_queries[q->host], msg, secure);
	if (result == 0 && msg->count && msg->ttl < k->ttl)
		k->ttl = msg->ttl;
	for (unsigned i = 0; result == 0 && i < msg->count; i++)
		add_target(k, msg->addresses[i], q->v6, q->host);
	let_go(k);
}

/* --- DANE */

static void note_unusable(const struct out_tlsa *t, const char *host)
{
	if (!t->unusable && !t->malformed)
		return;
	log_event(t->malformed ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, NULL, "tlsa-unusable",
		  "host=%s usable=%u unusable=%u malformed=%u", host, t->usable, t->unusable,
		  t->malformed);
}

static void end_dane(struct dane_query *q, enum out_tlsa_state state)
{
	struct out_hosts_lookup *k = q->lookup;

	q->query = NULL;
	k->hosts.tlsa[q->host].state = (uint8_t)state;
	let_go(k);
}

static void ask_tlsa(struct dane_query *q, const char *base);

static void take_tlsa(struct dane_query *q, const struct out_dnsmsg *msg)
{
	struct out_hosts_lookup *k = q->lookup;
	const char *host = k->hosts.names[q->host];
	struct out_tlsa *t = out_tlsa_make(q->own ? host : q->canonical, msg);

	if (msg->ttl < k->ttl)
		k->ttl = msg->ttl;
	if (!t) { /* without them it must not go on */
		end_dane(q, OUT_TLSA_FAILED);
		return;
	}
	note_unusable(t, host);
	k->hosts.tlsa[q->host].records = t;
	end_dane(q, t->usable ? OUT_TLSA_USABLE : OUT_TLSA_UNUSABLE);
}

static void on_tlsa(void *arg, int result, const struct out_dnsmsg *msg, int secure)
{
	struct dane_query *q = arg;

	q->query = NULL;
	if (result == 0 && secure && msg->count + msg->void_records > 0)
		take_tlsa(q, msg);
	else if (result == ERR_AUTH)
		end_dane(q, OUT_TLSA_BOGUS);
	else if (result < 0 && result != ERR_NOTFOUND)
		end_dane(q, OUT_TLSA_FAILED);
	else if (!q->own) /* none there: the name itself */
		ask_tlsa(q, NULL);
	else
		end_dane(q, OUT_TLSA_NONE);
}

/* base NULL: the host's own name. */
static void ask_tlsa(struct dane_query *q, const char *base)
{
	struct out_hosts_lookup *k = q->lookup;
	struct out_dns_query *asked;
	char name[OUT_TLSA_NAME];

	q->own = base == NULL;
	if (out_tlsa_name(name, k->route.port, base ? base : k->hosts.names[q->host]) < 0) {
		end_dane(q, OUT_TLSA_NONE); /* no such name can be published */
		return;
	}
	asked = out_dns_ask(k->dns, name, OUT_DNSMSG_TLSA, on_tlsa, q);
	if (asked) /* else it was answered within */
		q->query = asked;
}

/* Whether the alias itself is secure, though what it stands for is not. */
static void on_alias(void *arg, int result, const struct out_dnsmsg *msg, int secure)
{
	struct dane_query *q = arg;

	(void)msg;
	q->query = NULL;
	if (result == ERR_AUTH)
		end_dane(q, OUT_TLSA_BOGUS);
	else if (result < 0 && result != ERR_NOTFOUND)
		end_dane(q, OUT_TLSA_FAILED);
	else if (secure)
		ask_tlsa(q, NULL);
	else
		end_dane(q, OUT_TLSA_INSECURE);
}

static void ask_host(struct out_hosts_lookup *k, unsigned host)
{
	struct dane_query *q = &k->dane_queries[host];
	struct out_dns_query *asked;

	k->open++;
	if (q->secure) {
		ask_tlsa(q, q->canonical[0] ? q->canonical : NULL);
	} else if (q->canonical[0]) {
		asked = out_dns_ask(k->dns, k->hosts.names[host], OUT_DNSMSG_CNAME, on_alias, q);
		if (asked)
			q->query = asked;
	} else {
		end_dane(q, OUT_TLSA_INSECURE);
	}
}

static void ask_dane(struct out_hosts_lookup *k)
{
	k->asking_dane = 1;
	k->open = 1;
	evt_timer_set(&k->timer, PATIENCE);
	for (unsigned i = 0; i < k->hosts.name_count; i++)
		if (k->dane_queries[i].secure || k->dane_queries[i].insecure)
			ask_host(k, i);
	let_go(k);
}

/* --- addresses */

static void ask_hosts(struct out_hosts_lookup *k, unsigned count)
{
	if (k->only_site) {
		tell(k, NULL);
		return;
	}
	k->open = 1;
	k->hosts.name_count = count;
	for (unsigned i = 0; i < count; i++) {
		memcpy(k->hosts.names[i], k->mx_hosts[i].name, OUT_MX_NAME);
		k->dane_queries[i] = (struct dane_query){.lookup = k, .host = (uint8_t)i};
	}
	for (unsigned i = 0; i < 2 * count; i++) {
		struct host_query *q = &k->queries[k->query_count];
		if ((i & 1) && k->conf->outbound.ipv6 == RELAY_IPV6_NO)
			continue;
		k->query_count++;
		*q = (struct host_query){.lookup = k, .host = (uint8_t)(i / 2), .v6 = i & 1};
		k->open++;
		q->query = out_dns_ask(k->dns, k->hosts.names[q->host],
				       q->v6 ? OUT_DNSMSG_AAAA : OUT_DNSMSG_A, on_addresses, q);
	}
	let_go(k);
}

static void ask_itself(struct out_hosts_lookup *k)
{
	k->mx_hosts[0].preference = 0;
	memcpy(k->mx_hosts[0].name, k->route.host, OUT_MX_NAME);
	out_site_of_route(k->hosts.site, &k->route);
	ask_hosts(k, 1);
}

static void choose(struct out_hosts_lookup *k, const struct out_dnsmsg *msg)
{
	struct out_mx_host all[OUT_DNSMSG_RECORDS];
	size_t count = msg->count;

	memcpy(all, msg->mx, sizeof(all[0]) * count);
	switch (out_mx_choose(all, &count, k->conf->hostname)) {
	case OUT_MX_OK:
		memcpy(k->mx_hosts, all, sizeof(all[0]) * count);
		if (out_site_of_hosts(k->hosts.site, all, count) < 0)
			tell(k, &short_of_memory);
		else
			ask_hosts(k, (unsigned)count);
		break;
	case OUT_MX_NULL:
		tell_failure(k, SPOOL_BOUNCED, QUEUE_DNS, "5.1.10",
			     "domain takes no mail (null MX)");
		break;
	case OUT_MX_LOOP:
		tell_failure(k, SPOOL_BOUNCED, QUEUE_DNS, "5.4.6",
			     "mail for the domain would come back here");
		break;
	case OUT_MX_NONE:
		ask_itself(k);
		break;
	}
}

static void on_mx(void *arg, int result, const struct out_dnsmsg *msg, int secure)
{
	struct out_hosts_lookup *k = arg;

	k->mx = NULL;
	k->hosts.mx_secure = secure;
	if (result == 0 && secure)
		memcpy(k->hosts.alias_of, msg->canonical, sizeof(k->hosts.alias_of));
	if (result == ERR_NOTFOUND) {
		tell_failure(k, SPOOL_BOUNCED, QUEUE_DNS, "5.1.2", "domain does not exist");
	} else if (result == ERR_AUTH) {
		k->hosts.failure = TLSRPT_DNSSEC_INVALID;
		tell_failure(k, SPOOL_DEFERRED, QUEUE_DNS, "4.4.3",
			     "MX records of the domain failed DNSSEC validation (bogus)");
	} else if (result < 0) {
		tell_failure(k, SPOOL_DEFERRED, QUEUE_DNS, "4.4.3",
			     "MX records of the domain could not be looked up for now");
	} else if (msg->count == 0 && msg->void_records) {
		tell_failure(k, SPOOL_BOUNCED, QUEUE_DNS, "5.4.4", "MX records name no host");
	} else {
		if (msg->count)
			k->ttl = msg->ttl;
		choose(k, msg);
	}
}

static void take_literal(struct out_hosts_lookup *k)
{
	struct sockaddr_storage a;

	memcpy(k->hosts.names[0], k->route.host, OUT_MX_NAME);
	k->hosts.name_count = 1;
	if (out_addr_parse(&a, k->route.host, k->route.port) < 0) {
		tell_failure(k, SPOOL_BOUNCED, QUEUE_DNS, "5.1.2", "not an address");
		return;
	}
	if (!k->route.named && !out_addr_allowed(k->conf, &a)) {
		log_event(LOG_LEVEL_WARN, NULL, "mx-address-refused", "host=literal kind=%s",
			  out_addr_special(&a));
		tell_failure(k, SPOOL_BOUNCED, QUEUE_POLICY, "5.4.4", "address is not allowed");
		return;
	}
	out_site_of_route(k->hosts.site, &k->route);
	k->hosts.count = 1;
	k->hosts.targets[0].address = a;
	tell(k, NULL);
}

static struct out_hosts_lookup *find(struct evt_loop *l, struct out_dns *dns,
				     const struct relay_conf *conf, const struct out_route *route,
				     int only_site, int dane, out_hosts_fn fn, void *arg)
{
	struct out_hosts_lookup *k = calloc(1, sizeof(*k));

	if (!k) {
		fn(arg, NULL, &short_of_memory);
		return NULL;
	}
	k->dns = dns;
	k->conf = conf;
	k->route = *route;
	k->fn = fn;
	k->arg = arg;
	k->ttl = UINT32_MAX;
	k->within = 1;
	k->only_site = only_site;
	k->dane = dane;
	memcpy(k->hosts.domain, route->host, sizeof(k->hosts.domain));
	k->hosts.mx_secure = !route->mx; /* there is nothing to prove about what is named */
	evt_timer_init(&k->timer, l, on_timer, k);
	evt_timer_set(&k->timer, PATIENCE);
	if (route->literal) {
		take_literal(k);
	} else if (route->mx) {
		k->mx = out_dns_ask(dns, route->host, OUT_DNSMSG_MX, on_mx, k);
	} else {
		ask_itself(k);
	}
	k->within = 0;
	if (!k->done)
		return k;
	lookup_free(k);
	return NULL;
}

struct out_hosts_lookup *out_hosts_find(struct evt_loop *l, struct out_dns *dns,
					const struct relay_conf *conf,
					const struct out_route *route, int dane, out_hosts_fn fn,
					void *arg)
{
	return find(l, dns, conf, route, 0, dane, fn, arg);
}

struct out_hosts_lookup *out_hosts_find_site(struct evt_loop *l, struct out_dns *dns,
					     const struct relay_conf *conf,
					     const struct out_route *route, out_hosts_fn fn,
					     void *arg)
{
	return find(l, dns, conf, route, 1, 0, fn, arg);
}

static void inherit(struct out_hosts *fresh, const struct out_hosts *old)
{
	for (unsigned i = 0; i < fresh->count; i++)
		for (unsigned j = 0; j < old->count; j++)
			if (!memcmp(&fresh->targets[i].address, &old->targets[j].address,
				    sizeof(fresh->targets[i].address)))
				fresh->targets[i].memory = old->targets[j].memory;
}

void out_hosts_take(struct out_hosts *to, const struct out_hosts *h)
{
	struct out_hosts *old = malloc(sizeof(*old));

	for (unsigned i = 0; i < h->name_count; i++)
		if (h->tlsa[i].records)
			out_tlsa_ref(h->tlsa[i].records);
	if (old)
		*old = *to;
	out_hosts_clear(to);
	*to = *h;
	if (old) /* without memory: only what was learned of the addresses is lost */
		inherit(to, old);
	free(old);
}

void out_hosts_clear(struct out_hosts *h)
{
	for (unsigned i = 0; i < h->name_count; i++) {
		out_tlsa_unref(h->tlsa[i].records);
		h->tlsa[i].records = NULL;
	}
}

void out_hosts_cancel(struct out_hosts_lookup *k)
{
	if (k)
		lookup_free(k);
}
