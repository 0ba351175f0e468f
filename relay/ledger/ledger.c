/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger/ledger.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "relay/ledger/ledger_own.h"
#include "relay/queue/queue.h"

#define REPLY_MAX 400
#define ADDRESS_MAX 320

/* --- posting */

/* Texts of a row that come with an attempt, in the order of LEDGER_TEXTS. */
enum { TEXTS = 11, SEALED = 3 };

static void texts_of(const struct ledger_attempt *a, const char *texts[TEXTS])
{
	const char *const all[TEXTS] = {a->customer, a->campaign, a->domain, a->host, a->ip,
					a->source, a->cipher, a->group, a->status, a->failure, a->why};

	for (int i = 0; i < TEXTS; i++)
		texts[i] = all[i] ? all[i] : "";
}

/* What is to be sealed, each at least ""; 0: there is nothing. */
static int sealed_of(const struct ledger_attempt *a, const char *sealed[SEALED])
{
	sealed[0] = a->address ? a->address : "";
	sealed[1] = a->sender ? a->sender : "";
	sealed[2] = a->reply ? a->reply : "";
	return a->address || *sealed[1] || *sealed[2];
}

static size_t put(struct ledger_entry *e, size_t at, const char *s, size_t n)
{
	memcpy(e->text + at, s, n);
	e->text[at + n] = '\0';
	return at + n + 1;
}

static void fold(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s |= 0x20;
}

static struct span *text_span(struct ledger_row *r, int i)
{
	struct span *const all[TEXTS] = {&r->customer, &r->campaign, &r->domain, &r->host, &r->address,
					 &r->source, &r->cipher, &r->group, &r->status, &r->failure, &r->why};

	return all[i];
}

/* What is sealed stands first, so that it is one stretch to be wiped. */
static void fill(struct ledger_entry *e, const struct ledger_attempt *a, const char *texts[TEXTS],
		 const size_t lengths[TEXTS], const size_t plain[SEALED])
{
	const char *sealed[SEALED];
	size_t at = 0;

	for (int i = 0, any = sealed_of(a, sealed); any && i < SEALED; i++)
		at = put(e, at, sealed[i], plain[i]);
	e->plain = span_of(e->text, at);
	if (a->address) {
		e->folded = span_of(e->text + at, plain[0]);
		at = put(e, at, a->address, plain[0]);
		fold((char *)(uintptr_t)e->folded.p);
	}
	for (int i = 0; i < TEXTS; i++) {
		*text_span(&e->row, i) = span_of(e->text + at, lengths[i]);
		at = put(e, at, texts[i], lengths[i]);
	}
}

static void fill_row(struct ledger_row *r, const struct ledger_attempt *a)
{
	r->id = a->id;
	r->at = a->at;
	r->queued = a->queued;
	r->size = a->size;
	r->ms = a->ms;
	r->recipient = a->recipient;
	r->code = a->code;
	r->attempts = a->attempts;
	r->outcome = a->outcome;
	r->reason = a->reason;
	r->bounce_class = a->bounce_class;
	r->tls = ledger_word_number(LEDGER_WORD_TLS, a->tls);
	r->clear = ledger_word_number(LEDGER_WORD_CLEAR, a->clear);
	r->policy = ledger_word_number(LEDGER_WORD_POLICY, a->policy);
	r->by = ledger_word_number(LEDGER_WORD_BY, a->verified_by);
	r->dkim = a->dkim;
	r->flags = (uint8_t)((a->reached ? LEDGER_REACHED : 0) | (a->resumed ? LEDGER_RESUMED : 0));
}

static struct ledger_entry *entry_new(const struct ledger_attempt *a)
{
	const char *texts[TEXTS], *sealed[SEALED];
	size_t lengths[TEXTS], plain[SEALED] = {0}, size = sizeof(struct ledger_entry);
	struct ledger_entry *e;

	texts_of(a, texts);
	for (int i = 0; i < TEXTS; i++) {
		lengths[i] = strnlen(texts[i], 255);
		size += lengths[i] + 1;
	}
	for (int i = 0, any = sealed_of(a, sealed); any && i < SEALED; i++) {
		plain[i] = strnlen(sealed[i], i == 2 ? REPLY_MAX : ADDRESS_MAX);
		size += plain[i] + 1;
	}
	size += a->address ? plain[0] + 1 : 0;
	e = malloc(size);
	if (!e)
		return NULL;
	memset(e, 0, sizeof(*e));
	e->size = size;
	fill_row(&e->row, a);
	fill(e, a, texts, lengths, plain);
	return e;
}

void ledger_post(struct ledger *l, const struct ledger_attempt *a)
{
	struct ledger_entry *e = l ? entry_new(a) : NULL;
	int wake;

	if (!l)
		return;
	if (!e) {
		log_event(LOG_LEVEL_ERROR, NULL, "ledger-unwritten", "rows=1 why=\"out of memory\"");
		return;
	}
	pthread_mutex_lock(&l->lock);
	if (l->last)
		l->last->next = e;
	else
		l->first = e;
	l->last = e;
	l->posted++;
	l->waiting++;
	wake = l->waiting == 1 || l->waiting == LEDGER_BATCH_ENOUGH;
	if (l->waiting == 1)
		l->oldest_wait = clock_mono();
	if (wake)
		pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

void ledger_post_event(struct ledger *l, const struct ledger_event *e)
{
	struct ledger_event_entry *n = l ? calloc(1, sizeof(*n)) : NULL;
	int taken = 0;

	if (!l)
		return;
	if (n) {
		n->event = *e;
		snprintf(n->customer, sizeof(n->customer), "%s", e->customer);
		snprintf(n->campaign, sizeof(n->campaign), "%s", e->campaign);
		n->event.customer = n->customer;
		n->event.campaign = n->campaign;
		pthread_mutex_lock(&l->lock);
		taken = l->events_waiting < LEDGER_EVENTS_WAIT;
		if (taken) {
			*l->events_end = n;
			l->events_end = &n->next;
			if (!l->events_waiting++ && !l->waiting)
				l->oldest_wait = clock_mono();
			pthread_cond_signal(&l->wake);
		}
		pthread_mutex_unlock(&l->lock);
	}
	if (!taken) {
		log_event(LOG_LEVEL_ERROR, NULL, "ledger-unwritten", "rows=0 events=1 why=\"%s\"",
			  n ? "too many wait" : "out of memory");
		free(n);
	}
}

/* --- looking */

int64_t ledger_oldest_sealed(struct ledger *l)
{
	int64_t oldest = 0;

	if (!l)
		return 0;
	pthread_mutex_lock(&l->files.lock);
	for (size_t i = 0; i < l->files.count; i++) {
		int64_t at = l->files.all[i].sealed;
		oldest = at && (!oldest || at < oldest) ? at : oldest;
	}
	pthread_mutex_unlock(&l->files.lock);
	return oldest;
}

void ledger_numbers(struct ledger *l, struct ledger_numbers *out)
{
	struct ledger_files *f = &l->files;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&l->lock);
	out->waiting = l->posted - l->written;
	out->checkpoint = l->counter;
	out->signed_to = l->signed_to;
	out->stuck = l->stuck;
	pthread_mutex_unlock(&l->lock);
	pthread_mutex_lock(&f->lock);
	out->files = f->count;
	for (size_t i = 0; i < f->count; i++) {
		const struct ledger_file *one = &f->all[i];
		out->bytes += one->size;
		if (!one->rows)
			continue;
		out->first = out->first ? out->first : one->first;
		out->rows = one->first + one->rows - 1;
		out->oldest = !out->oldest || one->oldest < out->oldest ? one->oldest : out->oldest;
		out->newest = one->newest > out->newest ? one->newest : out->newest;
	}
	pthread_mutex_unlock(&f->lock);
}

static void deadline(struct timespec *ts, int64_t usec)
{
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += usec / CLOCK_SEC;
	ts->tv_nsec += (usec % CLOCK_SEC) * 1000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
}

int ledger_flush(struct ledger *l, int sign, int64_t usec)
{
	struct timespec until;
	uint64_t want;
	int err = 0;

	deadline(&until, usec);
	pthread_mutex_lock(&l->lock);
	want = l->posted;
	while (err == 0 && (sign ? l->signed_posted : l->written) < want) {
		l->flush = 1;
		l->sign |= sign;
		pthread_cond_signal(&l->wake);
		if (l->stuck || pthread_cond_timedwait(&l->done, &l->lock, &until) != 0)
			err = l->stuck ? l->stuck : ERR_TIMEOUT;
	}
	pthread_mutex_unlock(&l->lock);
	return err;
}

/* --- life */

static void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

static void say_opened(const struct ledger *l)
{
	const struct ledger_files *f = &l->files;

	if (f->remade)
		log_event(LOG_LEVEL_INFO, NULL, "ledger-index-made", "files=%llu",
			  (unsigned long long)f->remade);
	if (f->torn)
		log_event(LOG_LEVEL_INFO, NULL, "ledger-torn", "bytes=%llu rows=%llu",
			  (unsigned long long)f->torn, (unsigned long long)f->rows);
	log_event(LOG_LEVEL_INFO, NULL, "ledger-opened", "files=%zu rows=%llu signed=%llu", f->count,
		  (unsigned long long)f->rows, (unsigned long long)f->signed_to);
}

static int writer_init(struct ledger_writer *w)
{
	w->batch = calloc(LEDGER_BATCH_MOST, sizeof(*w->batch));
	w->order = calloc(LEDGER_BATCH_MOST, sizeof(*w->order));
	buf_init(&w->sealed, LEDGER_BATCH_MOST * (size_t)2048);
	buf_init(&w->out, LEDGER_BATCH_MOST * (size_t)LEDGER_RECORD_MAX);
	buf_init(&w->aads, 256 * LEDGER_KEYS_BATCH);
	buf_init(&w->indexes, 64 * LEDGER_KEYS_BATCH);
	return w->batch && w->order ? 0 : ERR_NOMEM;
}

static void entries_free(struct ledger_entry *e)
{
	while (e) {
		struct ledger_entry *next = e->next;
		secret_wipe(e->text, e->size - sizeof(*e));
		free(e);
		e = next;
	}
}

static void events_free(struct ledger_event_entry *e)
{
	while (e) {
		struct ledger_event_entry *next = e->next;
		free(e);
		e = next;
	}
}

static void dispose(struct ledger *l)
{
	struct ledger_writer *w = &l->writer;

	events_free(l->events);
	events_free(w->events);

	entries_free(l->first);
	entries_free(w->first);
	free(w->batch);
	free(w->order);
	buf_clear(&w->sealed);
	buf_clear(&w->out);
	buf_clear(&w->aads);
	buf_clear(&w->indexes);
	pthread_cond_destroy(&l->wake);
	pthread_cond_destroy(&l->done);
	pthread_mutex_destroy(&l->lock);
	pthread_mutex_destroy(&l->checkpointing);
	free(l);
}

/* Signals are control's. */
static int start_threads(struct ledger *l)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	l->reader = ledger_reader_new(l);
	err = l->reader && pthread_create(&l->thread, NULL, ledger_write_thread, l) == 0 ? 0 : ERR_NOMEM;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

struct ledger *ledger_new(const struct ledger_options *o, int *err, const char **why)
{
	struct ledger *l = calloc(1, sizeof(*l));

	*err = ERR_NOMEM;
	*why = err_text(ERR_NOMEM);
	if (!l)
		return NULL;
	l->options = *o;
	l->events_end = &l->events;
	l->options.file_rows = o->file_rows ? o->file_rows : LEDGER_FILE_ROWS;
	l->options.checkpoint_rows = o->checkpoint_rows ? o->checkpoint_rows : LEDGER_CHECKPOINT_ROWS;
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_init(&l->checkpointing, NULL);
	cond_init(&l->wake);
	cond_init(&l->done);
	if (writer_init(&l->writer) < 0) {
		dispose(l);
		return NULL;
	}
	*err = ledger_files_open(&l->files, o->dir, why);
	if (*err < 0) {
		dispose(l);
		return NULL;
	}
	say_opened(l);
	l->counter = l->files.counter;
	l->signed_to = l->files.signed_to;
	*err = start_threads(l);
	if (*err < 0) {
		ledger_reader_free(l->reader);
		ledger_files_close(&l->files);
		dispose(l);
		return NULL;
	}
	return l;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	ledger_reader_free(l->reader);
	pthread_mutex_lock(&l->lock);
	l->stop = 1;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	ledger_files_close(&l->files);
	dispose(l);
}

/* --- as a part of control */

static void relay_full(void *arg, int is)
{
	struct relay *r = arg;

	atomic_store(&r->ledger_full, is);
	queue_set_open(r->queue, !is && atomic_load(&r->keyd_state) == KEYPROTO_READY);
}

static int open_part(struct relay *r, const char **why)
{
	static char text[256], dir[4200];
	struct relay_conf *conf = relay_now(r);
	struct ledger_options o = {.dir = dir, .keep = conf->ledger.keep, .full = relay_full, .arg = r};
	const char *what = "";
	int err = ERR_NOMEM;

	*why = "out of memory";
	snprintf(dir, sizeof(dir), "%s/ledger", conf->state);
	o.write_keys = ledger_keys_new(conf->keyd);
	o.read_keys = ledger_keys_new(conf->keyd);
	relay_conf_unref(conf);
	if (o.write_keys && o.read_keys)
		r->ledger = ledger_new(&o, &err, &what);
	if (!r->ledger) {
		if (o.write_keys)
			o.write_keys->free(o.write_keys);
		if (o.read_keys)
			o.read_keys->free(o.read_keys);
		snprintf(text, sizeof(text), "ledger in state: %s", what);
		*why = text;
		return err;
	}
	return 0;
}

static void close_part(struct relay *r)
{
	struct ledger *l = r->ledger;
	struct ledger_keys *writes, *reads;

	if (!l)
		return;
	writes = l->options.write_keys;
	reads = l->options.read_keys;
	r->ledger = NULL;
	ledger_free(l);
	writes->free(writes);
	reads->free(reads);
}

const struct relay_control_part ledger_part = {open_part, NULL, close_part};
