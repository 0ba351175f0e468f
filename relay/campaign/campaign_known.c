/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/campaign/campaign_known.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"

struct entry {
	uint32_t number;
	struct campaign_about about;
	char **urls; /* about.links, in one piece of memory with all that follows */
	char **hosts;
	size_t n_hosts;
};

struct campaign_known {
	pthread_rwlock_t lock; /* of what follows: control writes */
	struct entry **all;    /* by number */
	size_t count;
	int complete;
};

struct campaign_known *campaign_known_new(void)
{
	struct campaign_known *k = calloc(1, sizeof(*k));

	if (k)
		pthread_rwlock_init(&k->lock, NULL);
	return k;
}

static void entry_free(struct entry *e)
{
	if (e)
		free(e->urls);
	free(e);
}

void campaign_known_free(struct campaign_known *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->count; i++)
		entry_free(k->all[i]);
	free(k->all);
	pthread_rwlock_destroy(&k->lock);
	free(k);
}

/* Place of number, or where it would go. */
static size_t place(const struct campaign_known *k, uint32_t number)
{
	size_t low = 0, high = k->count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (k->all[mid]->number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct entry *entry_of(const struct campaign_known *k, uint32_t number)
{
	size_t i = place(k, number);

	return i < k->count && k->all[i]->number == number ? k->all[i] : NULL;
}

/* Copies n texts behind one another; where the next one may go. */
static char *put_texts(char **to, const char *const *from, size_t n, char *room)
{
	for (size_t i = 0; i < n; i++) {
		to[i] = from[i] ? strcpy(room, from[i]) : NULL;
		room += from[i] ? strlen(from[i]) + 1 : 0;
	}
	return room;
}

static size_t size_of(const char *const *texts, size_t n)
{
	size_t size = n * sizeof(char *);

	for (size_t i = 0; i < n; i++)
		size += texts[i] ? strlen(texts[i]) + 1 : 0;
	return size;
}

static struct entry *entry_new(uint32_t number, const struct campaign_about *about,
			       const char *const *urls, const char *const *hosts)
{
	struct entry *e = calloc(1, sizeof(*e));
	size_t n = 0, size;
	char *text;

	while (hosts[n])
		n++;
	size = size_of(urls, about->links) + size_of(hosts, n) + 1;
	if (e)
		e->urls = malloc(size);
	if (!e || !e->urls) {
		free(e);
		return NULL;
	}
	e->number = number;
	e->about = *about;
	e->hosts = e->urls + about->links;
	e->n_hosts = n;
	text = put_texts(e->urls, urls, about->links, (char *)(e->hosts + n));
	put_texts(e->hosts, hosts, n, text);
	return e;
}

int campaign_known_put(struct campaign_known *k, uint32_t number, const struct campaign_about *about,
		       const char *const *urls, const char *const *hosts)
{
	struct entry *fresh = entry_new(number, about, urls, hosts), **more;
	size_t i;
	int found, err = 0;

	if (!fresh)
		return ERR_NOMEM;
	pthread_rwlock_wrlock(&k->lock);
	i = place(k, number);
	found = i < k->count && k->all[i]->number == number;
	more = found ? k->all : realloc(k->all, (k->count + 1) * sizeof(*more));
	if (!more) {
		entry_free(fresh);
		err = ERR_NOMEM;
	} else if (found) {
		entry_free(k->all[i]);
		k->all[i] = fresh;
	} else {
		k->all = more;
		memmove(more + i + 1, more + i, (k->count - i) * sizeof(*more));
		more[i] = fresh;
		k->count++;
	}
	pthread_rwlock_unlock(&k->lock);
	return err;
}

int campaign_known_hosts(struct campaign_known *k, uint32_t number, void (*fn)(void *arg, const char *host), void *arg)
{
	const struct entry *e = entry_of(k, number); /* control alone writes: no lock to read */

	for (size_t i = 0; e && i < e->n_hosts; i++)
		fn(arg, e->hosts[i]);
	return e ? 0 : ERR_NOTFOUND;
}

void campaign_known_state(struct campaign_known *k, uint32_t number, int state)
{
	struct entry *e;

	pthread_rwlock_wrlock(&k->lock);
	e = entry_of(k, number);
	if (e)
		e->about.state = state;
	pthread_rwlock_unlock(&k->lock);
}

void campaign_known_drop(struct campaign_known *k, uint32_t number)
{
	size_t i;

	pthread_rwlock_wrlock(&k->lock);
	i = place(k, number);
	if (i < k->count && k->all[i]->number == number) {
		entry_free(k->all[i]);
		k->count--;
		memmove(k->all + i, k->all + i + 1, (k->count - i) * sizeof(*k->all));
	}
	pthread_rwlock_unlock(&k->lock);
}

void campaign_known_all(struct campaign_known *k, int all)
{
	pthread_rwlock_wrlock(&k->lock);
	k->complete = all;
	pthread_rwlock_unlock(&k->lock);
}

int campaign_known_get(struct campaign_known *k, uint32_t number, unsigned index,
		       char url[CAMPAIGN_URL_MAX + 1], struct campaign_about *about)
{
	const struct entry *e;
	int err = 0;

	pthread_rwlock_rdlock(&k->lock);
	e = entry_of(k, number);
	if (!e)
		err = k->complete ? ERR_NOTFOUND : ERR_AWAY;
	else if (url && index >= e->about.links)
		err = ERR_NOTFOUND;
	else if (url)
		strcpy(url, e->urls[index] ? e->urls[index] : "");
	if (err == 0 && about)
		*about = e->about;
	pthread_rwlock_unlock(&k->lock);
	return err;
}
