/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_clients.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024

struct client {
	struct client *next;
	struct in_limit_key key;
	unsigned sessions;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct client *table[BUCKETS];

/* Where the client is linked, or where it would be. */
static struct client **find(const struct in_limit_key *key)
{
	uint32_t h = 2166136261u;
	struct client **at;

	for (size_t i = 0; i < sizeof(key->bytes); i++)
		h = (h ^ key->bytes[i]) * 16777619u;
	for (at = &table[(h ^ h >> 16) % BUCKETS]; *at; at = &(*at)->next)
		if (!memcmp(&(*at)->key, key, sizeof(*key)))
			break;
	return at;
}

int in_clients_enter(struct in_limit_key key, unsigned limit)
{
	struct client **at;
	int ok = 0;

	pthread_mutex_lock(&lock);
	at = find(&key);
	if (!*at && (*at = calloc(1, sizeof(**at))))
		(*at)->key = key;
	if (*at && (*at)->sessions < limit) {
		(*at)->sessions++;
		ok = 1;
	}
	pthread_mutex_unlock(&lock);
	return ok;
}

void in_clients_leave(struct in_limit_key key)
{
	struct client **at, *gone = NULL;

	pthread_mutex_lock(&lock);
	at = find(&key);
	if (*at && --(*at)->sessions == 0) {
		gone = *at;
		*at = gone->next;
	}
	pthread_mutex_unlock(&lock);
	free(gone);
}
