/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "core/clock.h"
#include "core/err.h"
#include "keyd/keyd_quorum.h"
#include "keyd/keyd_root.h"
#include "keyproto/keyproto_msg.h"
#include "sys/sys_priv.h"

static const struct conf_choice methods[] = {{"file", KEYPROTO_SLOT_FILE},
					     {"passphrase", KEYPROTO_SLOT_PASSPHRASE},
					     {"credential", KEYPROTO_SLOT_CREDENTIAL},
					     {"shares", KEYPROTO_SLOT_SHARES},
					     {"token", KEYPROTO_SLOT_TOKEN},
					     {NULL, 0}};

static const struct conf_choice switches[] = {{"on", 1}, {"off", 0}, {NULL, 0}};

static const char *check_socket(const char *value)
{
	return strlen(value) < sizeof(((struct sockaddr_un *)0)->sun_path) ? NULL
									   : "path is too long";
}

static const char *check_mode(const char *value)
{
	size_t n = strspn(value, "01234567");

	if (n != strlen(value) || n < 3 || n > 4 || strtoul(value, NULL, 8) > 0777)
		return "not an octal mode such as 0660";
	return NULL;
}

static const char *check_name(const char *value)
{
	if (!value[0] || value[0] == '.' || strchr(value, '/') ||
	    !keyd_root_name_ok(span_str(value)))
		return "not a name of a credential";
	return NULL;
}

static const char *check_module(const char *value)
{
	return value[0] == '/' ? NULL : "a module is named by its whole path";
}

static const char *check_uri(const char *value)
{
	return keyd_token_uri_check(span_str(value));
}

#define AT(member)	 offsetof(struct keyd_conf, member)
#define LIMIT(member)	 offsetof(struct keyd_conf_limits, member)
#define ROTATION(member) offsetof(struct keyd_conf_rotation, member)

static const struct conf_key slot_keys[] = {
    {.name = "method",
     .type = CONF_ENUM,
     .offset = offsetof(struct keyd_conf_slot, method),
     .required = 1,
     .choices = methods,
     .help = "what opens the slot"},
    {.name = "path",
     .type = CONF_PATH,
     .offset = offsetof(struct keyd_conf_slot, path),
     .help = "method file: where the 32-byte key lies; made by init"},
    {.name = "name",
     .type = CONF_STRING,
     .offset = offsetof(struct keyd_conf_slot, name),
     .check = check_name,
     .help = "method credential: its name under $CREDENTIALS_DIRECTORY; else a word for people"},
    {.name = "need",
     .type = CONF_INT,
     .offset = offsetof(struct keyd_conf_slot, need),
     .min = 2,
     .max = KEYD_ROOT_SHARES_MAX,
     .help = "method shares: how many of them open"},
    {.name = "of",
     .type = CONF_INT,
     .offset = offsetof(struct keyd_conf_slot, of),
     .min = 2,
     .max = KEYD_ROOT_SHARES_MAX,
     .help = "method shares: how many are made"},
    {.name = "uri",
     .type = CONF_STRING,
     .offset = offsetof(struct keyd_conf_slot, uri),
     .check = check_uri,
     .help = "method token: PKCS#11 URI of the key, without a PIN"},
    {.name = "pin",
     .type = CONF_PATH,
     .offset = offsetof(struct keyd_conf_slot, pin),
     .help = "method token: private file with the PIN; without it whoever unseals gives it"},
    {.name = NULL}};

static const struct conf_key limit_keys[] = {
    {.name = "derive_existing",
     .type = CONF_INT,
     .offset = LIMIT(derive_existing),
     .fallback = "20000",
     .min = 1,
     .max = 10000000,
     .help = "keys of existing objects a second, for each peer and customer"},
    {.name = "derive_burst",
     .type = CONF_INT,
     .offset = LIMIT(derive_burst),
     .fallback = "200000",
     .min = 1,
     .max = 100000000,
     .help = "how many of them at once after a quiet time"},
    {.name = "connections",
     .type = CONF_INT,
     .offset = LIMIT(connections),
     .fallback = "1024",
     .min = 1,
     .max = 65536,
     .help = "connections at one time, both sockets"},
    {.name = NULL}};

#define DAY	INT64_C(86400000000)
#define FOREVER (100 * 366 * DAY)

static const struct conf_key rotation_keys[] = {
    {.name = "kek",
     .type = CONF_DURATION,
     .offset = ROTATION(kek),
     .fallback = "90d",
     .max = FOREVER,
     .help = "age at which a shard gets a new KEK; 0: only when asked"},
    {.name = "grace",
     .type = CONF_DURATION,
     .offset = ROTATION(grace),
     .fallback = "30d",
     .max = FOREVER,
     .help = "how long a KEK that wraps nothing any more, or a DEK that is empty, is kept"},
    {.name = "rate",
     .type = CONF_INT,
     .offset = ROTATION(rate),
     .fallback = "18000",
     .min = 1,
     .max = 1000000,
     .help = "DEKs that are wrapped anew in a second"},
    {.name = "jwt",
     .type = CONF_DURATION,
     .offset = ROTATION(jwt),
     .fallback = "90d",
     .max = FOREVER,
     .help = "how long a signing key jwt/* is active; 0: until asked"},
    {.name = "audit",
     .type = CONF_DURATION,
     .offset = ROTATION(audit),
     .fallback = "365d",
     .max = FOREVER,
     .help = "the same for audit/* and manifest/*"},
    {.name = "dkim",
     .type = CONF_DURATION,
     .offset = ROTATION(dkim),
     .fallback = "180d",
     .max = FOREVER,
     .help = "after which time status asks for a new dkim/*; 0: never"},
    {.name = "tls",
     .type = CONF_DURATION,
     .offset = ROTATION(tls),
     .fallback = "0",
     .max = FOREVER,
     .help = "the same for tls/*"},
    {.name = "overlap",
     .type = CONF_DURATION,
     .offset = ROTATION(overlap),
     .fallback = "7d",
     .max = FOREVER,
     .help = "how long before its time a next version is there, and a retired one is kept"},
    {.name = NULL}};

static const struct conf_key quorum_keys[] = {
    {.name = "slot",
     .type = CONF_INT,
     .offset = offsetof(struct keyd_conf_quorum, slot),
     .fallback = "1",
     .min = 1,
     .max = KEYD_QUORUM_NEED_MAX,
     .help = "officers who must approve to add or remove a slot"},
    {.name = "shred",
     .type = CONF_INT,
     .offset = offsetof(struct keyd_conf_quorum, shred),
     .fallback = "1",
     .min = 1,
     .max = KEYD_QUORUM_NEED_MAX,
     .help = "officers who must approve to destroy a customer's keys"},
    {.name = "zeroize",
     .type = CONF_INT,
     .offset = offsetof(struct keyd_conf_quorum, zeroize),
     .fallback = "1",
     .min = 1,
     .max = KEYD_QUORUM_NEED_MAX,
     .help = "officers who must approve to destroy everything"},
    {.name = NULL}};

static const struct conf_key tamper_keys[] = {
    {.name = "auth",
     .type = CONF_INT,
     .offset = offsetof(struct keyd_conf_tamper, auth),
     .fallback = "20",
     .max = INT32_MAX,
     .help = "secrets that open no slot; 0: never lock because of them"},
    {.name = "denied",
     .type = CONF_INT,
     .offset = offsetof(struct keyd_conf_tamper, denied),
     .fallback = "1000",
     .max = INT32_MAX,
     .help = "operations that the role may not do"},
    {.name = "mac",
     .type = CONF_INT,
     .offset = offsetof(struct keyd_conf_tamper, mac),
     .fallback = "100000",
     .max = INT32_MAX,
     .help = "fields and MACs that do not verify"},
    {.name = "window",
     .type = CONF_DURATION,
     .offset = offsetof(struct keyd_conf_tamper, window),
     .fallback = "1h",
     .min = 60 * CLOCK_SEC,
     .max = 366 * DAY,
     .help = "how long they count"},
    {.name = NULL}};

const struct conf_key keyd_conf_table[] = {
    {.name = "state",
     .type = CONF_PATH,
     .offset = AT(state),
     .fallback = SP_STATEDIR "/keyd",
     .help = "directory of the store; private to keyd's user"},
    {.name = "audit",
     .type = CONF_PATH,
     .offset = AT(audit),
     .fallback = "audit",
     .help = "directory of the audit log"},
    {.name = "socket",
     .type = CONF_PATH,
     .offset = AT(socket),
     .fallback = SP_RUNDIR "/keyd.sock",
     .check = check_socket,
     .help = "where relay and milter use keys"},
    {.name = "admin_socket",
     .type = CONF_PATH,
     .offset = AT(admin_socket),
     .fallback = SP_RUNDIR "/keyd-admin.sock",
     .check = check_socket,
     .help = "where officers, operators and auditors administer"},
    {.name = "socket_mode",
     .type = CONF_STRING,
     .offset = AT(socket_mode),
     .fallback = "0660",
     .check = check_mode,
     .help = "permission bits of both sockets"},
    {.name = "user",
     .type = CONF_STRING,
     .offset = AT(user),
     .fallback = "sealpost-keyd",
     .help = "user to become when started as root"},
    {.name = "sandbox",
     .type = CONF_ENUM,
     .offset = AT(sandbox),
     .fallback = "on",
     .choices = switches,
     .help = "give up system calls and files that keyd does not need"},
    {.name = "token_helper",
     .type = CONF_PATH,
     .offset = AT(token_helper),
     .help = "program that speaks PKCS#11, if not the installed one"},
    {.name = "token_modules",
     .type = CONF_STRINGS,
     .offset = AT(token_modules),
     .check = check_module,
     .help = "PKCS#11 modules that a URI may name by module-path"},
    {.name = "token_timeout",
     .type = CONF_DURATION,
     .offset = AT(token_timeout),
     .fallback = "30s",
     .min = 1 * CLOCK_SEC,
     .max = 600 * CLOCK_SEC,
     .help = "how long a token may take for one request"},
    {.name = "slots",
     .type = CONF_LIST,
     .offset = AT(slots),
     .required = 1,
     .sub = slot_keys,
     .item_size = sizeof(struct keyd_conf_slot),
     .help = "what can open the root key, in the order in which it is tried"},
    {.name = "peers",
     .type = CONF_FREE_MAP,
     .offset = AT(people),
     .required = 1,
     .help = "uid or user name: role, or list of roles"},
    {.name = "quorum",
     .type = CONF_MAP,
     .offset = AT(quorum),
     .sub = quorum_keys,
     .help = "operations that one officer alone may not do"},
    {.name = "tamper",
     .type = CONF_MAP,
     .offset = AT(tamper),
     .sub = tamper_keys,
     .help = "when keyd locks by itself"},
    {.name = "limits",
     .type = CONF_MAP,
     .offset = AT(limits),
     .sub = limit_keys,
     .help = "protection against floods"},
    {.name = "anchor",
     .type = CONF_PATH,
     .offset = AT(anchor),
     .help = "file of a secret without which no copy of the store opens; in no backup"},
    {.name = "retention",
     .type = CONF_DURATION,
     .offset = AT(retention),
     .fallback = "35d",
     .max = FOREVER,
     .help = "how long copies of the store and its backups are kept at most"},
    {.name = "backup_every",
     .type = CONF_DURATION,
     .offset = AT(backup_every),
     .fallback = "7d",
     .max = FOREVER,
     .help = "status warns when the last backup is older; 0: never"},
    {.name = "rotation",
     .type = CONF_MAP,
     .offset = AT(rotation),
     .sub = rotation_keys,
     .help = "when keys get new versions"},
    {.name = NULL}};

static int refuse(char err[CONF_ERR_MAX], const char *file, const char *key, const char *what)
{
	return conf_fail(err, file, key, what);
}

/* What an entry has that its method does not, or the reverse; NULL: it is good. */
static const char *slot_fault(const struct keyd_conf_slot *s)
{
	const int shares = s->method == KEYPROTO_SLOT_SHARES;

	if ((s->method == KEYPROTO_SLOT_FILE) != (s->path != NULL))
		return "a slot of method file, and no other, has a path";
	if (s->method == KEYPROTO_SLOT_CREDENTIAL && !s->name)
		return "a slot of method credential has a name";
	if (shares != (s->need != 0) || shares != (s->of != 0))
		return "a slot of method shares, and no other, has need and of";
	if (s->need > s->of)
		return "more shares are needed than there are";
	if ((s->method == KEYPROTO_SLOT_TOKEN) != (s->uri != NULL))
		return "a slot of method token, and no other, has a uri";
	return s->pin && !s->uri ? "only a slot of method token has a pin" : NULL;
}

static int check_slots(const struct keyd_conf *c, const char *file, char err[CONF_ERR_MAX])
{
	unsigned shares = 0;

	if (c->slots.count < 1 || c->slots.count > KEYPROTO_SLOTS_MAX)
		return refuse(err, file, "slots", "between 1 and 8 are needed");
	for (size_t i = 0; i < c->slots.count; i++) {
		const char *what = slot_fault(keyd_conf_slot(c, i));
		char key[32];
		if (what) {
			snprintf(key, sizeof(key), "slots[%zu]", i);
			return refuse(err, file, key, what);
		}
		shares += keyd_conf_slot(c, i)->method == KEYPROTO_SLOT_SHARES;
	}
	return shares > 1 ? refuse(err, file, "slots", "at most one of method shares") : 0;
}

static int refuse_peer(char err[CONF_ERR_MAX], const char *file, const struct conf_pair *p,
		       const char *what)
{
	snprintf(err, CONF_ERR_MAX, "%s:%d: peers.%s: %s", file, p->line, p->key, what);
	return ERR_CONFIG;
}

static int resolve_peer(struct keyd_conf *c, const struct conf_pair *p, const char *file,
			char err[CONF_ERR_MAX])
{
	struct keyd_conf_peer *peer = &c->peers[c->peer_count];
	char *const *names = p->values.items;

	peer->name = p->key;
	/* The user of a package that is not installed is no reason to hold everybody's mail. */
	peer->known = sys_priv_uid(p->key, &peer->uid) == 0;
	if (peer->known && keyd_conf_roles(c, peer->uid))
		return refuse_peer(err, file, p, "the same user twice");
	for (size_t i = 0; i < p->values.count; i++) {
		unsigned role = keyproto_role_of_name(span_str(names[i]));
		if (!role)
			return refuse_peer(err, file, p,
					   "not a role: relay, milter, officer, "
					   "operator, auditor");
		peer->roles |= 1u << role;
	}
	if (!peer->roles)
		return refuse_peer(err, file, p, "a role is missing");
	c->peer_count++;
	return 0;
}

static int finish(struct keyd_conf *c, const char *file, char err[CONF_ERR_MAX])
{
	const struct conf_pair *pairs = c->people.items;
	int rc = check_slots(c, file, err);

	c->mode = (unsigned)strtoul(c->socket_mode, NULL, 8);
	c->peers = calloc(c->people.count + 1, sizeof(c->peers[0]));
	if (!c->peers)
		return ERR_NOMEM;
	if (rc == 0 && !strcmp(c->socket, c->admin_socket))
		rc = refuse(err, file, "admin_socket", "the same as socket");
	for (size_t i = 0; rc == 0 && i < c->people.count; i++)
		rc = resolve_peer(c, &pairs[i], file, err);
	return rc;
}

static int settle(int rc, struct keyd_conf *c, const char *file, struct keyd_conf **out,
		  char err[CONF_ERR_MAX])
{
	if (rc == 0) {
		rc = finish(c, file, err);
		if (rc < 0)
			keyd_conf_free(c);
	} else {
		free(c); /* conf released what it had filled */
	}
	*out = rc == 0 ? c : NULL;
	return rc;
}

int keyd_conf_load(const char *path, struct keyd_conf **out, char err[CONF_ERR_MAX])
{
	struct keyd_conf *c = calloc(1, sizeof(*c));

	*out = NULL;
	err[0] = '\0';
	if (!c)
		return ERR_NOMEM;
	return settle(conf_load(path, keyd_conf_table, c, err), c, path, out, err);
}

int keyd_conf_parse(const char *name, struct span text, struct keyd_conf **out,
		    char err[CONF_ERR_MAX])
{
	struct keyd_conf *c = calloc(1, sizeof(*c));

	*out = NULL;
	err[0] = '\0';
	if (!c)
		return ERR_NOMEM;
	return settle(conf_parse(name, text, keyd_conf_table, c, err), c, name, out, err);
}

void keyd_conf_free(struct keyd_conf *c)
{
	if (!c)
		return;
	conf_free(keyd_conf_table, c);
	free(c->peers);
	free(c);
}

static int same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

const char *keyd_conf_token_changed(const struct keyd_conf *a, const struct keyd_conf *b)
{
	char *const *x = a->token_modules.items, *const *y = b->token_modules.items;

	if (!same(a->token_helper, b->token_helper))
		return "token_helper";
	if (a->token_timeout != b->token_timeout)
		return "token_timeout";
	if (a->token_modules.count != b->token_modules.count)
		return "token_modules";
	for (size_t i = 0; i < a->token_modules.count; i++)
		if (!same(x[i], y[i]))
			return "token_modules";
	return NULL;
}

unsigned keyd_conf_roles(const struct keyd_conf *c, uid_t uid)
{
	for (size_t i = 0; i < c->peer_count; i++)
		if (c->peers[i].known && c->peers[i].uid == uid)
			return c->peers[i].roles;
	return 0;
}
