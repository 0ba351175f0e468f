/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/tls_exception.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <idn2.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_timer.h"
#include "relay/store/store_exception.h"

#define SAY_EVERY  (60 * CLOCK_SEC) /* that one is in use */
#define LOOK_EVERY (60 * CLOCK_SEC) /* for those that have run out */

struct entry {
	struct tls_exception e;
	atomic_uint_fast64_t uses;
	atomic_int_fast64_t used, said;
};

struct tls_exceptions {
	struct relay *relay;
	pthread_rwlock_t lock; /* of all: control writes */
	struct entry **all;    /* by domain */
	size_t count;
	atomic_size_t any; /* count, to be read without the lock */
	atomic_uint generation;
	struct evt_timer timer;
};

static const char *const levels[] = {[RELAY_TLS_NONE] = "none",
				     [RELAY_TLS_OPPORTUNISTIC] = "opportunistic",
				     [RELAY_TLS_ENCRYPT] = "encrypt"};
enum { LEVELS = sizeof(levels) / sizeof(levels[0]) };

int tls_exception_level(const char *name)
{
	for (int i = 0; i < LEVELS; i++)
		if (!strcmp(levels[i], name))
			return i;
	return -1;
}

const char *tls_exception_level_name(int level)
{
	return level >= 0 && level < LEVELS ? levels[level] : NULL;
}

/* --- any thread */

/* Place of domain, or where it would go. */
static size_t place(const struct tls_exceptions *x, const char *domain, int *found)
{
	size_t low = 0, high = x->count;

	*found = 0;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int c = strcmp(x->all[mid]->e.domain, domain);
		if (c == 0) {
			*found = 1;
			return mid;
		}
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Of the domain itself, else of the nearest name above it that has one for what lies below. */
static struct entry *entry_for(const struct tls_exceptions *x, const char *domain, int64_t now)
{
	for (const char *name = domain; name; name = strchr(name + 1, '.')) {
		int found;
		size_t i = place(x, name, &found);
		if (found && x->all[i]->e.until > now)
			return x->all[i];
	}
	return NULL;
}

int tls_exception_find(struct relay *r, const char *domain, int64_t now, int64_t *until)
{
	struct tls_exceptions *x = r->exceptions;
	struct tls_exception seen = {.level = -1};
	struct entry *e;
	int64_t said = 0;

	if (!x || !atomic_load_explicit(&x->any, memory_order_acquire))
		return -1;
	pthread_rwlock_rdlock(&x->lock);
	e = entry_for(x, domain, now);
	if (e) {
		seen = e->e;
		atomic_fetch_add(&e->uses, 1);
		atomic_store(&e->used, now);
		said = atomic_load(&e->said);
		if (now - said < SAY_EVERY || !atomic_compare_exchange_strong(&e->said, &said, now))
			said = -1; /* not again, or another thread says it */
	}
	pthread_rwlock_unlock(&x->lock);
	if (seen.level < 0)
		return -1;
	if (until)
		*until = seen.until;
	if (said >= 0)
		log_event(LOG_LEVEL_INFO, NULL, "tls-exception", "domain=%s level=%s", seen.domain,
			  levels[seen.level]);
	return seen.level;
}

unsigned tls_exception_generation(struct relay *r)
{
	return r->exceptions ? atomic_load(&r->exceptions->generation) : 0;
}

size_t tls_exception_count(struct relay *r)
{
	return r->exceptions ? atomic_load(&r->exceptions->any) : 0;
}

size_t tls_exception_list(struct relay *r, struct tls_exception *out, size_t most)
{
	struct tls_exceptions *x = r->exceptions;
	size_t n = 0;

	if (!x)
		return 0;
	pthread_rwlock_rdlock(&x->lock);
	for (; n < x->count && n < most; n++) {
		out[n] = x->all[n]->e;
		out[n].uses = atomic_load(&x->all[n]->uses);
		out[n].used = atomic_load(&x->all[n]->used);
	}
	pthread_rwlock_unlock(&x->lock);
	return n;
}

/* --- what a domain is */

static int is_name(const char *s)
{
	size_t n = strlen(s), label = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] == '.') {
			if (!label)
				return 0;
			label = 0;
		} else if ((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') ||
			   s[i] == '-' || s[i] == '_') {
			if (++label > 63)
				return 0;
		} else {
			return 0;
		}
	}
	return label > 0;
}

int tls_exception_domain(char dst[256], const char *text)
{
	int below = text[0] == '.', err = ERR_FORMAT;
	char *ascii = NULL;
	size_t n;

	if (idn2_to_ascii_8z(text + below, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK) {
		for (char *p = ascii; *p; p++)
			if (*p >= 'A' && *p <= 'Z')
				*p |= 0x20;
		n = strlen(ascii);
		if (n && ascii[n - 1] == '.')
			ascii[--n] = '\0';
		if (n < 250 && is_name(ascii)) {
			snprintf(dst, 256, "%s%s", below ? "." : "", ascii);
			err = 0;
		}
	}
	idn2_free(ascii);
	return err;
}

/* --- control: changes */

static int put(struct tls_exceptions *x, const struct tls_exception *e)
{
	struct entry *fresh = calloc(1, sizeof(*fresh)), **more;
	size_t i;
	int found, err = 0;

	if (!fresh)
		return ERR_NOMEM;
	fresh->e = *e;
	fresh->e.uses = 0;
	fresh->e.used = 0;
	pthread_rwlock_wrlock(&x->lock);
	i = place(x, e->domain, &found);
	more = found ? x->all : realloc(x->all, (x->count + 1) * sizeof(*more));
	if (!more) {
		free(fresh);
		err = ERR_NOMEM;
	} else if (found) {
		free(x->all[i]);
		x->all[i] = fresh;
	} else {
		x->all = more;
		memmove(more + i + 1, more + i, (x->count - i) * sizeof(*more));
		more[i] = fresh;
		x->count++;
	}
	atomic_store_explicit(&x->any, x->count, memory_order_release);
	pthread_rwlock_unlock(&x->lock);
	atomic_fetch_add(&x->generation, 1);
	return err;
}

static void drop(struct tls_exceptions *x, const char *domain)
{
	int found;
	size_t i;

	pthread_rwlock_wrlock(&x->lock);
	i = place(x, domain, &found);
	if (found) {
		free(x->all[i]);
		x->count--;
		memmove(x->all + i, x->all + i + 1, (x->count - i) * sizeof(*x->all));
	}
	atomic_store_explicit(&x->any, x->count, memory_order_release);
	pthread_rwlock_unlock(&x->lock);
	atomic_fetch_add(&x->generation, 1);
}

static int room_for(struct tls_exceptions *x, const char *domain)
{
	int found;

	(void)place(x, domain, &found); /* control alone writes: no lock to read */
	return found || x->count < TLS_EXCEPTION_MAX;
}

int tls_exception_add(struct relay *r, struct tls_exception *e)
{
	struct tls_exceptions *x = r->exceptions;
	struct store_exception row;
	char until[21];
	int err;

	e->created = clock_wall();
	if (!tls_exception_level_name(e->level) || e->until <= e->created ||
	    e->until - e->created > TLS_EXCEPTION_LONG || !e->domain[0])
		return ERR_FORMAT;
	if (!room_for(x, e->domain))
		return ERR_LIMIT;
	row = (struct store_exception){e->domain, e->level, e->reason, e->created, e->until};
	err = store_exception_put(r->store, &row);
	if (err == 0)
		err = put(x, e);
	if (err < 0)
		return err;
	clock_format_iso(until, e->until);
	log_event(LOG_LEVEL_INFO, NULL, "tls-exception-added", "domain=%s level=%s until=%s", e->domain,
		  levels[e->level], until);
	return 0;
}

int tls_exception_remove(struct relay *r, const char *domain)
{
	int err = store_exception_remove(r->store, domain);

	if (err < 0)
		return err;
	drop(r->exceptions, domain);
	log_event(LOG_LEVEL_INFO, NULL, "tls-exception-removed", "domain=%s", domain);
	return 0;
}

/* --- control: life */

static void on_timer(void *arg)
{
	struct tls_exceptions *x = arg;
	int64_t now = clock_wall();

	for (size_t i = x->count; i-- > 0;) {
		struct tls_exception e = x->all[i]->e;
		if (e.until > now)
			continue;
		if (store_exception_remove(x->relay->store, e.domain) < 0)
			continue; /* it counts no more; its row has another turn */
		log_event(LOG_LEVEL_WARN, NULL, "tls-exception-expired", "domain=%s level=%s", e.domain,
			  levels[e.level]);
		drop(x, e.domain);
	}
	evt_timer_set(&x->timer, LOOK_EVERY);
}

static int take_row(void *arg, const struct store_exception *row)
{
	struct tls_exception e = {.level = row->level, .created = row->created, .until = row->until};

	snprintf(e.domain, sizeof(e.domain), "%s", row->domain);
	snprintf(e.reason, sizeof(e.reason), "%s", row->reason);
	return tls_exception_level_name(e.level) ? put(arg, &e) : 0;
}

static int open_part(struct relay *r, const char **why)
{
	struct tls_exceptions *x = calloc(1, sizeof(*x));
	int err = ERR_NOMEM;

	*why = "TLS exceptions in relay.db";
	if (!x)
		return err;
	x->relay = r;
	pthread_rwlock_init(&x->lock, NULL);
	evt_timer_init(&x->timer, r->loop, on_timer, x);
	r->exceptions = x;
	err = store_exception_each(r->store, take_row, x);
	if (err == 0)
		err = evt_timer_set(&x->timer, 0);
	return err;
}

static void close_part(struct relay *r)
{
	struct tls_exceptions *x = r->exceptions;

	if (!x)
		return;
	r->exceptions = NULL;
	evt_timer_clear(&x->timer);
	for (size_t i = 0; i < x->count; i++)
		free(x->all[i]);
	free(x->all);
	pthread_rwlock_destroy(&x->lock);
	free(x);
}

const struct relay_control_part tls_exception_part = {.open = open_part, .close = close_part};
