/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay_conf_own.h"

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
#include "mail/mail_selector.h"
#include "milterproto/milterproto_socket.h"
#include "smtp/smtp_addr.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const char *check_net(const char *v)
{
	struct relay_net net;

	return relay_conf_net_parse(v, &net) == 0 ? NULL : "must be a network such as 192.0.2.0/24 or 2001:db8::/32";
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
	return num_parse_u64(span_str(v), &n) == 0 && n >= 1 && n <= RELAY_CONF_WORKERS_MAX
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

static const char *check_address(const char *v)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET, v, bytes) == 1 ? NULL : "must be an IPv4 address";
}

static const char *check_address6(const char *v)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET6, v, bytes) == 1 ? NULL : "must be an IPv6 address";
}

static const char *check_mail_domain(const char *v)
{
	return smtp_addr_domain_ok(span_str(v), 1) && v[0] != '[' ? NULL : "must be a domain";
}

/* Its key's label in keyd has at most 64 octets, "dkim/" and "/ed25519" among them. */
static const char *check_dkim_domain(const char *v)
{
	return smtp_addr_domain_ok(span_str(v), 0) && v[0] != '[' && strlen(v) <= KEYPROTO_NAME_MAX - 13
		   ? NULL
		   : "must be a domain in ASCII (xn--...) of at most 51 characters";
}

static const char *check_selector(const char *v)
{
	return mail_selector_prefix_ok(v) ? NULL : "must be 1 to 16 of a-z 0-9 -, and begin with a letter";
}

static const char *check_local_part(const char *v)
{
	size_t n = strlen(v);

	if (n < 1 || n > 64 ||
	    strspn(v, "abcdefghijklmnopqrstuvwxyz0123456789._-") != n)
		return "must be 1 to 64 of a-z 0-9 . _ -";
	return NULL;
}

static const char *check_member(const char *v)
{
	size_t n;
	unsigned weight;

	return relay_conf_member_parse(v, &n, &weight) == 0
		   ? NULL
		   : "must be the name of a source, or NAME=WEIGHT with a weight from 1 to 1000";
}

static const char *check_day(const char *v)
{
	static const uint8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	uint64_t year, month, day;

	if (strlen(v) == 10 && v[4] == '-' && v[7] == '-' &&
	    num_parse_u64(span_of(v, 4), &year) == 0 && num_parse_u64(span_of(v + 5, 2), &month) == 0 &&
	    num_parse_u64(span_of(v + 8, 2), &day) == 0 && year >= 2000 && month >= 1 &&
	    month <= 12 && day >= 1 && day <= lengths[month - 1])
		return NULL;
	return "must be a day as YYYY-MM-DD";
}

static const char *check_daily(const char *v)
{
	uint64_t n;

	return !strcmp(v, "all") || num_parse_u64(span_str(v), &n) == 0
		   ? NULL
		   : "must be a number of messages, or all";
}

static const char *check_milter_socket(const char *v)
{
	struct milterproto_socket where;

	return milterproto_socket_parse(v, &where) == 0
		   ? NULL
		   : "must be unix:/PATH, inet:PORT@ADDRESS or inet6:PORT@ADDRESS, numeric or localhost";
}

static const char *check_mailbox(const char *v)
{
	struct smtp_addr a;

	return smtp_addr_parse(span_str(v), 0, &a) > 0 && a.local.n && a.local.p[0] != '"' && a.domain.n &&
		       a.domain.p[0] != '['
		   ? NULL
		   : "must be an address such as tls-reports@example.org";
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
						{"dane", RELAY_TLS_DANE},
						{NULL, 0}};

static const struct conf_choice auths[] = {{"no", RELAY_AUTH_NO},
					   {"optional", RELAY_AUTH_OPTIONAL},
					   {"required", RELAY_AUTH_REQUIRED},
					   {"by-mode", RELAY_AUTH_BY_MODE},
					   {NULL, 0}};
static const struct conf_choice listen_tls[] = {{"offered", RELAY_LISTEN_TLS_OFFERED},
						{"required", RELAY_LISTEN_TLS_REQUIRED},
						{"by-mode", RELAY_LISTEN_TLS_BY_MODE},
						{NULL, 0}};
static const struct conf_choice aways[] = {{"tempfail", RELAY_AWAY_TEMPFAIL},
					   {"accept", RELAY_AWAY_ACCEPT},
					   {"reject", RELAY_AWAY_REJECT},
					   {NULL, 0}};
static const struct conf_choice eightbits[] = {
    {"pass", RELAY_EIGHTBIT_PASS}, {"refuse", RELAY_EIGHTBIT_REFUSE}, {NULL, 0}};
static const struct conf_choice ipv6s[] = {{"prefer", RELAY_IPV6_PREFER},
					   {"after", RELAY_IPV6_AFTER},
					   {"no", RELAY_IPV6_NO},
					   {NULL, 0}};

static const struct conf_key listen_keys[] = {
    {.name = "address", .type = CONF_STRING, .offset = offsetof(struct relay_listen, address_text),
     .required = 1, .check = check_listen, .help = "Address and port to listen on, numeric."},
    {.name = "mode", .type = CONF_ENUM, .offset = offsetof(struct relay_listen, mode),
     .choices = modes, .fallback = "smarthost",
     .help = "What the listener is for; submission demands STARTTLS, submissions speaks TLS from the first "
	     "byte. Both need tls.certificate."},
    {.name = "customer", .type = CONF_STRING, .offset = offsetof(struct relay_listen, customer),
     .fallback = "default", .check = check_name,
     .help = "Customer whose keys seal what comes in here, unless a credential names another."},
    {.name = "auth", .type = CONF_ENUM, .offset = offsetof(struct relay_listen, auth),
     .choices = auths, .fallback = "by-mode",
     .help = "Whether clients log in: no, optional, required. By mode: smarthost no, submission and submissions "
	     "optional for trusted networks and required for all others."},
    {.name = "tls", .type = CONF_ENUM, .offset = offsetof(struct relay_listen, tls),
     .choices = listen_tls, .fallback = "by-mode",
     .help = "Whether mail is taken over TLS only: offered, required. By mode: smarthost offered, submission and "
	     "submissions required."},
    {.name = "client_ca", .type = CONF_PATH, .offset = offsetof(struct relay_listen, client_ca),
     .help = "CA certificates (PEM) for client certificates; one that belongs to a credential logs its client in."},
    {.name = "proxies", .type = CONF_STRINGS, .offset = offsetof(struct relay_listen, proxies),
     .check = check_net,
     .help = "Networks whose hosts begin with a PROXY header (version 1 or 2), which then names the client."},
    {.name = "xclient", .type = CONF_STRINGS, .offset = offsetof(struct relay_listen, xclient),
     .check = check_net, .help = "Networks whose hosts may say XCLIENT."},
    {.name = "filters", .type = CONF_BOOL, .offset = offsetof(struct relay_listen, filters),
     .fallback = "yes", .help = "Whether mail from here passes the filters."},
    {0}};

static const struct conf_key filter_keys[] = {
    {.name = "socket", .type = CONF_STRING, .offset = offsetof(struct relay_filter, socket),
     .required = 1, .check = check_milter_socket,
     .help = "unix:/PATH, inet:PORT@ADDRESS or inet6:PORT@ADDRESS."},
    {.name = "away", .type = CONF_ENUM, .offset = offsetof(struct relay_filter, away),
     .choices = aways, .fallback = "tempfail",
     .help = "What mail gets when the filter cannot be asked or breaks the protocol."},
    {.name = "connect", .type = CONF_DURATION, .offset = offsetof(struct relay_filter, connect),
     .fallback = "5s", .min = SECOND, .max = 5 * MINUTE, .help = "How long connecting may take."},
    {.name = "timeout", .type = CONF_DURATION, .offset = offsetof(struct relay_filter, timeout),
     .fallback = "30s", .min = SECOND, .max = HOUR, .help = "How long an answer may take."},
    {.name = "body", .type = CONF_DURATION, .offset = offsetof(struct relay_filter, body),
     .fallback = "5m", .min = SECOND, .max = HOUR,
     .help = "How long the answer to the end of a message may take."},
    {0}};

static const struct conf_key source_keys[] = {
    {.name = "name", .type = CONF_STRING, .offset = offsetof(struct relay_source, name),
     .required = 1, .check = check_name, .help = "Name, for pools and reports."},
    {.name = "address", .type = CONF_STRING, .offset = offsetof(struct relay_source, address),
     .check = check_address, .help = "IPv4 address to send from. Empty: the system chooses."},
    {.name = "address6", .type = CONF_STRING, .offset = offsetof(struct relay_source, address6),
     .check = check_address6, .help = "IPv6 address to send from. Empty: the system chooses."},
    {.name = "hostname", .type = CONF_STRING, .offset = offsetof(struct relay_source, hostname),
     .check = check_hostname, .help = "Name said in EHLO. Empty: hostname."},
    {.name = "warmup", .type = CONF_STRING, .offset = offsetof(struct relay_source, warmup),
     .check = check_name, .help = "Schedule of warmups by which it begins."},
    {0}};

static const struct conf_key pool_keys[] = {
    {.name = "name", .type = CONF_STRING, .offset = offsetof(struct relay_pool, name),
     .required = 1, .check = check_name, .help = "Name, for routes."},
    {.name = "sources", .type = CONF_STRINGS, .offset = offsetof(struct relay_pool, sources),
     .required = 1, .check = check_member, .help = "Sources that share its mail: NAME or NAME=WEIGHT."},
    {0}};

static const struct conf_key warmup_keys[] = {
    {.name = "name", .type = CONF_STRING, .offset = offsetof(struct relay_warmup, name),
     .required = 1, .check = check_name, .help = "Name, for sources."},
    {.name = "start", .type = CONF_STRING, .offset = offsetof(struct relay_warmup, start),
     .required = 1, .check = check_day, .help = "First day, YYYY-MM-DD; days change at midnight UTC."},
    {.name = "daily", .type = CONF_STRINGS, .offset = offsetof(struct relay_warmup, daily),
     .required = 1, .check = check_daily,
     .help = "Messages to one site on the first day, the second, and so on; the last counts for all days after it; "
	     "all ends the limit."},
    {.name = "overflow", .type = CONF_STRING, .offset = offsetof(struct relay_warmup, overflow),
     .check = check_name, .help = "Pool that takes what is more. Empty: it waits for the next day."},
    {0}};

static const struct conf_key bounce_keys[] = {
    {.name = "domain", .type = CONF_STRING, .offset = IN(bounce, domain), .check = check_mail_domain,
     .help = "Domain whose mail relay takes itself: bounces to VERP senders, feedback reports."},
    {.name = "verp", .type = CONF_BOOL, .offset = IN(bounce, verp), .fallback = "no",
     .help = "Whether mail leaves with a sender of its own for each recipient, at bounce.domain."},
    {.name = "delay", .type = CONF_DURATION, .offset = IN(bounce, delay), .fallback = "4h",
     .min = 0, .max = 30 * DAY, .help = "Wait after which a sender hears that mail is late. 0: never."},
    {.name = "full", .type = CONF_BOOL, .offset = IN(bounce, full), .fallback = "no",
     .help = "Whether reports return the whole message where RET says nothing; else its headers."},
    {.name = "keep", .type = CONF_DURATION, .offset = IN(bounce, keep), .fallback = "30d",
     .min = HOUR, .max = 3650 * DAY, .help = "How long a recipient stays suppressed after a hard bounce."},
    {.name = "reports", .type = CONF_STRINGS, .offset = IN(bounce, reports), .check = check_local_part,
     .help = "Local parts at bounce.domain that take feedback reports (ARF)."},
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
     .choices = tls_levels, .fallback = "opportunistic",
     .help = "TLS is always tried unless none; encrypt, verify and dane never fall back to clear text."},
    {.name = "customer", .type = CONF_STRING, .offset = offsetof(struct relay_route, customer),
     .check = check_name, .help = "Customer whose mail goes this way. Empty: everybody's."},
    {.name = "pool", .type = CONF_STRING, .offset = offsetof(struct relay_route, pool),
     .check = check_name, .help = "Pool of sources it leaves from. Empty: this host's own address."},
    {.name = "credential", .type = CONF_STRING, .offset = offsetof(struct relay_route, credential),
     .check = check_name,
     .help = "Upstream credential to log in with at the next hop; needs tls: encrypt, verify or dane."},
    {0}};

static const struct conf_key dkim_keys[] = {
    {.name = "domain", .type = CONF_STRING, .offset = offsetof(struct relay_dkim, domain),
     .required = 1, .check = check_dkim_domain,
     .help = "Domain in From whose mail is signed, by the keys dkim/DOMAIN/rsa and dkim/DOMAIN/ed25519 of keyd."},
    {.name = "customer", .type = CONF_STRING, .offset = offsetof(struct relay_dkim, customer),
     .check = check_name, .help = "Customer whose mail is signed. Empty: everybody's."},
    {.name = "selector", .type = CONF_STRING, .offset = offsetof(struct relay_dkim, selector),
     .fallback = "sp", .check = check_selector,
     .help = "What selectors begin with; the key's version and r (RSA) or e (Ed25519) follow."},
    {.name = "subdomains", .type = CONF_BOOL, .offset = offsetof(struct relay_dkim, subdomains),
     .fallback = "no", .help = "Whether mail from domains below it is signed too."},
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
    {.name = "milter", .type = CONF_STRING, .offset = IN(api, milter), .fallback = "sealpost-milter",
     .help = "User (name or number) of sealpost-milter, who may fetch campaigns there and tell of rejections."},
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
    {.name = "dane", .type = CONF_BOOL, .offset = IN(outbound, dane), .fallback = "yes",
     .help = "Verify mail hosts by their TLSA records where DNSSEC proves them (RFC 7672)."},
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
    {.name = "open", .type = CONF_INT, .offset = IN(outbound, open), .fallback = "5000", .min = 1,
     .max = 100000, .help = "Outgoing connections in all."},
    {.name = "eightbit", .type = CONF_ENUM, .offset = IN(outbound, eightbit), .choices = eightbits,
     .fallback = "pass",
     .help = "What becomes of 8-bit mail for a server without 8BITMIME: pass sends it unchanged, refuse returns it."},
    {.name = "ipv6", .type = CONF_ENUM, .offset = IN(outbound, ipv6), .choices = ipv6s,
     .fallback = "prefer", .help = "Order of the addresses of one host: prefer, after IPv4, or no."},
    {.name = "mta_sts", .type = CONF_BOOL, .offset = IN(outbound, mta_sts), .fallback = "yes",
     .help = "Whether MTA-STS policies of recipient domains are looked up and followed."},
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
    {.name = "client_sessions", .type = CONF_RATE, .offset = IN(limits, client_sessions),
     .help = "Sessions that one address may begin, as 100/15m (421 beyond). Empty: no limit."},
    {.name = "client_messages", .type = CONF_RATE, .offset = IN(limits, client_messages),
     .help = "Messages from one address that does not log in (450 beyond). Empty: no limit."},
    {.name = "client_recipients", .type = CONF_RATE, .offset = IN(limits, client_recipients),
     .help = "Their recipients (450 beyond). Empty: no limit."},
    {.name = "auth_failures", .type = CONF_RATE, .offset = IN(limits, auth_failures),
     .fallback = "10/10m",
     .help = "Failed logins from one address, after which it is locked out (421). Empty: never."},
    {.name = "auth_lockout", .type = CONF_DURATION, .offset = IN(limits, auth_lockout),
     .fallback = "15m", .min = SECOND, .max = 7 * DAY, .help = "How long it stays locked out."},
    {.name = "free_space", .type = CONF_SIZE, .offset = IN(limits, free_space), .fallback = "256M",
     .min = 0, .max = INT64_C(1) << 50,
     .help = "Space that must stay free on the spool's file system (452 below)."},
    {.name = "free_inodes", .type = CONF_INT, .offset = IN(limits, free_inodes), .fallback = "1000",
     .min = 0, .max = INT64_C(1) << 40,
     .help = "Inodes that must stay free there; not looked at where the file system counts none."},
    {0}};

static const struct conf_key ledger_keys[] = {
    {.name = "keep", .type = CONF_DURATION, .offset = IN(ledger, keep), .fallback = "400d",
     .min = DAY, .max = 36500 * DAY,
     .help = "How long rows of the ledger are kept; they go in whole files. A customer's old keys live as long."},
    {0}};

static const struct conf_key reseal_keys[] = {
    {.name = "rate", .type = CONF_INT, .offset = IN(reseal, rate), .fallback = "1000", .min = 1,
     .max = 1000000, .help = "Sealed items looked at in a second after a customer got a new key."},
    {.name = "settle", .type = CONF_DURATION, .offset = IN(reseal, settle), .fallback = "3h",
     .min = SECOND, .max = 24 * HOUR,
     .help = "How long after a new key something may still be under way with the one before."},
    {0}};

static const struct conf_key tlsrpt_keys[] = {
    {.name = "send", .type = CONF_BOOL, .offset = IN(tlsrpt, send), .fallback = "yes",
     .help = "Whether domains that ask for TLS reports (RFC 8460) get them; nothing is sent without from."},
    {.name = "from", .type = CONF_STRING, .offset = IN(tlsrpt, from), .check = check_mailbox,
     .help = "Sender of the reports. Its domain must sign (dkim): receivers ignore what is not signed."},
    {.name = "organization", .type = CONF_STRING, .offset = IN(tlsrpt, organization),
     .help = "Who reports, as the reports say it. Empty: the domain of from."},
    {.name = "contact", .type = CONF_STRING, .offset = IN(tlsrpt, contact), .check = check_mailbox,
     .help = "Address of who answers questions about them. Empty: from."},
    {.name = "customer", .type = CONF_STRING, .offset = IN(tlsrpt, customer), .check = check_name,
     .help = "Customer whose keys seal them in the queue. Empty: that of the first listener."},
    {.name = "delay", .type = CONF_DURATION, .offset = IN(tlsrpt, delay), .fallback = "4h", .min = 0,
     .max = 23 * HOUR, .help = "Longest wait after a day; each report draws its own, so that they do not go all at once."},
    {0}};

static const struct conf_key track_host_keys[] = {
    {.name = "host", .type = CONF_STRING, .offset = offsetof(struct relay_track_host, host),
     .required = 1, .check = check_hostname, .help = "Name of the host in links."},
    {.name = "customer", .type = CONF_STRING, .offset = offsetof(struct relay_track_host, customer),
     .fallback = "default", .check = check_name, .help = "Customer whose links lead there."},
    {.name = "certificate", .type = CONF_PATH, .offset = offsetof(struct relay_track_host, certificate),
     .required = 1, .help = "PEM chain for the host, own certificate first."},
    {.name = "key", .type = CONF_STRING, .offset = offsetof(struct relay_track_host, key),
     .required = 1, .help = "keyd:LABEL, a key that never leaves keyd; or a PEM file."},
    {0}};

static const struct conf_key tracking_keys[] = {
    {.name = "listen", .type = CONF_STRINGS, .offset = IN(tracking, listen), .check = check_listen,
     .help = "Addresses and ports of the tracking host (HTTPS), numeric. Empty: there is none."},
    {.name = "hosts", .type = CONF_LIST, .offset = IN(tracking, hosts), .sub = track_host_keys,
     .item_size = sizeof(struct relay_track_host), .help = "Names that links lead to, each of one customer."},
    {.name = "keep", .type = CONF_DURATION, .offset = IN(tracking, keep), .fallback = "180d",
     .min = DAY, .max = 3650 * DAY,
     .help = "How long it is known what each recipient did, and who a link to unsubscribe is of. Totals stay."},
    {.name = "mailto", .type = CONF_STRING, .offset = IN(tracking, mailto), .check = check_mail_domain,
     .help = "Domain of addresses to unsubscribe by mail; relay takes its mail itself. Empty: none."},
    {.name = "connections", .type = CONF_INT, .offset = IN(tracking, connections), .fallback = "1000",
     .min = 1, .max = 100000, .help = "Connections to the tracking host at a time."},
    {.name = "rate", .type = CONF_RATE, .offset = IN(tracking, rate), .fallback = "600/1m",
     .help = "Requests from one address (IPv6: /64); 429 beyond, and pictures are not counted. Empty: no limit."},
    {.name = "header", .type = CONF_DURATION, .offset = IN(tracking, header), .fallback = "10s",
     .min = SECOND, .max = 5 * MINUTE, .help = "How long a request may take to arrive, the TLS handshake included."},
    {.name = "idle", .type = CONF_DURATION, .offset = IN(tracking, idle), .fallback = "15s",
     .min = SECOND, .max = 5 * MINUTE, .help = "How long a connection without a request is kept."},
    {.name = "webhook_timeout", .type = CONF_DURATION, .offset = IN(tracking, webhook_timeout), .fallback = "15s",
     .min = SECOND, .max = MINUTE, .help = "How long a webhook may take to answer."},
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
    {.name = "filters", .type = CONF_LIST, .offset = AT(filters), .sub = filter_keys,
     .item_size = sizeof(struct relay_filter), .shorthand = 1,
     .help = "Milters, in order. A plain string is the socket of one."},
    {.name = "routes", .type = CONF_LIST, .offset = AT(routes), .sub = route_keys,
     .item_size = sizeof(struct relay_route),
     .help = "Where mail goes. Empty: everything by MX, TLS opportunistic."},
    {.name = "sources", .type = CONF_LIST, .offset = AT(sources), .sub = source_keys,
     .item_size = sizeof(struct relay_source), .help = "Virtual MTAs: addresses and names to send from."},
    {.name = "pools", .type = CONF_LIST, .offset = AT(pools), .sub = pool_keys,
     .item_size = sizeof(struct relay_pool), .help = "Groups of sources."},
    {.name = "warmups", .type = CONF_LIST, .offset = AT(warmups), .sub = warmup_keys,
     .item_size = sizeof(struct relay_warmup), .help = "How much new sources send at first."},
    {.name = "dkim", .type = CONF_LIST, .offset = AT(dkim), .sub = dkim_keys,
     .item_size = sizeof(struct relay_dkim), .help = "Domains whose mail is signed with DKIM."},
    {.name = "shaping", .type = CONF_STRINGS, .offset = AT(shaping),
     .help = "Files with rules for destinations, patterns of glob(7); see sealpost-shaping(5)."},
    {.name = "bounce", .type = CONF_MAP, .offset = AT(bounce), .sub = bounce_keys},
    {.name = "retry", .type = CONF_MAP, .offset = AT(retry), .sub = retry_keys},
    {.name = "api", .type = CONF_MAP, .offset = AT(api), .sub = api_keys},
    {.name = "dns", .type = CONF_MAP, .offset = AT(dns), .sub = dns_keys},
    {.name = "outbound", .type = CONF_MAP, .offset = AT(outbound), .sub = outbound_keys},
    {.name = "ledger", .type = CONF_MAP, .offset = AT(ledger), .sub = ledger_keys},
    {.name = "tlsrpt", .type = CONF_MAP, .offset = AT(tlsrpt), .sub = tlsrpt_keys},
    {.name = "tracking", .type = CONF_MAP, .offset = AT(tracking), .sub = tracking_keys},
    {.name = "reseal", .type = CONF_MAP, .offset = AT(reseal), .sub = reseal_keys},
    {.name = "limits", .type = CONF_MAP, .offset = AT(limits), .sub = limits_keys},
    {0}};

const struct conf_key *relay_conf_table(void)
{
	return keys;
}
