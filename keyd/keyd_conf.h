/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_conf - keyd.yaml as a struct.
 *
 * Story:     read once at start and again at SIGHUP; what can change while keyd runs (peers,
 *            limits, rotation) is taken from the new one, and a change of anything else is reported and
 *            waits for a restart.
 * Ownership: keyd_conf_load makes it, keyd_conf_free frees it. Immutable in between.
 * Errors:    as conf_load: ERR_CONFIG or ERR_NOTFOUND with a text.
 * Source:    sealpost-keyd.yaml(5).
 * Thread:    any. */
#ifndef KEYD_KEYD_CONF_H
#define KEYD_KEYD_CONF_H

#include <sys/types.h>

#include "conf/conf_schema.h"

struct keyd_conf_slot {
	int method;	  /* enum keyproto_slot_method */
	char *path;	  /* file */
	char *name;	  /* of the credential; of others: a word for people, or NULL */
	int64_t need, of; /* shares */
	char *uri;	  /* token */
	char *pin;	  /* token: file of the PIN, or NULL */
};

struct keyd_conf_peer {
	const char *name; /* as written */
	int known;	  /* 0: no such user here; uid is nobody's */
	uid_t uid;
	unsigned roles; /* bit 1 << enum keyproto_role */
};

struct keyd_conf_limits {
	int64_t derive_existing, derive_burst, connections;
};

struct keyd_conf_rotation {
	int64_t kek, grace; /* microseconds; kek 0: not by itself */
	int64_t rate;	    /* DEKs a second */
	int64_t jwt, dkim, tls, audit; /* how long a signing key is active; 0: for ever */
	int64_t overlap; /* how long a next one is told before, and a retired one kept */
};

/* How many officers must approve an operation of each class. */
struct keyd_conf_quorum {
	int64_t slot, shred, zeroize;
};

/* How often something may go wrong within window before keyd locks; 0: as often as it likes. */
struct keyd_conf_tamper {
	int64_t auth, denied, mac, window;
};

struct keyd_conf {
	char *state, *socket, *admin_socket, *user, *socket_mode;
	char *audit; /* directory of the audit log */
	int sandbox;
	char *token_helper;		/* NULL: where it was installed */
	struct conf_list token_modules; /* char * */
	int64_t token_timeout;
	struct conf_list slots;	 /* struct keyd_conf_slot */
	struct conf_list people; /* struct conf_pair: peers: as written */
	struct keyd_conf_limits limits;
	struct keyd_conf_rotation rotation;
	struct keyd_conf_quorum quorum;
	struct keyd_conf_tamper tamper;
	char *anchor;	       /* NULL: none */
	int64_t retention;     /* how long copies of the store and backups are kept */
	int64_t backup_every;  /* warn when the last backup is older; 0: never */
	/* made from the above */
	unsigned mode;
	struct keyd_conf_peer *peers;
	size_t peer_count;
};

extern const struct conf_key keyd_conf_table[];

int keyd_conf_load(const char *path, struct keyd_conf **out, char err[CONF_ERR_MAX]);
/* From memory: for tests. */
int keyd_conf_parse(const char *name, struct span text, struct keyd_conf **out,
		    char err[CONF_ERR_MAX]);
void keyd_conf_free(struct keyd_conf *c);

static inline const struct keyd_conf_slot *keyd_conf_slot(const struct keyd_conf *c, size_t i)
{
	return (const struct keyd_conf_slot *)c->slots.items + i;
}
/* The first key about the token helper in which they differ, or NULL. */
const char *keyd_conf_token_changed(const struct keyd_conf *a, const struct keyd_conf *b);
/* Roles of a uid: 0 if it is nobody's. */
unsigned keyd_conf_roles(const struct keyd_conf *c, uid_t uid);

#endif
