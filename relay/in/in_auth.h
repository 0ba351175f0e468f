/* SPDX-License-Identifier: Apache-2.0 */
/* in_auth - checks who logs in: the credentials of this moment, and threads that compute Argon2id.
 *
 * Story:     control opens the sealed hashes when keyd is READY and publishes a set of all credentials; when keyd
 *            goes away it publishes none, and nobody can log in. A worker asks with in_auth_check. What was right a
 *            moment ago is known again by a keyed digest (IN_AUTH_MEMORY), so that clients with many short sessions do
 *            not cost an Argon2id each; all else goes to one of IN_AUTH_THREADS threads. A name that does not exist
 *            costs the same time as a wrong password. A certificate is looked up by its fingerprint, at once.
 * Ownership: a set is counted: in_auth_now gives a reference. A check is the asker's memory until it is answered.
 * Errors:    ERR_AUTH; ERR_AWAY: no credentials are known now; ERR_BUSY: IN_AUTH_WAITING checks wait already.
 * Thread:    publish by control; check, now, certificate by any.
 * Source:    RFC 9106; parameters of new hashes below. */
#ifndef RELAY_IN_IN_AUTH_H
#define RELAY_IN_IN_AUTH_H

#include "core/clock.h"
#include "core/num.h"
#include "core/span.h"
#include "relay/relay.h"
#include "smtp/smtp_auth.h"

#define IN_AUTH_THREADS 2
#define IN_AUTH_WAITING 256
#define IN_AUTH_MEMORY	(10 * 60 * CLOCK_SEC)
#define IN_AUTH_HASH	128 /* text of an Argon2id hash, with NUL */
/* 19 MiB, twice, one lane: about 25 ms on the reference machine */
#define IN_AUTH_KIB	19456
#define IN_AUTH_PASSES	2

struct in_auth_credential {
	int64_t id, changed;
	char name[65], customer[65];
	char hash[IN_AUTH_HASH]; /* "": no password */
	uint8_t fingerprint[32]; /* SHA-256 of a certificate; all zero: none */
	struct num_rate messages, recipients;
	int64_t connections; /* 0: no limit */
	int disabled;
};
struct in_auth_set {
	atomic_int refs;
	size_t count;
	struct in_auth_credential all[]; /* by name */
};
/* Room for count credentials, one reference. */
struct in_auth_set *in_auth_set_new(size_t count);
void in_auth_set_unref(struct in_auth_set *set);

struct in_auth;
struct in_auth *in_auth_new(void);
/* Ends the threads: checks that wait are never answered, new ones refused with ERR_AWAY. */
void in_auth_stop(struct in_auth *a);
void in_auth_free(struct in_auth *a);

/* Takes the reference over; items in any order. NULL: none are known. */
void in_auth_publish(struct in_auth *a, struct in_auth_set *set);
/* With a reference; NULL: none are known now. */
struct in_auth_set *in_auth_now(struct in_auth *a);

struct in_auth_check {
	struct relay_msg msg; /* run: set by the asker; called through reply with the check */
	char name[SMTP_AUTH_FIELD + 1];
	char password[SMTP_AUTH_FIELD + 1]; /* wiped when answered */
	struct evt_inbox *reply;
	void *arg;
	/* answer */
	int err;
	struct in_auth_credential who; /* hash emptied; of ERR_AUTH only its name, if there is such a one */
	struct in_auth_check *next;    /* in_auth's own */
};
/* In secret memory. NULL: none left. */
struct in_auth_check *in_auth_check_new(void);
void in_auth_check_free(struct in_auth_check *c);
/* 0: answered through reply. 1: answered already, err and who are set. ERR_AWAY, ERR_BUSY: refused. */
int in_auth_check(struct in_auth *a, struct in_auth_check *c);
/* Of a certificate: 0 and *who, ERR_AUTH, ERR_AWAY. */
int in_auth_certificate(struct in_auth *a, const uint8_t fingerprint[32], struct in_auth_credential *who);

/* Of a name that a trusted proxy has checked: as above. */
int in_auth_name(struct in_auth *a, const char *name, struct in_auth_credential *who);

/* A new hash of a password, as text. Takes its time. ERR_NOMEM, ERR_CRYPTO. */
int in_auth_hash(char dst[IN_AUTH_HASH], struct span password);

#endif
