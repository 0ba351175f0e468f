/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay_conf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/num.h"
#include "evt/evt_listen.h"
#include "keyproto/keyproto_msg.h"
#include "smtp/smtp_addr.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define WORKERS_MAX 64

static int parse_net(const char *text, struct relay_net *net)
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

static const char *check_net(const char *v)
{
	struct relay_net net;

	return parse_net(v, &net) == 0 ? NULL : "must be a network such as 192.0.2.0/24 or 2001:db8::/32";
}

static const char *check_listen(const char *v)
{
	struct sockaddr_storage a;
	socklen_t len;

	return evt_listen_address(span_str(v), &a, &len) == 0 ? NULL
							       : "must be ADDRESS:PORT, numeric";
}

static const char *check_name(const char *v)
{
	return keyproto_name_ok(span_str(v)) ? NULL : "must be 1 to 64 of a-z 0-9 . _ / -";
}

static const char *check_hostname(const char *v)
{
	return smtp_addr_domain_ok(span_str(v), 0) && v[0] != '[' ? NULL : "must be a host name";
}

static const char *check_workers(const char *v)
{
	uint64_t n;

	if (!strcmp(v, "auto"))
		return NULL;
	return num_parse_u64(span_str(v), &n) == 0 && n >= 1 && n <= WORKERS_MAX
		   ? NULL
		   : "must be auto, or a number from 1 to 64";
}

static const char *check_domain(const char *v)
{
	if (!strcmp(v, "*"))
		return NULL;
	if (*v == '.')
		v++;
	return smtp_addr_domain_ok(span_str(v), 1) ? NULL
						     : "must be *, a domain, or .domain for what is below it";
}

static const char *check_next_hop(const char *v)
{
	const char *colon = strrchr(v, ':');
	uint64_t port;
	size_t n = colon ? (size_t)(colon - v) : 0;

	if (!strcmp(v, "mx"))
		return NULL;
	if (!colon || num_parse_u64(span_str(colon + 1), &port) < 0 || port < 1 || port > 65535)
		return "must be mx or HOST:PORT";
	if (v[0] == '[' ? check_listen(v) == NULL : smtp_addr_domain_ok(span_of(v, n), 0))
		return NULL;
	return "must be mx or HOST:PORT";
}

static const char *check_dns_server(const char *v)
{
	const char *at = strchr(v, '@');
	char address[64];
	uint8_t bytes[16];
	uint64_t port = 53;
	size_t n = at ? (size_t)(at - v) : strlen(v);

	if (n < sizeof(address)) {
		memcpy(address, v, n);
		address[n] = '\0';
		if ((inet_pton(AF_INET, address, bytes) == 1 ||
		     inet_pton(AF_INET6, address, bytes) == 1) &&
		    (!at || (num_parse_u64(span_str(at + 1), &port) == 0 && port >= 1 && port <= 65535)))
			return NULL;
	}
	return "must be ADDRESS or ADDRESS@PORT, numeric";
}

static const char *check_tls(const char *v)
{
	return strcmp(v, "dane") ? NULL
				 : "dane is not available in this version; verify is the strictest";
}

static const char *check_filter(const char *v)
{
	(void)v;
	return "filters are not available in this version: give milters to Postfix";
}

#define AT(member) offsetof(struct relay_conf, member)
#define IN(outer, member) (offsetof(struct relay_conf, outer.member) - offsetof(struct relay_conf, outer))

static const struct conf_choice modes[] = {{"smarthost", RELAY_SMARTHOST},
					   {"submission", RELAY_SUBMISSION},
					   {"submissions", RELAY_SUBMISSIONS},
					   {NULL, 0}};
static const struct conf_choice tls_levels[] = {{"none", RELAY_TLS_NONE},
						{"opportunistic", RELAY_TLS_OPPORTUNISTIC},
						{"encrypt", RELAY_TLS_ENCRYPT},
						{"verify", RELAY_TLS_VERIFY},
						{NULL, 0}};

static const struct conf_key listen_keys[] = {
    {.name = "address", .type = CONF_STRING, .offset = offsetof(struct relay_listen, address_text),
     .required = 1, .check = check_listen, .help = "Address and port to listen on, numeric."},
    {.name = "mode", .type = CONF_ENUM, .offset = offsetof(struct relay_listen, mode),
     .choices = modes, .fallback = "smarthost",
     .help = "What the listener is for; submission demands STARTTLS, submissions speaks TLS from the first "
	     "byte. Both need tls.certificate, and in this version serve trusted networks only."},
    {.name = "customer", .type = CONF_STRING, .offset = offsetof(struct relay_listen, customer),
     .fallback = "default", .check = check_name,
     .help = "Customer whose keys seal what comes in here."},
    {0}};

static const struct conf_key tls_keys[] = {
    {.name = "certificate", .type = CONF_PATH, .offset = IN(tls, certificate),
     .help = "PEM chain of the server, own certificate first. Without it STARTTLS is not offered."},
    {.name = "key", .type = CONF_STRING, .offset = IN(tls, key), .fallback = "keyd:tls/relay",
     .help = "keyd:LABEL, a key that never leaves keyd; or a PEM file, which status calls unsafe."},
    {0}};

static const struct conf_key route_keys[] = {
    {.name = "domain", .type = CONF_STRING, .offset = offsetof(struct relay_route, domain),
     .required = 1, .check = check_domain,
     .help = "Recipient domain; * for any, .example.org for what is below it. The first match counts."},
    {.name = "to", .type = CONF_STRING, .offset = offsetof(struct relay_route, to), .fallback = "mx",
     .check = check_next_hop, .help = "mx, or the next hop as HOST:PORT."},
    {.name = "tls", .type = CONF_ENUM, .offset = offsetof(struct relay_route, tls),
     .choices = tls_levels, .fallback = "opportunistic", .check = check_tls,
     .help = "TLS is always tried unless none; encrypt and verify never fall back to clear text."},
    {0}};

static const struct conf_key retry_keys[] = {
    {.name = "first", .type = CONF_DURATION, .offset = IN(retry, first), .fallback = "5m",
     .min = SECOND, .max = DAY, .help = "Wait after the first failed attempt; it doubles from there."},
    {.name = "max", .type = CONF_DURATION, .offset = IN(retry, max), .fallback = "4h",
     .min = SECOND, .max = 7 * DAY, .help = "Longest wait between attempts."},
    {.name = "expire", .type = CONF_DURATION, .offset = IN(retry, expire), .fallback = "5d",
     .min = SECOND, .max = 30 * DAY, .help = "Age at which a message is returned to its sender."},
    {0}};

static const struct conf_key api_keys[] = {
    {.name = "socket", .type = CONF_PATH, .offset = IN(api, socket),
     .fallback = SP_RUNDIR "/api.sock", .help = "Local API socket, used by sealpost(8)."},
    {.name = "https", .type = CONF_STRING, .offset = IN(api, https), .check = check_listen,
     .help = "Accepted; not served in this version."},
    {.name = "redirect", .type = CONF_STRING, .offset = IN(api, redirect), .check = check_listen,
     .help = "Accepted; not served in this version."},
    {.name = "users", .type = CONF_STRINGS, .offset = IN(api, users),
     .help = "Users (names or numbers) who may use the local API beside root and relay's own."},
    {0}};

static const struct conf_key dns_keys[] = {
    {.name = "servers", .type = CONF_STRINGS, .offset = IN(dns, servers), .check = check_dns_server,
     .help = "Resolvers to ask, ADDRESS@PORT. Empty: those of the system."},
    {.name = "trust_anchor", .type = CONF_PATH, .offset = IN(dns, trust_anchor),
     .help = "DNSSEC trust anchor file. Empty: Debian's root key if installed."},
    {0}};

static const struct conf_key outbound_keys[] = {
    {.name = "ca", .type = CONF_PATH, .offset = IN(outbound, ca),
     .help = "Trusted CA certificates (PEM) for routes with tls: verify. Empty: the system's."},
    {.name = "private_ok", .type = CONF_STRINGS, .offset = IN(outbound, private_ok),
     .check = check_net,
     .help = "Loopback, private and link-local networks in which MX hosts may lie all the same."},
    {.name = "port", .type = CONF_INT, .offset = IN(outbound, port), .fallback = "25", .min = 1,
     .max = 65535, .help = "Port of MX hosts."},
    {.name = "connections", .type = CONF_INT, .offset = IN(outbound, connections), .fallback = "20",
     .min = 1, .max = 5000, .help = "Connections to one destination at a time."},
    {.name = "messages", .type = CONF_INT, .offset = IN(outbound, messages), .fallback = "1000",
     .min = 1, .max = 1000000, .help = "Messages over one connection before it is closed."},
    {.name = "idle", .type = CONF_DURATION, .offset = IN(outbound, idle), .fallback = "10s",
     .min = 0, .max = 5 * MINUTE, .help = "How long an idle connection is kept for reuse."},
    {0}};

static const struct conf_key limits_keys[] = {
    {.name = "message_size", .type = CONF_SIZE, .offset = IN(limits, message_size), .fallback = "50M",
     .min = 65536, .max = INT64_C(1) << 31, .help = "Largest message accepted (552 beyond)."},
    {.name = "recipients", .type = CONF_INT, .offset = IN(limits, recipients), .fallback = "1000",
     .min = 100, .max = 10000, .help = "Recipients in one transaction (452 beyond)."},
    {.name = "sessions", .type = CONF_INT, .offset = IN(limits, sessions), .fallback = "10000",
     .min = 1, .max = 100000, .help = "Inbound sessions at a time (421 beyond)."},
    {.name = "sessions_per_client", .type = CONF_INT, .offset = IN(limits, sessions_per_client),
     .fallback = "1000", .min = 1, .max = 100000, .help = "Of these, from one address."},
    {.name = "errors", .type = CONF_INT, .offset = IN(limits, errors), .fallback = "20", .min = 1,
     .max = 1000, .help = "Bad commands after which a session is closed (421)."},
    {.name = "idle", .type = CONF_DURATION, .offset = IN(limits, idle), .fallback = "5m",
     .min = SECOND, .max = HOUR, .help = "Silence after which a session is closed (421)."},
    {.name = "free_space", .type = CONF_SIZE, .offset = IN(limits, free_space), .fallback = "256M",
     .min = 0, .max = INT64_C(1) << 50,
     .help = "Space that must stay free on the spool's file system (452 below)."},
    {0}};

static const struct conf_key reseal_keys[] = {
    {.name = "rate", .type = CONF_INT, .offset = IN(reseal, rate), .fallback = "1000", .min = 1,
     .max = 1000000, .help = "Sealed items looked at in a second after a customer got a new key."},
    {.name = "settle", .type = CONF_DURATION, .offset = IN(reseal, settle), .fallback = "3h",
     .min = SECOND, .max = 24 * HOUR,
     .help = "How long after a new key something may still be under way with the one before."},
    {0}};

static const struct conf_key keys[] = {
    {.name = "hostname", .type = CONF_STRING, .offset = AT(hostname), .required = 1,
     .check = check_hostname, .help = "Name of this host in greetings and trace headers."},
    {.name = "state", .type = CONF_PATH, .offset = AT(state), .fallback = SP_STATEDIR "/relay",
     .help = "Directory of the spool. Other relative paths start here."},
    {.name = "keyd", .type = CONF_PATH, .offset = AT(keyd), .fallback = SP_RUNDIR "/keyd.sock",
     .help = "Socket of sealpost-keyd(8)."},
    {.name = "user", .type = CONF_STRING, .offset = AT(user), .fallback = "sealpost-relay",
     .help = "User to become when started as root."},
    {.name = "workers", .type = CONF_STRING, .offset = AT(workers_text), .fallback = "auto",
     .check = check_workers, .help = "Event loops; auto is one for each CPU."},
    {.name = "listen", .type = CONF_LIST, .offset = AT(listen), .sub = listen_keys,
     .item_size = sizeof(struct relay_listen), .help = "SMTP listeners."},
    {.name = "trusted", .type = CONF_STRINGS, .offset = AT(trusted), .check = check_net,
     .help = "Networks whose hosts may relay."},
    {.name = "tls", .type = CONF_MAP, .offset = AT(tls), .sub = tls_keys},
    {.name = "filters", .type = CONF_STRINGS, .offset = AT(filters), .check = check_filter,
     .help = "Milters, in order. Must be empty in this version."},
    {.name = "routes", .type = CONF_LIST, .offset = AT(routes), .sub = route_keys,
     .item_size = sizeof(struct relay_route),
     .help = "Where mail goes. Empty: everything by MX, TLS opportunistic."},
    {.name = "retry", .type = CONF_MAP, .offset = AT(retry), .sub = retry_keys},
    {.name = "api", .type = CONF_MAP, .offset = AT(api), .sub = api_keys},
    {.name = "dns", .type = CONF_MAP, .offset = AT(dns), .sub = dns_keys},
    {.name = "outbound", .type = CONF_MAP, .offset = AT(outbound), .sub = outbound_keys},
    {.name = "reseal", .type = CONF_MAP, .offset = AT(reseal), .sub = reseal_keys},
    {.name = "limits", .type = CONF_MAP, .offset = AT(limits), .sub = limits_keys},
    {0}};

const struct conf_key *relay_conf_table(void)
{
	return keys;
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
		parse_net(((char **)texts->items)[i], *nets + i); /* checked by the table */
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

/* What the table cannot say: derived values, and rules across keys. NULL if good. */
static const char *finish(struct relay_conf *c)
{
	struct relay_listen *listens = c->listen.items;
	struct relay_route *routes;
	uint64_t n;

	if (!strcmp(c->workers_text, "auto"))
		c->workers = (int)sysconf(_SC_NPROCESSORS_ONLN);
	else if (num_parse_u64(span_str(c->workers_text), &n) == 0)
		c->workers = (int)n;
	if (c->workers < 1)
		c->workers = 1;
	if (c->workers > WORKERS_MAX)
		c->workers = WORKERS_MAX;
	for (size_t i = 0; i < c->listen.count; i++) {
		evt_listen_address(span_str(listens[i].address_text), &listens[i].address,
				   &listens[i].address_len);
		if (listens[i].mode != RELAY_SMARTHOST && !c->tls.certificate)
			return "listen: submission and submissions need tls.certificate";
	}
	if (make_nets(&c->trusted, &c->trusted_nets, &c->trusted_count) < 0 ||
	    make_nets(&c->outbound.private_ok, &c->outbound.private_nets,
		      &c->outbound.private_count) < 0 ||
	    (c->routes.count == 0 && add_default_route(c) < 0))
		return "out of memory";
	routes = c->routes.items;
	for (size_t i = 0; i < c->routes.count; i++)
		lower(routes[i].domain);
	if (strncmp(c->tls.key, "keyd:", 5)) {
		char *full = conf_path_join(c->state, c->tls.key);
		if (!full)
			return "out of memory";
		free(c->tls.key);
		c->tls.key = full;
	} else if (!keyproto_name_ok(span_str(c->tls.key + 5))) {
		return "tls.key: not a key label of keyd";
	}
	if (c->retry.max < c->retry.first)
		return "retry.max: must not be shorter than retry.first";
	return NULL;
}

struct relay_conf *relay_conf_load(const char *path, char err[CONF_ERR_MAX])
{
	struct relay_conf *c = calloc(1, sizeof(*c));
	const char *wrong;

	if (!c || !(c->path = strdup(path))) {
		free(c);
		snprintf(err, CONF_ERR_MAX, "%s: out of memory", path);
		return NULL;
	}
	atomic_init(&c->refs, 1);
	if (conf_load(path, keys, c, err) < 0) {
		free(c->path);
		free(c);
		return NULL;
	}
	wrong = finish(c);
	if (wrong) {
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
	conf_free(keys, c);
	free(c->trusted_nets);
	free(c->outbound.private_nets);
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

const struct relay_route *relay_conf_route(const struct relay_conf *c, struct span domain)
{
	const struct relay_route *r = c->routes.items;

	for (size_t i = 0; i < c->routes.count; i++, r++) {
		struct span d = span_str(r->domain);
		if (d.n == 1 && d.p[0] == '*')
			return r;
		if (d.p[0] == '.' ? domain.n > d.n && span_equal(span_sub(domain, domain.n - d.n, d.n), d)
				  : span_equal(domain, d))
			return r;
	}
	return NULL;
}
