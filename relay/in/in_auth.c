/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_auth.h"

#include <argon2.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"

#define KNOWN	    4096
#define DIGEST	    32
#define SALT	    16
#define HASH_OCTETS 32

/* Nobody's hash: what is computed for names that do not exist. */
static const char nobody[] = "$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$"
			     "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

struct in_auth {
	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_t threads[IN_AUTH_THREADS];
	unsigned started, waiting;
	int ending;
	struct in_auth_check *first, **last;
	struct in_auth_set *set;
	uint8_t key[DIGEST]; /* of the digests */
	struct {
		uint8_t digest[DIGEST];
		int64_t until;
	} known[KNOWN];
};

/* --- sets */

struct in_auth_set *in_auth_set_new(size_t count)
{
	struct in_auth_set *s = calloc(1, sizeof(*s) + count * sizeof(s->all[0]));

	if (s) {
		atomic_init(&s->refs, 1);
		s->count = count;
	}
	return s;
}

void in_auth_set_unref(struct in_auth_set *s)
{
	if (s && atomic_fetch_sub(&s->refs, 1) == 1)
		free(s);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct in_auth_credential *)a)->name,
		      ((const struct in_auth_credential *)b)->name);
}

void in_auth_publish(struct in_auth *a, struct in_auth_set *set)
{
	struct in_auth_set *old;

	if (set)
		qsort(set->all, set->count, sizeof(set->all[0]), by_name);
	pthread_mutex_lock(&a->lock);
	old = a->set;
	a->set = set;
	pthread_mutex_unlock(&a->lock);
	in_auth_set_unref(old);
}

struct in_auth_set *in_auth_now(struct in_auth *a)
{
	struct in_auth_set *s;

	pthread_mutex_lock(&a->lock);
	s = a->set;
	if (s)
		atomic_fetch_add(&s->refs, 1);
	pthread_mutex_unlock(&a->lock);
	return s;
}

static const struct in_auth_credential *find(const struct in_auth_set *s, const char *name)
{
	struct in_auth_credential key;

	if (strlen(name) >= sizeof(key.name))
		return NULL;
	strcpy(key.name, name);
	return bsearch(&key, s->all, s->count, sizeof(s->all[0]), by_name);
}

/* --- what was right a moment ago */

static int digest_of(const struct in_auth *a, const struct in_auth_credential *who,
		     const char *password, uint8_t digest[DIGEST])
{
	uint8_t text[16 + SMTP_AUTH_FIELD];
	size_t n = strlen(password);
	unsigned size = 0;
	int ok;

	num_put_u64(text, (uint64_t)who->id);
	num_put_u64(text + 8, (uint64_t)who->changed);
	memcpy(text + 16, password, n);
	ok = HMAC(EVP_sha256(), a->key, DIGEST, text, 16 + n, digest, &size) != NULL;
	secret_wipe(text, sizeof(text));
	return ok && size == DIGEST ? 0 : ERR_CRYPTO;
}

static size_t place_of(const uint8_t digest[DIGEST])
{
	return num_get_u32(digest) % KNOWN;
}

static int remembered(struct in_auth *a, const uint8_t digest[DIGEST])
{
	size_t at = place_of(digest);
	int yes;

	pthread_mutex_lock(&a->lock);
	yes = a->known[at].until > clock_mono() && secret_equal(a->known[at].digest, digest, DIGEST);
	pthread_mutex_unlock(&a->lock);
	return yes;
}

static void remember(struct in_auth *a, const uint8_t digest[DIGEST])
{
	size_t at = place_of(digest);

	pthread_mutex_lock(&a->lock);
	memcpy(a->known[at].digest, digest, DIGEST);
	a->known[at].until = clock_mono() + IN_AUTH_MEMORY;
	pthread_mutex_unlock(&a->lock);
}

/* --- checking */

static void tell(struct in_auth_check *c, int err, const struct in_auth_credential *who)
{
	c->err = err;
	memset(&c->who, 0, sizeof(c->who));
	if (who && err == 0)
		c->who = *who;
	else if (who)
		memcpy(c->who.name, who->name, sizeof(who->name));
	secret_wipe(c->who.hash, sizeof(c->who.hash));
	secret_wipe(c->password, sizeof(c->password));
}

/* Everybody pays for one Argon2id, whether he exists or not. */
static void judge(struct in_auth *a, struct in_auth_check *c)
{
	struct in_auth_set *set = in_auth_now(a);
	const struct in_auth_credential *who = set ? find(set, c->name) : NULL;
	const char *hash = who && who->hash[0] ? who->hash : nobody;
	uint8_t digest[DIGEST];
	int right = argon2id_verify(hash, c->password, strlen(c->password)) == ARGON2_OK;

	right = right && hash != nobody && !who->disabled;
	if (right && digest_of(a, who, c->password, digest) == 0)
		remember(a, digest);
	tell(c, !set ? ERR_AWAY : right ? 0 : ERR_AUTH, who);
	in_auth_set_unref(set);
}

static struct in_auth_check *take(struct in_auth *a)
{
	struct in_auth_check *c;

	pthread_mutex_lock(&a->lock);
	while (!a->first && !a->ending)
		pthread_cond_wait(&a->work, &a->lock);
	c = a->ending ? NULL : a->first;
	if (c) {
		a->first = c->next;
		if (!a->first)
			a->last = &a->first;
		a->waiting--;
	}
	pthread_mutex_unlock(&a->lock);
	return c;
}

static void *checker(void *arg)
{
	struct in_auth *a = arg;
	struct in_auth_check *c;

	while ((c = take(a))) {
		judge(a, c);
		evt_inbox_post(c->reply, &c->msg.msg);
	}
	return NULL;
}

static int known_already(struct in_auth *a, struct in_auth_check *c)
{
	struct in_auth_set *set = in_auth_now(a);
	const struct in_auth_credential *who = set ? find(set, c->name) : NULL;
	uint8_t digest[DIGEST];
	int yes;

	yes = who && !who->disabled && who->hash[0] && digest_of(a, who, c->password, digest) == 0 &&
	      remembered(a, digest);
	if (yes)
		tell(c, 0, who);
	in_auth_set_unref(set);
	return yes;
}

int in_auth_check(struct in_auth *a, struct in_auth_check *c)
{
	int err = 0;

	if (known_already(a, c))
		return 1;
	c->next = NULL;
	pthread_mutex_lock(&a->lock);
	if (!a->set || a->ending)
		err = ERR_AWAY;
	else if (a->waiting >= IN_AUTH_WAITING)
		err = ERR_BUSY;
	if (err == 0) {
		*a->last = c;
		a->last = &c->next;
		a->waiting++;
		pthread_cond_signal(&a->work);
	}
	pthread_mutex_unlock(&a->lock);
	return err;
}

int in_auth_certificate(struct in_auth *a, const uint8_t fingerprint[32], struct in_auth_credential *who)
{
	static const uint8_t none[32];
	struct in_auth_set *set = in_auth_now(a);
	int err = set ? ERR_AUTH : ERR_AWAY;

	for (size_t i = 0; set && i < set->count && err == ERR_AUTH; i++)
		if (!memcmp(set->all[i].fingerprint, fingerprint, 32) && memcmp(fingerprint, none, 32) &&
		    !set->all[i].disabled) {
			*who = set->all[i];
			secret_wipe(who->hash, sizeof(who->hash));
			err = 0;
		}
	in_auth_set_unref(set);
	return err;
}

int in_auth_name(struct in_auth *a, const char *name, struct in_auth_credential *who)
{
	struct in_auth_set *set = in_auth_now(a);
	const struct in_auth_credential *found = set ? find(set, name) : NULL;
	int err = !set ? ERR_AWAY : found && !found->disabled ? 0 : ERR_AUTH;

	if (err == 0) {
		*who = *found;
		secret_wipe(who->hash, sizeof(who->hash));
	}
	in_auth_set_unref(set);
	return err;
}

int in_auth_hash(char dst[IN_AUTH_HASH], struct span password)
{
	uint8_t salt[SALT];
	int rc;

	rand_bytes(salt, sizeof(salt));
	rc = argon2id_hash_encoded(IN_AUTH_PASSES, IN_AUTH_KIB, 1, password.p, password.n, salt, sizeof(salt),
				   HASH_OCTETS, dst, IN_AUTH_HASH);
	return rc == ARGON2_OK ? 0 : rc == ARGON2_MEMORY_ALLOCATION_ERROR ? ERR_NOMEM : ERR_CRYPTO;
}

struct in_auth_check *in_auth_check_new(void)
{
	return secret_alloc(sizeof(struct in_auth_check));
}

void in_auth_check_free(struct in_auth_check *c)
{
	secret_free(c, sizeof(*c));
}

/* --- life */

struct in_auth *in_auth_new(void)
{
	struct in_auth *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	a->last = &a->first;
	rand_bytes(a->key, sizeof(a->key));
	while (a->started < IN_AUTH_THREADS &&
	       pthread_create(&a->threads[a->started], NULL, checker, a) == 0)
		a->started++;
	if (a->started == IN_AUTH_THREADS)
		return a;
	in_auth_free(a);
	return NULL;
}

void in_auth_stop(struct in_auth *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->ending = 1;
	pthread_cond_broadcast(&a->work);
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->started; i++)
		pthread_join(a->threads[i], NULL);
	a->started = 0;
}

void in_auth_free(struct in_auth *a)
{
	if (!a)
		return;
	in_auth_stop(a);
	in_auth_set_unref(a->set);
	pthread_mutex_destroy(&a->lock);
	pthread_cond_destroy(&a->work);
	secret_wipe(a, sizeof(*a));
	free(a);
}
