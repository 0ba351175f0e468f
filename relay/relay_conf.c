/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay_conf_own.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/num.h"
#include "evt/evt_listen.h"
#include "keyproto/keyproto_msg.h"

int relay_conf_net_parse(const char *text, struct relay_net *net)
{
	const char *slash = strchr(text, '/');
	char address[64];
	uint64_t bits = 128;
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	int v4;

	if (n >= sizeof(address))
		return ERR_FORMAT;
	memcpy(address, text, n);
	address[n] = '\0';
	memset(net->addr, 0, 16);
	v4 = inet_pton(AF_INET, address, net->addr + 12) == 1;
	if (v4)
		net->addr[10] = net->addr[11] = 0xff;
	else if (inet_pton(AF_INET6, address, net->addr) != 1)
		return ERR_FORMAT;
	if (slash) {
		if (num_parse_u64(span_str(slash + 1), &bits) < 0 || bits > (v4 ? 32u : 128u))
			return ERR_FORMAT;
		bits += v4 ? 96 : 0;
	}
	net->bits = (int)bits;
	return 0;
}

static void lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s + 32);
}

static int make_nets(const struct conf_list *texts, struct relay_net **nets, size_t *count)
{
	if (texts->count == 0)
		return 0;
	*nets = calloc(texts->count, sizeof(**nets));
	if (!*nets)
		return ERR_NOMEM;
	for (size_t i = 0; i < texts->count; i++)
		relay_conf_net_parse(((char **)texts->items)[i], *nets + i); /* checked by the table */
	*count = texts->count;
	return 0;
}

static int add_default_route(struct relay_conf *c)
{
	struct relay_route *r = calloc(1, sizeof(*r));

	if (!r)
		return ERR_NOMEM;
	c->routes.items = r;
	c->routes.count = 1;
	r->domain = strdup("*");
	r->to = strdup("mx");
	r->tls = RELAY_TLS_OPPORTUNISTIC;
	return r->domain && r->to ? 0 : ERR_NOMEM;
}

int relay_conf_member_parse(const char *text, size_t *name_len, unsigned *weight)
{
	const char *sign = strchr(text, '=');
	uint64_t n = 1;

	*name_len = sign ? (size_t)(sign - text) : strlen(text);
	if (sign && (num_parse_u64(span_str(sign + 1), &n) < 0 || n < 1 || n > 1000))
		return ERR_FORMAT;
	*weight = (unsigned)n;
	return keyproto_name_ok(span_of(text, *name_len)) ? 0 : ERR_FORMAT;
}

const struct relay_pool *relay_conf_pool(const struct relay_conf *c, const char *name)
{
	const struct relay_pool *p = c->pools.items;

	for (size_t i = 0; i < c->pools.count; i++)
		if (!strcmp(p[i].name, name))
			return p + i;
	return NULL;
}

const struct relay_warmup *relay_conf_warmup(const struct relay_conf *c, const char *name)
{
	const struct relay_warmup *w = c->warmups.items;

	for (size_t i = 0; i < c->warmups.count; i++)
		if (!strcmp(w[i].name, name))
			return w + i;
	return NULL;
}

/* --- what the table cannot say: derived values, and rules across keys. NULL if good; else what is wrong, and key says
 * with which key (empty: with none). */

#define KEY_MAX 64

static const char *blame(char key[KEY_MAX], const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static const char *blame(char key[KEY_MAX], const char *what, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(key, KEY_MAX, format, ap);
	va_end(ap);
	return what;
}

/* Who may sign certificates of clients. */
static const char *load_clients(struct relay_listen *l, size_t i, char key[KEY_MAX])
{
	l->client_store = X509_STORE_new();
	if (!l->client_store)
		return "out of memory";
	l->client_names = SSL_load_client_CA_file(l->client_ca);
	if (!l->client_names || !X509_STORE_load_file(l->client_store, l->client_ca)) {
		ERR_clear_error();
		return blame(key, "not a file with CA certificates in PEM", "listen[%zu].client_ca",
			     i);
	}
	return NULL;
}

static const char *finish_listen(struct relay_conf *c, size_t i, char key[KEY_MAX])
{
	struct relay_listen *all = c->listen.items, *l = all + i;
	int submission = l->mode != RELAY_SMARTHOST;

	evt_listen_address(span_str(l->address_text), &l->address, &l->address_len);
	/* The kernel would share clients out among the two, by no rule. */
	for (size_t j = 0; j < i; j++)
		if (l->address_len == all[j].address_len &&
		    !memcmp(&l->address, &all[j].address, l->address_len))
			return blame(key, "the same address twice", "listen[%zu].address", i);
	if (l->auth == RELAY_AUTH_BY_MODE)
		l->auth = submission ? RELAY_AUTH_OPTIONAL : RELAY_AUTH_NO;
	if (l->tls == RELAY_LISTEN_TLS_BY_MODE)
		l->tls = submission ? RELAY_LISTEN_TLS_REQUIRED : RELAY_LISTEN_TLS_OFFERED;
	if (!c->tls.certificate) {
		if (submission)
			return blame(key, "submission and submissions need tls.certificate",
				     "listen[%zu].mode", i);
		if (l->tls == RELAY_LISTEN_TLS_REQUIRED || l->auth != RELAY_AUTH_NO || l->client_ca)
			return blame(key, "tls: required, auth and client_ca need tls.certificate",
				     "listen[%zu]", i);
	}
	if (make_nets(&l->proxies, &l->proxy_nets.all, &l->proxy_nets.count) < 0 ||
	    make_nets(&l->xclient, &l->xclient_nets.all, &l->xclient_nets.count) < 0)
		return "out of memory";
	return l->client_ca ? load_clients(l, i, key) : NULL;
}

static const char *finish_pool(const struct relay_conf *c, size_t at, char key[KEY_MAX])
{
	struct relay_pool *p = (struct relay_pool *)c->pools.items + at;
	const struct relay_source *sources = c->sources.items;
	char **texts = p->sources.items;

	p->members = calloc(p->sources.count ? p->sources.count : 1, sizeof(*p->members));
	if (!p->members)
		return "out of memory";
	if (p->sources.count == 0)
		return blame(key, "a pool needs sources", "pools[%zu].sources", at);
	for (size_t i = 0; i < p->sources.count; i++) {
		struct relay_pool_member *m = &p->members[i];
		size_t n;
		relay_conf_member_parse(texts[i], &n, &m->weight); /* checked by the table */
		for (m->source = 0; m->source < c->sources.count; m->source++)
			if (span_equal(span_str(sources[m->source].name), span_of(texts[i], n)))
				break;
		if (m->source == c->sources.count)
			return blame(key, "names a source that sources does not have",
				     "pools[%zu].sources[%zu]", at, i);
		p->member_count = i + 1;
	}
	return NULL;
}

static const char *finish_sources(struct relay_conf *c, char key[KEY_MAX])
{
	const struct relay_source *s = c->sources.items;
	struct relay_pool *p = c->pools.items;
	const struct relay_warmup *w = c->warmups.items;
	const char *wrong = NULL;

	for (size_t i = 0; i < c->sources.count; i++) {
		if (s[i].warmup && !relay_conf_warmup(c, s[i].warmup))
			return blame(key, "names a schedule that warmups does not have",
				     "sources[%zu].warmup", i);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(s[i].name, s[j].name))
				return blame(key, "the same name twice", "sources[%zu].name", i);
	}
	for (size_t i = 0; i < c->pools.count && !wrong; i++) {
		if (relay_conf_pool(c, p[i].name) != p + i)
			return blame(key, "the same name twice", "pools[%zu].name", i);
		wrong = finish_pool(c, i, key);
	}
	for (size_t i = 0; i < c->warmups.count && !wrong; i++) {
		if (relay_conf_warmup(c, w[i].name) != w + i)
			return blame(key, "the same name twice", "warmups[%zu].name", i);
		if (w[i].daily.count == 0)
			return blame(key, "needs at least one number", "warmups[%zu].daily", i);
		if (w[i].overflow && !relay_conf_pool(c, w[i].overflow))
			return blame(key, "names a pool that pools does not have",
				     "warmups[%zu].overflow", i);
	}
	return wrong;
}

static const char *finish_route(const struct relay_conf *c, size_t i, char key[KEY_MAX])
{
	struct relay_route *r = (struct relay_route *)c->routes.items + i;

	lower(r->domain);
	if (r->pool && !relay_conf_pool(c, r->pool))
		return blame(key, "names a pool that pools does not have", "routes[%zu].pool", i);
	if (r->credential && r->tls < RELAY_TLS_ENCRYPT)
		return blame(
		    key, "a credential is only sent over TLS: tls must be encrypt, verify or dane",
		    "routes[%zu].credential", i);
	if (r->credential && !strcmp(r->to, "mx"))
		return blame(key, "a credential needs a next hop as HOST:PORT",
			     "routes[%zu].credential", i);
	return NULL;
}

static const char *finish_dkim(struct relay_conf *c, char key[KEY_MAX])
{
	struct relay_dkim *d = c->dkim.items;

	for (size_t i = 0; i < c->dkim.count; i++) {
		lower(d[i].domain);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(d[i].domain, d[j].domain) && (!d[i].customer) == (!d[j].customer) &&
			    (!d[i].customer || !strcmp(d[i].customer, d[j].customer)))
				return blame(key, "the same domain twice", "dkim[%zu].domain", i);
	}
	return NULL;
}

/* A key that is no label of keyd is a file beside the others. */
static const char *finish_key(const struct relay_conf *c, char **value)
{
	char *full;

	if (!strncmp(*value, "keyd:", 5))
		return keyproto_name_ok(span_str(*value + 5)) ? NULL : "not a key label of keyd";
	full = conf_path_join(c->state, *value);
	if (!full)
		return "out of memory";
	free(*value);
	*value = full;
	return NULL;
}

static const char *finish_tracking(struct relay_conf *c, char key[KEY_MAX])
{
	struct relay_track_host *h = c->tracking.hosts.items;
	const char *wrong = NULL;

	if ((c->tracking.listen.count == 0) != (c->tracking.hosts.count == 0))
		return blame(key, "listen and hosts need each other", "tracking");
	for (size_t i = 0; i < c->tracking.hosts.count && !wrong; i++) {
		lower(h[i].host);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(h[i].host, h[j].host))
				return blame(key, "the same host twice", "tracking.hosts[%zu].host",
					     i);
		wrong = finish_key(c, &h[i].key);
		if (wrong)
			blame(key, wrong, "tracking.hosts[%zu].key", i);
	}
	if (c->tracking.mailto)
		lower(c->tracking.mailto);
	return wrong;
}

static const char *finish(struct relay_conf *c, char key[KEY_MAX])
{
	const char *wrong = NULL;
	uint64_t n;

	if (!strcmp(c->workers_text, "auto"))
		c->workers = (int)sysconf(_SC_NPROCESSORS_ONLN);
	else if (num_parse_u64(span_str(c->workers_text), &n) == 0)
		c->workers = (int)n;
	if (c->workers < 1)
		c->workers = 1;
	if (c->workers > RELAY_CONF_WORKERS_MAX)
		c->workers = RELAY_CONF_WORKERS_MAX;
	for (size_t i = 0; i < c->listen.count && !wrong; i++)
		wrong = finish_listen(c, i, key);
	if (!wrong)
		wrong = finish_sources(c, key);
	if (!wrong)
		wrong = finish_dkim(c, key);
	if (!wrong)
		wrong = finish_tracking(c, key);
	if (!wrong && !c->bounce.domain && (c->bounce.verp || c->bounce.reports.count))
		wrong = blame(key, "verp and reports need domain", "bounce");
	if (wrong)
		return wrong;
	if (make_nets(&c->trusted, &c->trusted_nets, &c->trusted_count) < 0 ||
	    make_nets(&c->outbound.private_ok, &c->outbound.private_nets,
		      &c->outbound.private_count) < 0 ||
	    (c->routes.count == 0 && add_default_route(c) < 0))
		return "out of memory";
	for (size_t i = 0; i < c->routes.count && !wrong; i++)
		wrong = finish_route(c, i, key);
	if (wrong)
		return wrong;
	wrong = finish_key(c, &c->tls.key);
	if (wrong)
		return blame(key, wrong, "tls.key");
	if (c->retry.max < c->retry.first)
		return blame(key, "must not be shorter than retry.first", "retry.max");
	if (c->bounce.domain)
		lower(c->bounce.domain);
	return NULL;
}

static void clear_derived(struct relay_conf *c)
{
	struct relay_listen *l = c->listen.items;
	struct relay_pool *p = c->pools.items;

	for (size_t i = 0; i < c->listen.count; i++) {
		free(l[i].proxy_nets.all);
		free(l[i].xclient_nets.all);
		X509_STORE_free(l[i].client_store);
		sk_X509_NAME_pop_free(l[i].client_names, X509_NAME_free);
	}
	for (size_t i = 0; i < c->pools.count; i++)
		free(p[i].members);
	free(c->trusted_nets);
	free(c->outbound.private_nets);
}

struct relay_conf *relay_conf_load(const char *path, char err[CONF_ERR_MAX])
{
	struct relay_conf *c = calloc(1, sizeof(*c));
	char key[KEY_MAX] = "";
	const char *wrong;

	if (!c || !(c->path = strdup(path))) {
		free(c);
		snprintf(err, CONF_ERR_MAX, "%s: out of memory", path);
		return NULL;
	}
	atomic_init(&c->refs, 1);
	if (conf_load(path, relay_conf_table(), c, err) < 0) {
		free(c->path);
		free(c);
		return NULL;
	}
	wrong = finish(c, key);
	if (wrong) {
		if (*key)
			conf_fail(err, path, key, wrong);
		else
			snprintf(err, CONF_ERR_MAX, "%s: %s", path, wrong);
		relay_conf_unref(c);
		return NULL;
	}
	return c;
}

struct relay_conf *relay_conf_ref(struct relay_conf *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void relay_conf_unref(struct relay_conf *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	clear_derived(c);
	conf_free(relay_conf_table(), c);
	free(c->path);
	free(c);
}

int relay_conf_net_match(const struct relay_net *nets, size_t count, const struct sockaddr_storage *a)
{
	uint8_t addr[16] = {0};

	if (a->ss_family == AF_INET) {
		addr[10] = addr[11] = 0xff;
		memcpy(addr + 12, &((const struct sockaddr_in *)a)->sin_addr, 4);
	} else if (a->ss_family == AF_INET6) {
		memcpy(addr, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
	} else {
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		int bytes = nets[i].bits / 8, rest = nets[i].bits % 8;
		int mask = 0xff00 >> rest & 0xff;
		if (memcmp(addr, nets[i].addr, (size_t)bytes) == 0 &&
		    (rest == 0 || (addr[bytes] & mask) == (nets[i].addr[bytes] & mask)))
			return 1;
	}
	return 0;
}

static int serves(const struct relay_route *r, struct span domain)
{
	struct span d = span_str(r->domain);

	if (d.n == 1 && d.p[0] == '*')
		return 1;
	return d.p[0] == '.' ? domain.n > d.n && span_equal(span_sub(domain, domain.n - d.n, d.n), d)
			     : span_equal(domain, d);
}

const struct relay_route *relay_conf_route(const struct relay_conf *c, const char *customer,
					   struct span domain)
{
	const struct relay_route *r = c->routes.items;

	for (size_t i = 0; i < c->routes.count; i++, r++)
		if ((!r->customer || !strcmp(r->customer, customer)) && serves(r, domain))
			return r;
	return NULL;
}

const char *relay_conf_needs_restart(const struct relay_conf *a, const struct relay_conf *b)
{
	static const char *const fixed[] = {"state", "keyd", "user", "workers", "listen", "api.socket",
					    "api.https", "api.redirect", "dns", "ledger", "reseal",
					    "tracking.listen", "tracking.keep",
					    "limits.free_space", "limits.free_inodes"};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		if (!conf_same(relay_conf_table(), a, b, fixed[i]))
			return fixed[i];
	return NULL;
}
