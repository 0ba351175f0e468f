/* SPDX-License-Identifier: Apache-2.0 */
/* ledger's thread: takes what was posted, has it sealed, appends it, has it signed; closes and drops files. */
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "relay/ledger/ledger_own.h"

#define TELL_AGAIN (60 * CLOCK_SEC)
#define LAST_TRIES 5 /* at the end */
#define RETENTION_EVERY (60 * 60 * CLOCK_SEC)
#define FILE_SIZE (1u << 30) /* so many events may stand between few rows; offsets in an index are of 32 bits */
#define FILE_AGE (30 * 24 * 60 * 60 * CLOCK_SEC) /* a file is closed then, so that retention gets on */

/* events: ledger-waiting ledger-goes-on ledger-full ledger-unwritten ledger-checkpoint-failed */
/* events: ledger-truncated ledger-dropped ledger-unsealed */

/* --- what waits */

static void take_posted(struct ledger *l)
{
	struct ledger_writer *w = &l->writer;

	pthread_mutex_lock(&l->lock);
	if (l->first) {
		if (w->last)
			w->last->next = l->first;
		else
			w->first = l->first;
		w->last = l->last;
		w->count += l->waiting;
	}
	l->first = l->last = NULL;
	l->waiting = 0;
	if (l->events) {
		struct ledger_event_entry **end = &w->events;
		while (*end)
			end = &(*end)->next;
		*end = l->events;
		l->events = NULL;
		l->events_end = &l->events;
	}
	l->flush = 0;
	pthread_mutex_unlock(&l->lock);
}

static void watch_fullness(struct ledger *l)
{
	uint64_t n = l->writer.count;
	int is = l->full ? n > LEDGER_WAIT_MOST / 2 : n >= LEDGER_WAIT_MOST;

	if (is == l->full)
		return;
	l->full = is;
	if (is)
		log_event(LOG_LEVEL_ERROR, NULL, "ledger-full", "rows=%llu", (unsigned long long)n);
	if (l->options.full)
		l->options.full(l->options.arg, is);
}

static void set_stuck(struct ledger *l, int err)
{
	pthread_mutex_lock(&l->lock);
	l->stuck = err;
	pthread_cond_broadcast(&l->done);
	pthread_mutex_unlock(&l->lock);
}

static void goes_on(struct ledger *l)
{
	struct ledger_writer *w = &l->writer;

	if (!w->stuck)
		return;
	if (w->told)
		log_event(LOG_LEVEL_INFO, NULL, "ledger-goes-on", NULL);
	w->stuck = 0;
	w->told = 0;
	set_stuck(l, 0);
}

static void waits(struct ledger *l, int err)
{
	struct ledger_writer *w = &l->writer;
	int64_t now = clock_mono();
	int of_keyd = ledger_keys_later(err) && err != ERR_IO;

	w->again = now + LEDGER_AGAIN;
	if (w->count && (!w->told || err != w->stuck || now - w->told >= TELL_AGAIN)) {
		log_event(of_keyd ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, NULL, "ledger-waiting",
			  "rows=%llu why=\"%s\"", (unsigned long long)w->count, err_text(err));
		w->told = now;
	}
	w->stuck = err;
	set_stuck(l, err);
}

/* --- appending */

/* The batch in w->out gets its end and goes to the disk. */
static int append(struct ledger *l, const uint8_t before[LEDGER_HASH], const struct ledger_added *added)
{
	struct ledger_files *f = &l->files;
	const struct ledger_batch m = {f->rows + added->rows, ledger_files_size(f), f->chain.hash};
	int err = ledger_record_put_batch(&l->writer.out, &f->chain, &m);

	if (err == 0)
		err = ledger_files_append(f, buf_span(&l->writer.out), added);
	if (err < 0)
		memcpy(f->chain.hash, before, LEDGER_HASH);
	return err;
}

static unsigned pick_batch(struct ledger *l)
{
	struct ledger_writer *w = &l->writer;
	struct ledger_entry *e = w->first;
	unsigned n = 0, most = w->numbered ? (unsigned)w->numbered : LEDGER_BATCH_MOST;

	for (; e && n < most; e = e->next) {
		e->row.row = l->files.rows + 1 + n;
		w->batch[n++] = e;
	}
	return n;
}

static int encode(struct ledger *l, unsigned n, struct ledger_added *added)
{
	struct ledger_writer *w = &l->writer;
	int err = 0;

	buf_reset(&w->out);
	*added = (struct ledger_added){n, w->batch[0]->row.at, w->batch[0]->row.at, 0};
	for (unsigned i = 0; err == 0 && i < n; i++) {
		struct ledger_entry *e = w->batch[i];
		e->row.sealed = span_sub(buf_span(&w->sealed), e->sealed_at, e->sealed_n);
		e->row.index = e->row.flags & LEDGER_INDEXED ? e->index : NULL;
		err = ledger_record_put_row(&w->out, &l->files.chain, &e->row);
		added->oldest = e->row.at < added->oldest ? e->row.at : added->oldest;
		added->newest = e->row.at > added->newest ? e->row.at : added->newest;
		if (e->sealed_n && (!added->sealed || e->row.at < added->sealed))
			added->sealed = e->row.at;
	}
	return err;
}

static void forget_batch(struct ledger *l, unsigned n)
{
	struct ledger_writer *w = &l->writer;

	for (unsigned i = 0; i < n; i++) {
		struct ledger_entry *e = w->first;
		w->first = e->next;
		secret_wipe(e->text, e->plain.n + e->folded.n);
		free(e);
	}
	if (!w->first)
		w->last = NULL;
	w->count -= n;
	w->numbered = 0;
	w->unsigned_rows += n;
	if (!w->unsigned_since)
		w->unsigned_since = clock_mono();
	pthread_mutex_lock(&l->lock);
	l->written += n;
	pthread_cond_broadcast(&l->done);
	pthread_mutex_unlock(&l->lock);
}

static int write_batch(struct ledger *l)
{
	struct ledger_writer *w = &l->writer;
	uint8_t before[LEDGER_HASH];
	struct ledger_added added;
	unsigned n = pick_batch(l);
	int err = 0;

	if (!w->numbered)
		err = ledger_seal_batch(l, w->batch, n);
	if (err < 0)
		return err;
	w->numbered = (int)n;
	memcpy(before, l->files.chain.hash, LEDGER_HASH);
	err = encode(l, n, &added);
	if (err < 0)
		memcpy(l->files.chain.hash, before, LEDGER_HASH);
	else
		err = append(l, before, &added);
	if (err < 0)
		return err;
	buf_reset(&l->files.tail);
	forget_batch(l, n);
	return 0;
}

/* --- events: no rows, but bound into the chain with them */

static void forget_events(struct ledger *l, unsigned n)
{
	struct ledger_writer *w = &l->writer;

	for (unsigned i = 0; i < n; i++) {
		struct ledger_event_entry *e = w->events;
		w->events = e->next;
		free(e);
	}
	if (!w->unsigned_since)
		w->unsigned_since = clock_mono();
	pthread_mutex_lock(&l->lock);
	l->events_waiting -= n;
	pthread_mutex_unlock(&l->lock);
}

static int write_events(struct ledger *l)
{
	struct ledger_writer *w = &l->writer;
	uint8_t before[LEDGER_HASH];
	unsigned n = 0;
	int err = 0;

	memcpy(before, l->files.chain.hash, LEDGER_HASH);
	buf_reset(&w->out);
	for (struct ledger_event_entry *e = w->events; e && n < LEDGER_BATCH_MOST && err == 0; e = e->next, n++)
		err = ledger_record_put_event(&w->out, &l->files.chain, &e->event);
	if (err < 0)
		memcpy(l->files.chain.hash, before, LEDGER_HASH);
	else
		err = append(l, before, &(struct ledger_added){.rows = 0});
	if (err < 0)
		return err;
	buf_reset(&l->files.tail);
	forget_events(l, n);
	return 0;
}

/* --- checkpoints */

static void signed_all(struct ledger *l)
{
	struct ledger_writer *w = &l->writer;

	w->unsigned_rows = 0;
	w->unsigned_since = 0;
	pthread_mutex_lock(&l->lock);
	l->counter = l->files.counter;
	l->signed_to = l->files.signed_to;
	l->signed_posted = l->written;
	pthread_cond_broadcast(&l->done);
	pthread_mutex_unlock(&l->lock);
}

static int put_checkpoint(struct ledger *l, const struct ledger_keys_signed *s)
{
	struct ledger_files *f = &l->files;
	struct ledger_writer *w = &l->writer;
	const struct ledger_checkpoint c = {.counter = s->counter, .rows = s->rows, .hash = s->hash,
					    .at = clock_wall(), .version = s->version,
					    .signature = span_of(s->signature, s->size)};
	uint8_t before[LEDGER_HASH];
	int err;

	memcpy(before, f->chain.hash, LEDGER_HASH);
	buf_reset(&w->out);
	err = ledger_record_put_checkpoint(&w->out, &f->chain, &c);
	if (err < 0)
		memcpy(f->chain.hash, before, LEDGER_HASH);
	else
		err = append(l, before, &(struct ledger_added){.rows = 0});
	if (err < 0)
		return err;
	f->counter = s->counter;
	f->signed_to = s->rows;
	buf_reset(&f->tail);
	signed_all(l);
	return buf_put_span(&f->tail, buf_span(&w->out));
}

static int sign(struct ledger *l)
{
	struct ledger_keys *k = l->options.write_keys;
	struct ledger_keys_signed s = {.counter = l->files.counter + 1, .rows = l->files.rows};
	int err;

	memcpy(s.hash, l->files.chain.hash, LEDGER_HASH);
	pthread_mutex_lock(&l->checkpointing);
	err = k->checkpoint(k, &s);
	if (err == 0)
		err = put_checkpoint(l, &s);
	pthread_mutex_unlock(&l->checkpointing);
	if (err < 0) /* keyd may have signed it all the same: nothing is written until that is known */
		l->writer.settled = 0;
	return err;
}

static int same_point(const struct ledger *l, const struct ledger_keys_signed *s)
{
	return s->rows == l->files.rows && !memcmp(s->hash, l->files.chain.hash, LEDGER_HASH);
}

/* Finds out what keyd signed last: before the first row, and whenever an answer was lost. */
static int settle(struct ledger *l)
{
	struct ledger_keys *k = l->options.write_keys;
	struct ledger_files *f = &l->files;
	struct ledger_keys_signed s = {.counter = 0};
	int err;

	if (l->writer.settled)
		return 0;
	pthread_mutex_lock(&l->checkpointing);
	err = k->last(k, &s);
	err = err == ERR_NOTFOUND ? 0 : err;
	if (err == 0 && s.counter == f->counter + 1 && same_point(l, &s)) {
		err = put_checkpoint(l, &s);
	} else if (err == 0 && s.counter > f->counter) {
		log_event(LOG_LEVEL_ERROR, NULL, "ledger-truncated", "rows=%llu signed=%llu checkpoint=%llu",
			  (unsigned long long)f->rows, (unsigned long long)s.rows,
			  (unsigned long long)s.counter);
		f->counter = s.counter;
	}
	pthread_mutex_unlock(&l->checkpointing);
	if (err == 0)
		l->writer.settled = 1;
	return err;
}

/* --- files */

static void close_file(struct ledger *l)
{
	const struct ledger_file *one = &l->files.all[l->files.count - 1];
	int64_t now = clock_wall(), age = l->options.keep ? l->options.keep / 10 : FILE_AGE;
	int err;

	age = age > FILE_AGE ? FILE_AGE : age;
	if (!one->rows || !buf_size(&l->files.tail) ||
	    (one->rows < l->options.file_rows && one->size < FILE_SIZE && now - l->files.made < age))
		return;
	err = ledger_files_next(&l->files, now);
	if (err < 0)
		log_event(LOG_LEVEL_ERROR, NULL, "ledger-unwritten", "rows=0 why=\"next file: %s\"", err_text(err));
}

static int put_drop(struct ledger *l, uint64_t through)
{
	struct ledger_files *f = &l->files;
	const struct ledger_drop m = {through, clock_wall()};
	uint8_t before[LEDGER_HASH];
	int err;

	memcpy(before, f->chain.hash, LEDGER_HASH);
	buf_reset(&l->writer.out);
	err = ledger_record_put_drop(&l->writer.out, &f->chain, &m);
	if (err < 0)
		memcpy(f->chain.hash, before, LEDGER_HASH);
	else
		err = append(l, before, &(struct ledger_added){.rows = 0});
	if (err == 0)
		buf_reset(&f->tail);
	return err == 0 ? sign(l) : err;
}

static void retention(struct ledger *l)
{
	const struct ledger_files *f = &l->files;
	int64_t until = clock_wall() - l->options.keep;
	uint64_t through = 0;
	unsigned n;

	if (clock_mono() < l->writer.retention)
		return;
	l->writer.retention = clock_mono() + RETENTION_EVERY;
	if (!l->options.keep)
		return;
	for (size_t i = 0; i + 1 < f->count && f->all[i].rows && f->all[i].newest < until; i++)
		through = f->all[i].first + f->all[i].rows - 1;
	if (!through || put_drop(l, through) < 0)
		return;
	n = ledger_files_drop(&l->files, through);
	log_event(LOG_LEVEL_INFO, NULL, "ledger-dropped", "files=%u through=%llu", n, (unsigned long long)through);
}

static int due(const struct ledger *l)
{
	const struct ledger_writer *w = &l->writer;

	return w->unsigned_rows >= l->options.checkpoint_rows ||
	       (w->unsigned_since && clock_mono() - w->unsigned_since >= LEDGER_CHECKPOINT_AFTER);
}

/* A file that lost its signature in a crash is signed with the next rows; one that kept its rows unsigned at
 * once. */
static void note_unsigned(struct ledger *l)
{
	if (l->files.rows > l->files.signed_to) {
		l->writer.unsigned_rows = l->files.rows - l->files.signed_to;
		l->writer.unsigned_since = clock_mono();
	}
}

static int work(struct ledger *l, int want_signature)
{
	struct ledger_writer *w = &l->writer;
	int err = settle(l);

	while (err == 0 && !w->numbered && w->events)
		err = write_events(l);
	while (err == 0 && w->first) {
		err = write_batch(l);
		if (err == 0 && due(l)) {
			err = sign(l);
			if (err == 0)
				close_file(l);
			else if (!ledger_keys_later(err)) {
				log_event(LOG_LEVEL_ERROR, NULL, "ledger-checkpoint-failed", "why=\"%s\"",
					  err_text(err));
				w->unsigned_since = clock_mono(); /* not with every batch */
				w->unsigned_rows = 0;
				err = settle(l);
			}
		}
	}
	if (err == 0 && (due(l) || (want_signature && w->unsigned_since))) {
		err = sign(l);
		if (err == 0)
			close_file(l);
	}
	if (err == 0)
		retention(l);
	return err;
}

/* --- the thread */

static int64_t next_time(const struct ledger *l)
{
	const struct ledger_writer *w = &l->writer;
	int64_t at = w->retention; /* 0 at start: then keyd is asked, too, how far it signed */

	if (w->unsigned_since && w->unsigned_since + LEDGER_CHECKPOINT_AFTER < at)
		at = w->unsigned_since + LEDGER_CHECKPOINT_AFTER;
	if ((l->waiting || l->events) && l->oldest_wait + LEDGER_BATCH_AFTER < at)
		at = l->oldest_wait + LEDGER_BATCH_AFTER;
	if (w->first || w->events)
		at = w->again;
	if (at < w->again)
		at = w->again;
	return at;
}

static void sleep_until(struct ledger *l, int64_t usec)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += usec / CLOCK_SEC;
	ts.tv_nsec += (usec % CLOCK_SEC) * 1000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&l->wake, &l->lock, &ts);
}

/* 1: it is to end. *sign: somebody waits for a signature. */
static int wait_for_work(struct ledger *l, int *sign_wanted)
{
	int stop;

	log_flush();
	pthread_mutex_lock(&l->lock);
	for (;;) {
		int64_t now = clock_mono(), at = next_time(l);
		int enough = l->waiting >= LEDGER_BATCH_ENOUGH && now >= l->writer.again;
		if (l->stop || l->flush || enough || at <= now)
			break;
		sleep_until(l, at - now);
	}
	stop = l->stop;
	*sign_wanted = l->sign;
	l->sign = 0;
	pthread_mutex_unlock(&l->lock);
	return stop;
}

/* keyd does not answer and we have to go: better a row without its recipient than none. */
static void give_up_sealing(struct ledger *l)
{
	struct ledger_writer *w = &l->writer;
	unsigned n = 0;
	int err = 0;

	if (w->numbered == 0)
		for (struct ledger_entry *e = w->first; e; e = e->next, n++) {
			secret_wipe((void *)(uintptr_t)e->plain.p, e->plain.n);
			e->plain.n = 0;
		}
	if (n)
		log_event(LOG_LEVEL_ERROR, NULL, "ledger-unsealed", "rows=%u", n);
	while (err == 0 && w->first)
		err = write_batch(l);
	while (err == 0 && w->events)
		err = write_events(l);
	if (err < 0)
		log_event(LOG_LEVEL_ERROR, NULL, "ledger-unwritten", "rows=%llu why=\"%s\"",
			  (unsigned long long)w->count, err_text(err));
}

static void finish(struct ledger *l)
{
	struct timespec pause = {0, 200000000};
	int err = ERR_AWAY;

	for (int i = 0; i < LAST_TRIES; i++) {
		take_posted(l);
		if (!l->writer.first && !l->writer.events && !l->writer.unsigned_since)
			return;
		err = work(l, 1);
		if (err == 0)
			return;
		if (i + 1 < LAST_TRIES)
			nanosleep(&pause, NULL);
	}
	if (l->writer.first || l->writer.events)
		give_up_sealing(l);
	else
		log_event(LOG_LEVEL_WARN, NULL, "ledger-checkpoint-failed", "why=\"%s\"", err_text(err));
}

void *ledger_write_thread(void *arg)
{
	struct ledger *l = arg;
	int sign_wanted = 0, err;

	note_unsigned(l);
	while (!wait_for_work(l, &sign_wanted)) {
		take_posted(l);
		watch_fullness(l);
		err = work(l, sign_wanted);
		if (err < 0)
			waits(l, err);
		else
			goes_on(l);
		watch_fullness(l);
	}
	finish(l);
	log_flush();
	return NULL;
}
