/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_limit.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/rand.h"

#define WAYS 4

struct slot {
	struct in_limit_key key;
	uint8_t kind; /* 0: free */
	int64_t full; /* when nothing would be counted any more (GCRA's theoretical arrival time) */
	int64_t locked;
};

struct in_limit {
	pthread_mutex_t lock;
	uint64_t seed; /* nobody chooses whom he meets */
	struct slot slots[IN_LIMIT_SLOTS];
};

struct in_limit *in_limit_new(void)
{
	struct in_limit *l = calloc(1, sizeof(*l)); /* pages that are not touched take nothing */

	if (l) {
		pthread_mutex_init(&l->lock, NULL);
		l->seed = rand_u64();
	}
	return l;
}

void in_limit_free(struct in_limit *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l);
}

struct in_limit_key in_limit_client(const struct sockaddr_storage *a)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	struct in_limit_key k = {{0}};

	if (a->ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		memcpy(k.bytes, &v6->sin6_addr, 8);
		return k;
	}
	k.bytes[10] = k.bytes[11] = 0xff;
	if (a->ss_family == AF_INET6)
		memcpy(k.bytes + 12, v6->sin6_addr.s6_addr + 12, 4);
	else if (a->ss_family == AF_INET)
		memcpy(k.bytes + 12, &((const struct sockaddr_in *)a)->sin_addr, 4);
	return k;
}

struct in_limit_key in_limit_credential(int64_t id)
{
	struct in_limit_key k = {{0}};

	num_put_u64(k.bytes, (uint64_t)id);
	k.bytes[8] = 1; /* as in no address's */
	return k;
}

static struct slot *set_of(struct in_limit *l, enum in_limit_kind kind, const struct in_limit_key *key)
{
	uint64_t h = l->seed ^ kind, part;

	for (int i = 0; i < 16; i += 8) {
		memcpy(&part, key->bytes + i, 8);
		h = (h ^ part) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	return &l->slots[h % (IN_LIMIT_SLOTS / WAYS) * WAYS];
}

/* The counter; make: in place of the one that was quiet longest, if there is none. */
static struct slot *find(struct in_limit *l, enum in_limit_kind kind, const struct in_limit_key *key, int make)
{
	struct slot *set = set_of(l, kind, key), *oldest = set;

	for (int i = 0; i < WAYS; i++) {
		if (set[i].kind == kind && !memcmp(&set[i].key, key, sizeof(*key)))
			return &set[i];
		if (!set[i].kind || (oldest->kind && set[i].full < oldest->full &&
				     set[i].locked <= oldest->locked))
			oldest = &set[i];
	}
	if (!make)
		return NULL;
	*oldest = (struct slot){.key = *key, .kind = (uint8_t)kind};
	return oldest;
}

static int count(struct slot *s, struct num_rate rate, int64_t now)
{
	int64_t each = rate.window / (int64_t)rate.count, full = s->full > now ? s->full : now;

	if (full + each - now > rate.window)
		return 0;
	s->full = full + each;
	return 1;
}

int in_limit_take(struct in_limit *l, enum in_limit_kind kind, struct in_limit_key key,
		  struct num_rate rate, int64_t now)
{
	int ok;

	if (!rate.count)
		return 1;
	pthread_mutex_lock(&l->lock);
	ok = count(find(l, kind, &key, 1), rate, now);
	pthread_mutex_unlock(&l->lock);
	return ok;
}

int in_limit_failed(struct in_limit *l, struct in_limit_key key, struct num_rate rate, int64_t lockout,
		    int64_t now)
{
	struct slot *s;
	int over;

	if (!rate.count)
		return 0;
	pthread_mutex_lock(&l->lock);
	s = find(l, IN_LIMIT_FAILURES, &key, 1);
	count(s, rate, now);
	over = s->full + rate.window / (int64_t)rate.count - now > rate.window; /* no further one is free */
	if (over)
		s->locked = now + lockout;
	pthread_mutex_unlock(&l->lock);
	return over;
}

int in_limit_locked(struct in_limit *l, struct in_limit_key key, int64_t now)
{
	struct slot *s;
	int locked;

	pthread_mutex_lock(&l->lock);
	s = find(l, IN_LIMIT_FAILURES, &key, 0);
	locked = s && s->locked > now;
	pthread_mutex_unlock(&l->lock);
	return locked;
}
