/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_conf.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/num.h"
#include "keyproto/keyproto_msg.h"

#define SECOND INT64_C(1000000)
#define SUN_PATH_MAX 107

/* What libmilter would only find out when it opens the socket. */
static const char *check_listen(const char *v)
{
	const char *colon = strchr(v, ':'), *at;
	uint64_t port;
	size_t kind;

	if (!colon)
		return "must be inet:PORT@HOST, inet6:PORT@HOST or unix:/PATH";
	kind = (size_t)(colon - v);
	if ((kind == 4 && !strncmp(v, "unix", 4)) || (kind == 5 && !strncmp(v, "local", 5))) {
		if (colon[1] != '/')
			return "needs an absolute path behind unix:";
		return strlen(colon + 1) <= SUN_PATH_MAX ? NULL : "has a path too long for a socket";
	}
	if (!(kind == 4 && !strncmp(v, "inet", 4)) && !(kind == 5 && !strncmp(v, "inet6", 5)))
		return "must be inet:PORT@HOST, inet6:PORT@HOST or unix:/PATH";
	at = strchr(colon, '@');
	if (num_parse_u64(span_of(colon + 1, at ? (size_t)(at - colon) - 1 : strlen(colon + 1)),
			  &port) != 0 ||
	    port < 1 || port > 65535)
		return "must have a port from 1 to 65535 behind inet:";
	/* Without a host libmilter would listen on every address. */
	return at && at[1] ? NULL : "needs a host: inet:PORT@HOST";
}

static int parse_mode(const char *v, unsigned *mode)
{
	char *end;
	unsigned long m = strtoul(v, &end, 8);

	if (strlen(v) < 3 || strlen(v) > 4 || *end || m > 0777 || (m & 0600) != 0600)
		return ERR_FORMAT;
	*mode = (unsigned)m;
	return 0;
}

static const char *check_mode(const char *v)
{
	unsigned mode;

	return parse_mode(v, &mode) == 0 ? NULL : "must be an octal mode such as \"0660\"";
}

static const char *check_name(const char *v)
{
	return keyproto_name_ok(span_str(v)) ? NULL : "must be 1 to 64 of a-z 0-9 . _ / -";
}

static const char *check_rule(void *item)
{
	return milter_rule_finish(item);
}

#define AT(member) offsetof(struct milter_conf, member)
#define RULE(member) offsetof(struct milter_rule, member)

static const struct conf_key rule_keys[] = {
    {.name = "auth", .type = CONF_STRING, .offset = RULE(auth),
     .help = "SASL login of the client, exactly."},
    {.name = "client", .type = CONF_STRING, .offset = RULE(client),
     .check = milter_rule_check_client, .help = "Network the client comes from."},
    {.name = "sender", .type = CONF_STRING, .offset = RULE(sender),
     .check = milter_rule_check_sender,
     .help = "Domain of the envelope sender; .example.org for what is below it."},
    {.name = "customer", .type = CONF_STRING, .offset = RULE(customer), .required = 1,
     .check = check_name, .help = "Customer whose message it then is."},
    {.name = "stream", .type = CONF_STRING, .offset = RULE(stream), .check = check_name,
     .help = "Which of streams it belongs to; none: policy open."},
    {0}};

static const struct conf_key keys[] = {
    {.name = "listen", .type = CONF_STRING, .offset = AT(listen),
     .fallback = "inet:8891@127.0.0.1", .check = check_listen,
     .help = "Where the MTA connects: inet:PORT@HOST, inet6:PORT@HOST or unix:/PATH."},
    {.name = "socket_mode", .type = CONF_STRING, .offset = AT(mode_text), .fallback = "0660",
     .check = check_mode, .help = "Mode of a Unix socket, octal."},
    {.name = "user", .type = CONF_STRING, .offset = AT(user), .fallback = "sealpost-milter",
     .help = "User to become when started as root."},
    {.name = "keyd", .type = CONF_PATH, .offset = AT(keyd), .fallback = SP_RUNDIR "/keyd.sock",
     .help = "Socket of sealpost-keyd(8)."},
    {.name = "keyd_timeout", .type = CONF_DURATION, .offset = AT(keyd_timeout), .fallback = "5s",
     .min = SECOND, .max = 60 * SECOND,
     .help = "How long an answer of keyd may take before mail is deferred."},
    {.name = "api", .type = CONF_PATH, .offset = AT(api), .fallback = SP_RUNDIR "/api.sock",
     .help = "Local API socket of sealpost-relay(8), which knows the campaigns; asked if there are streams."},
    {.name = "feed_every", .type = CONF_DURATION, .offset = AT(feed_every), .fallback = "1s",
     .min = SECOND, .max = 60 * SECOND, .help = "How often relay is asked which campaigns there are."},
    {.name = "feed_stale", .type = CONF_DURATION, .offset = AT(feed_stale), .fallback = "10s",
     .min = SECOND, .max = 600 * SECOND,
     .help = "How long campaigns are believed without a fresh answer of relay; after that their mail is deferred."},
    {.name = "state", .type = CONF_PATH, .offset = AT(state), .fallback = SP_STATEDIR "/milter",
     .help = "Directory for what is kept, sealed, of a large body until its end has come."},
    {.name = "max_size", .type = CONF_SIZE, .offset = AT(max_size), .fallback = "50M",
     .min = 65536, .max = INT64_C(1) << 30, .help = "Largest message that is judged; a larger one is refused with 552."},
    {.name = "customer", .type = CONF_STRING, .offset = AT(customer), .fallback = "default",
     .check = check_name, .help = "Customer of a message that no rule names."},
    {.name = "customers", .type = CONF_LIST, .offset = AT(customers), .sub = rule_keys,
     .item_size = sizeof(struct milter_rule), .check_item = check_rule,
     .help = "Rules that name the customer of a message; the first that holds counts."},
    {.name = "stream", .type = CONF_STRING, .offset = AT(stream), .check = check_name,
     .help = "Stream of a message that no rule names; none: policy open."},
    {.name = "streams", .type = CONF_LIST, .offset = AT(streams), .sub = milter_stream_keys,
     .item_size = sizeof(struct milter_stream), .check_item = milter_stream_finish,
     .help = "Streams, and what is demanded of their messages; without any, campaigns are not looked up."},
    {.name = "sensitive", .type = CONF_LIST, .offset = AT(sensitive), .sub = milter_sensitive_keys,
     .item_size = sizeof(struct milter_sensitive), .check_item = milter_sensitive_finish,
     .help = "Content for which a message is refused, or delivered to verified servers alone."},
    {0}};

const struct conf_key *milter_conf_table(void)
{
	return keys;
}

/* key: "stream", or of a rule: "customers" with its index. */
static int no_stream(const struct milter_conf *c, const char *name, const char *key, size_t i, char err[CONF_ERR_MAX])
{
	char at[48], what[192];

	if (!name || milter_stream_find(&c->streams, name))
		return 0;
	if (i != SIZE_MAX)
		snprintf(at, sizeof(at), "%s[%zu].stream", key, i);
	else
		snprintf(at, sizeof(at), "%s", key);
	snprintf(what, sizeof(what), "no stream is named \"%s\"", name);
	conf_fail(err, c->path, at, what);
	return 1;
}

/* What names a stream names one that there is, and no two have one name. */
static int check_streams(const struct milter_conf *c, char err[CONF_ERR_MAX])
{
	const struct milter_rule *rules = c->customers.items;
	const struct milter_stream *streams = c->streams.items;

	for (size_t i = 0; i < c->streams.count; i++)
		if (milter_stream_find(&c->streams, streams[i].name) != &streams[i]) {
			char key[48], what[192];
			snprintf(key, sizeof(key), "streams[%zu].name", i);
			snprintf(what, sizeof(what), "another stream is named \"%s\"", streams[i].name);
			return conf_fail(err, c->path, key, what);
		}
	for (size_t i = 0; i < c->customers.count; i++)
		if (no_stream(c, rules[i].stream, "customers", i, err))
			return ERR_CONFIG;
	return no_stream(c, c->stream, "stream", SIZE_MAX, err) ? ERR_CONFIG : 0;
}

int milter_conf_bodies(const struct milter_conf *c)
{
	return c->streams.count || c->sensitive.count;
}

static int compile_sensitive(struct milter_conf *c, char err[CONF_ERR_MAX])
{
	const struct milter_sensitive *rules = c->sensitive.items;
	struct mail_sensitive_rule all[MAIL_SENSITIVE_RULES];

	if (c->sensitive.count > MAIL_SENSITIVE_RULES) {
		snprintf(err, CONF_ERR_MAX, "%s: sensitive: more than %d rules", c->path, MAIL_SENSITIVE_RULES);
		return ERR_CONFIG;
	}
	for (size_t i = 0; i < c->sensitive.count; i++)
		all[i].pattern = rules[i].kind == MILTER_SENSITIVE_CARD ? NULL : rules[i].pattern;
	if (c->sensitive.count)
		c->sensitive_set = mail_sensitive_set_new(all, (unsigned)c->sensitive.count);
	if (c->sensitive.count && !c->sensitive_set) {
		snprintf(err, CONF_ERR_MAX, "%s: out of memory", c->path);
		return ERR_NOMEM;
	}
	return 0;
}

struct milter_conf *milter_conf_load(const char *path, char err[CONF_ERR_MAX])
{
	struct milter_conf *c = calloc(1, sizeof(*c));

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
	if (check_streams(c, err) < 0 || compile_sensitive(c, err) < 0) {
		conf_free(keys, c);
		free(c->path);
		free(c);
		return NULL;
	}
	parse_mode(c->mode_text, &c->mode); /* checked by the table */
	return c;
}

struct milter_conf *milter_conf_ref(struct milter_conf *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void milter_conf_unref(struct milter_conf *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	mail_sensitive_set_free(c->sensitive_set);
	conf_free(keys, c);
	free(c->path);
	free(c);
}

const char *milter_conf_socket(const struct milter_conf *c)
{
	return strncmp(c->listen, "inet", 4) ? strchr(c->listen, ':') + 1 : NULL;
}

const char *milter_conf_fixed(const struct milter_conf *a, const struct milter_conf *b)
{
	if (strcmp(a->listen, b->listen))
		return "listen";
	if (a->mode != b->mode)
		return "socket_mode";
	if (strcmp(a->user, b->user))
		return "user";
	if (strcmp(a->keyd, b->keyd))
		return "keyd";
	if (a->keyd_timeout != b->keyd_timeout)
		return "keyd_timeout";
	if (strcmp(a->api, b->api))
		return "api";
	return strcmp(a->state, b->state) ? "state" : NULL;
}
