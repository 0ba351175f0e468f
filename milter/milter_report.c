/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_report.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/log.h"

#define TELL_EVERY (60 * CLOCK_SEC)

struct milter_reports {
	pthread_mutex_t lock;
	struct milter_report *ring;
	unsigned first, count;
	unsigned out;	 /* of the first, how many are being sent */
	uint64_t dropped; /* since it was last told */
	int64_t told;	 /* monotonic; 0: never */
};

struct milter_reports *milter_report_new(void)
{
	struct milter_reports *q = calloc(1, sizeof(*q));

	if (q)
		q->ring = calloc(MILTER_REPORT_WAITING, sizeof(*q->ring));
	if (!q || !q->ring) {
		free(q);
		return NULL;
	}
	pthread_mutex_init(&q->lock, NULL);
	return q;
}

void milter_report_free(struct milter_reports *q)
{
	if (!q)
		return;
	pthread_mutex_destroy(&q->lock);
	free(q->ring);
	free(q);
}

static void drop_oldest(struct milter_reports *q, unsigned n)
{
	q->first = (q->first + n) % MILTER_REPORT_WAITING;
	q->count -= n;
}

/* Not a line for each: while relay is away there may be many. */
static uint64_t to_tell(struct milter_reports *q)
{
	int64_t now = clock_mono();
	uint64_t n = q->dropped;

	if (!n || (q->told && now - q->told < TELL_EVERY))
		return 0;
	q->told = now;
	q->dropped = 0;
	return n;
}

void milter_report_add(struct milter_reports *q, const struct milter_report *r)
{
	uint64_t lost;

	pthread_mutex_lock(&q->lock);
	if (q->count == MILTER_REPORT_WAITING) {
		drop_oldest(q, 1);
		q->out -= q->out > 0;
		q->dropped++;
	}
	q->ring[(q->first + q->count++) % MILTER_REPORT_WAITING] = *r;
	lost = to_tell(q);
	pthread_mutex_unlock(&q->lock);
	if (lost)
		log_event(LOG_LEVEL_WARN, NULL, "reports-dropped", "count=%llu", (unsigned long long)lost);
}

/* Names hold no character that JSON would want escaped: they were checked where they came from. */
static void put(struct buf *out, const struct milter_report *r, int first)
{
	buf_putf(out, "%s{\"id\":\"%s\",\"time\":%lld,\"customer\":\"%s\",\"campaign\":", first ? "" : ",", r->id,
		 (long long)r->time, r->customer);
	if (r->campaign[0])
		buf_putf(out, "\"%s\",\"version\":%u", r->campaign, r->version);
	else
		buf_put_str(out, "\"\",\"version\":0");
	buf_putf(out, ",\"verdict\":\"%s\",\"header\":\"%s\",\"part\":%u,\"offset\":%llu", r->verdict, r->header, r->part,
		 (unsigned long long)r->offset);
	if (r->templated)
		buf_putf(out, ",\"template\":%u,\"template_offset\":%llu}", r->tpl, (unsigned long long)r->tpl_offset);
	else
		buf_put_str(out, ",\"template\":null,\"template_offset\":null}");
}

int milter_report_batch(struct milter_reports *q, struct buf *out)
{
	unsigned n;

	pthread_mutex_lock(&q->lock);
	n = q->count < MILTER_REPORT_BATCH ? q->count : MILTER_REPORT_BATCH;
	q->out = n;
	buf_put_str(out, "{\"items\":[");
	for (unsigned i = 0; i < n; i++)
		put(out, &q->ring[(q->first + i) % MILTER_REPORT_WAITING], i == 0);
	buf_put_str(out, "]}");
	pthread_mutex_unlock(&q->lock);
	return buf_failed(out) ? buf_failed(out) : (int)n;
}

void milter_report_done(struct milter_reports *q, int sent)
{
	uint64_t lost;

	pthread_mutex_lock(&q->lock);
	if (sent)
		drop_oldest(q, q->out);
	q->out = 0;
	lost = to_tell(q);
	pthread_mutex_unlock(&q->lock);
	if (lost)
		log_event(LOG_LEVEL_WARN, NULL, "reports-dropped", "count=%llu", (unsigned long long)lost);
}
