/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_bounce.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/id.h"
#include "core/rand.h"
#include "relay/dkim/dkim_sign.h"

struct bounce {
	struct relay_worker *worker;
	out_bounce_fn done;
	void *arg;
	uint64_t id;
	struct spool_envelope envelope;
	struct spool_recipient recipient;
	struct spool_writer *writer; /* while its signature is awaited */
	struct dkim_sign *dkim;
};

static void bounce_free(struct bounce *b)
{
	dkim_sign_free(b->dkim);
	free(b->envelope.customer);
	free(b->recipient.address);
	free(b);
}

int out_bounce_due(const struct out_bounce_of *of)
{
	const struct spool_envelope *e = of->reader ? spool_reader_envelope(of->reader) : NULL;

	if (!e || !e->sender[0])
		return 0;
	for (unsigned i = 0; i < of->count; i++)
		if (out_dsn_tells(e, &of->results[i], of->delay))
			return 1;
	return 0;
}

static struct bounce *bounce_new(struct relay_worker *w, const struct spool_envelope *original)
{
	static char none[] = "", client[] = "delivery report";
	struct bounce *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->worker = w;
	b->recipient.address = strdup(original->sender);
	b->envelope = (struct spool_envelope){.customer = strdup(original->customer),
					      .sender = none,
					      .created = clock_wall(),
					      .client = client,
					      .tls = none,
					      .campaign = none,
					      .credential = none,
					      .envid = none,
					      .flags = SPOOL_REPORT | (original->flags &
								       SPOOL_REQUIRETLS),
					      .recipients = &b->recipient,
					      .count = 1};
	if (b->recipient.address && b->envelope.customer)
		return b;
	bounce_free(b);
	return NULL;
}

/* What cannot be read any more is left out: the report matters more. */
static void read_headers(struct spool_reader *r, struct buf *headers)
{
	struct span stretch;

	if (spool_reader_rewind(r) < 0)
		return;
	while (spool_reader_next(r, &stretch) == 1)
		if (out_dsn_gather(headers, stretch))
			return;
	out_dsn_gathered(headers);
}

static int failed_any(const struct out_bounce_of *of)
{
	for (unsigned i = 0; i < of->count; i++)
		if (of->results[i].outcome == SPOOL_BOUNCED ||
		    of->results[i].outcome == SPOOL_EXPIRED)
			return 1;
	return 0;
}

/* RFC 3461 6.2: only a report of a failure returns the message; RFC 8689 5: none of mail that requires
 * TLS. */
static int wants_full(const struct relay_conf *conf, const struct out_bounce_of *of)
{
	const struct spool_envelope *e = spool_reader_envelope(of->reader);
	int asked = e->flags & (SPOOL_RET_FULL | SPOOL_RET_HDRS);

	return failed_any(of) && !(e->flags & (SPOOL_REQUIRETLS | SPOOL_VERIFIED)) &&
	       spool_reader_size(of->reader) <= OUT_BOUNCE_FULL &&
	       (asked ? (e->flags & SPOOL_RET_FULL) != 0 : conf->bounce.full);
}

/* The original, to its end. Damaged, it is cut there: the report matters more. */
static int copy_original(const struct out_bounce_of *of, struct buf *out)
{
	struct span stretch, all;

	if (spool_reader_rewind(of->reader) == 0)
		while (spool_reader_next(of->reader, &stretch) == 1)
			if (buf_put_span(out, stretch) < 0)
				break;
	all = buf_span(out);
	return all.n >= 2 && all.p[all.n - 2] == '\r' && all.p[all.n - 1] == '\n';
}

static int format(struct bounce *b, const struct out_bounce_of *of, struct buf *out)
{
	const struct relay_conf *conf = atomic_load(&b->worker->relay->conf);
	const struct spool_envelope *e = spool_reader_envelope(of->reader);
	char boundary[3 + HEX_SIZE(16)] = "=_";
	struct buf headers;
	uint8_t random[16];
	struct out_dsn d;
	int err, flags;

	rand_bytes(random, sizeof(random));
	hex_encode(boundary + 2, random, sizeof(random));
	buf_init_wiped(&headers, OUT_DSN_HEADERS);
	d = (struct out_dsn){.hostname = conf->hostname,
			     .id = b->id,
			     .boundary = boundary,
			     .now = b->envelope.created,
			     .original = of->id,
			     .envelope = e,
			     .results = of->results,
			     .count = of->count,
			     .delay = of->delay,
			     .until = e->created + conf->retry.expire,
			     .remote = of->remote,
			     .full = wants_full(conf, of)};
	if (!d.full) {
		read_headers(of->reader, &headers);
		d.headers = buf_span(&headers);
	}
	err = out_dsn_format(&d, out, &flags);
	if (err == 0 && d.full)
		err = out_dsn_end(&d, copy_original(of, out), out);
	b->envelope.flags |= flags;
	buf_clear(&headers);
	return err;
}

static void committed(void *arg, int result, struct spool_place at, struct spool_fresh *fresh)
{
	struct bounce *b = arg;

	if (result == 0) /* without memory it is found at the next start: it is in the log */
		queue_add(b->worker->relay->queue, b->id, &b->envelope, at, fresh);
	else
		spool_fresh_free(fresh);
	b->done(b->arg, result, b->id);
	bounce_free(b);
}

static void store(struct bounce *b)
{
	struct spool_writer *sw = b->writer;

	b->writer = NULL;
	spool_writer_commit(sw, &b->envelope, committed, b);
}

/* Unsigned it does not leave: the outcome waits, and with it the report. */
static void has_signed(void *arg, int err, struct span head, const char *domain)
{
	struct bounce *b = arg;

	(void)domain;
	if (err < 0) {
		spool_writer_abort(b->writer);
		b->done(b->arg, err, b->id);
		bounce_free(b);
		return;
	}
	b->envelope.head = head;
	b->envelope.flags |= SPOOL_DKIM;
	store(b);
}

/* 0: committed now or once it is signed. */
static int sign(struct bounce *b, struct span text)
{
	char id[ID_TEXT_SIZE];
	int rc;

	id_format(id, b->id);
	rc = dkim_sign_whole(b->worker, atomic_load(&b->worker->relay->conf), id, text, has_signed, b, &b->dkim);
	if (rc == 1)
		store(b);
	return rc < 0 ? rc : 0;
}

int out_bounce_send(struct relay_worker *w, const struct out_bounce_of *of, out_bounce_fn done,
		    void *arg)
{
	struct bounce *b = bounce_new(w, spool_reader_envelope(of->reader));
	struct buf text;
	int err;

	if (!b)
		return ERR_NOMEM;
	b->done = done;
	b->arg = arg;
	err = spool_writer_begin(w, b->envelope.customer, &b->writer, &b->id);
	if (err < 0) {
		bounce_free(b);
		return err;
	}
	buf_init_wiped(&text, OUT_DSN_MAX + OUT_BOUNCE_FULL);
	err = format(b, of, &text);
	if (err == 0)
		err = spool_writer_write(b->writer, buf_ptr(&text), buf_size(&text));
	b->envelope.size = buf_size(&text);
	if (err == 0)
		err = sign(b, buf_span(&text));
	buf_clear(&text);
	if (err < 0) {
		spool_writer_abort(b->writer);
		bounce_free(b);
	}
	return err;
}
