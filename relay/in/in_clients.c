/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_clients.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/num.h"

#define BUCKETS 1024

struct client {
	struct client *next;
	uint8_t key[9]; /* family mark and 4 or 8 octets of the address; or 1 and a credential's id */
	unsigned sessions;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct client *table[BUCKETS];

static void make_key(uint8_t key[9], const struct sockaddr_storage *a)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;

	memset(key, 0, 9);
	if (a->ss_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		key[0] = 6;
		memcpy(key + 1, &v6->sin6_addr, 8);
	} else if (a->ss_family == AF_INET6) {
		key[0] = 4;
		memcpy(key + 1, v6->sin6_addr.s6_addr + 12, 4);
	} else if (a->ss_family == AF_INET) {
		key[0] = 4;
		memcpy(key + 1, &v4->sin_addr, 4);
	}
}

/* Where the client is linked, or where it would be. */
static struct client **find(const uint8_t key[9])
{
	uint32_t h = 2166136261u;
	struct client **at;

	for (int i = 0; i < 9; i++)
		h = (h ^ key[i]) * 16777619u;
	for (at = &table[(h ^ h >> 16) % BUCKETS]; *at; at = &(*at)->next)
		if (!memcmp((*at)->key, key, 9))
			break;
	return at;
}

static int enter(const uint8_t key[9], unsigned limit)
{
	struct client **at;
	int ok = 0;

	pthread_mutex_lock(&lock);
	at = find(key);
	if (!*at && (*at = calloc(1, sizeof(**at))))
		memcpy((*at)->key, key, 9);
	if (*at && (*at)->sessions < limit) {
		(*at)->sessions++;
		ok = 1;
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

static void leave(const uint8_t key[9])
{
	struct client **at, *gone = NULL;

	pthread_mutex_lock(&lock);
	at = find(key);
	if (*at && --(*at)->sessions == 0) {
		gone = *at;
		*at = gone->next;
	}
	pthread_mutex_unlock(&lock);
	free(gone);
}

int in_clients_enter(const struct sockaddr_storage *a, unsigned limit)
{
	uint8_t key[9];

	make_key(key, a);
	return enter(key, limit);
}

void in_clients_leave(const struct sockaddr_storage *a)
{
	uint8_t key[9];

	make_key(key, a);
	leave(key);
}

static void make_credential_key(uint8_t key[9], int64_t id)
{
	key[0] = 1;
	num_put_u64(key + 1, (uint64_t)id);
}

int in_clients_enter_credential(int64_t id, unsigned limit)
{
	uint8_t key[9];

	make_credential_key(key, id);
	return enter(key, limit);
}

void in_clients_leave_credential(int64_t id)
{
	uint8_t key[9];

	make_credential_key(key, id);
	leave(key);
}
