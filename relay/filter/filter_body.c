/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/filter/filter_body.h"

#include "core/err.h"
#include "milterproto/milterproto.h"

#define MORE	(1u << 20)
#define FIT_MAX (2 * MILTERPROTO_PACKET_MAX + 16)

void filter_body_init(struct filter_body *b, struct relay_worker *w, const char *customer,
		      uint64_t max, int hashes, void (*ready)(void *arg), void *arg)
{
	memset(b, 0, sizeof(*b));
	b->w = w;
	b->customer = customer;
	b->max = max;
	b->hashes = hashes;
	b->ready = ready;
	b->arg = arg;
	buf_init_wiped(&b->fit, FIT_MAX);
}

static void key_came(void *arg, int err)
{
	struct filter_body *b = arg;

	b->waiting = 0;
	if (err < 0)
		b->err = err;
	b->ready(b->arg);
}

static void room_came(void *arg)
{
	struct filter_body *b = arg;

	b->ready(b->arg);
}

static int begin_hash(struct filter_body *b)
{
	if (!b->hashes)
		return 0;
	if (!b->dkim.md)
		return mail_dkim_body_init(&b->dkim);
	mail_dkim_body_reset(&b->dkim);
	return 0;
}

/* 0: begun; 1: a key is on its way; ERR_*. */
static int begin(struct filter_body *b)
{
	int err = spool_writer_begin(b->w, b->customer, &b->sw, &b->id);

	if (err != ERR_BUSY)
		return err == 0 ? begin_hash(b) : err;
	b->wait.fn = key_came;
	b->wait.arg = b;
	err = keys_object_wait(b->w->keys, b->customer, &b->wait);
	if (err < 0)
		return err;
	b->waiting = 1;
	return 1;
}

/* What stands in fit goes to the writer. */
static int flush(struct filter_body *b)
{
	struct span s = buf_span(&b->fit);
	int err = buf_failed(&b->fit);

	b->size += s.n;
	if (err == 0 && b->size > b->max + MORE)
		err = ERR_LIMIT;
	if (err == 0 && s.n)
		err = spool_writer_write(b->sw, s.p, s.n);
	if (err == 0 && b->hashes)
		mail_dkim_body_feed(&b->dkim, s);
	buf_reset(&b->fit);
	return err;
}

static void end_line(struct filter_body *b)
{
	b->cr = b->in_line = 0;
	buf_put(&b->fit, "\r\n", 2);
}

/* One stretch up to a CR or LF, and that: octets used, or ERR_FORMAT. */
static int put_some(struct filter_body *b, struct span s)
{
	size_t n = 0;

	if (b->cr) { /* LF or not, the line ends here */
		end_line(b);
		if (s.p[0] == '\n')
			return 1;
	}
	while (n < s.n && s.p[n] != '\r' && s.p[n] != '\n')
		if (!s.p[n++])
			return ERR_FORMAT;
	buf_put_span(&b->fit, span_sub(s, 0, n));
	b->in_line |= n > 0;
	if (n == s.n)
		return (int)n;
	if (s.p[n] == '\r')
		b->cr = 1;
	else
		end_line(b);
	return (int)n + 1;
}

int filter_body_room(struct filter_body *b)
{
	return !b->sw || spool_writer_room(b->sw, room_came, b);
}

int filter_body_put(struct filter_body *b, struct span s)
{
	int rc = b->err;

	if (rc == 0 && !b->sw)
		rc = b->waiting ? 1 : begin(b);
	if (rc != 0)
		return rc;
	if (!filter_body_room(b))
		return 1;
	while (s.n) {
		rc = put_some(b, s);
		if (rc < 0)
			return rc;
		s = span_sub(s, (size_t)rc, s.n);
	}
	return flush(b);
}

int filter_body_end(struct filter_body *b)
{
	int err;

	if (b->cr || b->in_line)
		end_line(b);
	err = flush(b);
	if (err == 0 && b->hashes)
		err = mail_dkim_body_end(&b->dkim, b->hash);
	return err;
}

int filter_body_begun(const struct filter_body *b)
{
	return b->sw != NULL;
}

static void stop_waiting(struct filter_body *b)
{
	if (b->waiting)
		keys_object_unwait(b->w->keys, &b->wait);
	b->waiting = 0;
}

struct spool_writer *filter_body_take(struct filter_body *b, uint64_t *id)
{
	struct spool_writer *sw = b->sw;

	stop_waiting(b);
	*id = b->id;
	buf_clear(&b->fit);
	b->sw = NULL;
	b->size = 0;
	b->err = 0;
	return sw;
}

void filter_body_abort(struct filter_body *b)
{
	stop_waiting(b);
	spool_writer_abort(b->sw);
	buf_clear(&b->fit);
	b->sw = NULL;
	b->size = 0;
	b->cr = b->in_line = b->err = 0;
}

void filter_body_clear(struct filter_body *b)
{
	filter_body_abort(b);
	mail_dkim_body_clear(&b->dkim);
}
