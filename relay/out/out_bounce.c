/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_bounce.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/rand.h"

struct bounce {
	struct relay_worker *worker;
	out_bounce_fn done;
	void *arg;
	uint64_t id;
	struct spool_envelope envelope;
	struct spool_recipient recipient;
};

static void bounce_free(struct bounce *b)
{
	free(b->envelope.customer);
	free(b->recipient.address);
	free(b);
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

static int format(struct bounce *b, const struct out_bounce_of *of, struct buf *out)
{
	const struct relay_conf *conf = atomic_load(&b->worker->relay->conf);
	char boundary[3 + HEX_SIZE(16)] = "=_";
	struct buf headers;
	uint8_t random[16];
	struct out_dsn d;
	int err;

	rand_bytes(random, sizeof(random));
	hex_encode(boundary + 2, random, sizeof(random));
	buf_init_wiped(&headers, OUT_DSN_HEADERS);
	read_headers(of->reader, &headers);
	d = (struct out_dsn){.hostname = conf->hostname,
			     .id = b->id,
			     .boundary = boundary,
			     .now = b->envelope.created,
			     .original = of->id,
			     .envelope = spool_reader_envelope(of->reader),
			     .results = of->results,
			     .count = of->count,
			     .remote = of->remote,
			     .headers = buf_span(&headers)};
	err = out_dsn_format(&d, out, &b->envelope.flags);
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

int out_bounce_send(struct relay_worker *w, const struct out_bounce_of *of, out_bounce_fn done,
		    void *arg)
{
	struct bounce *b = bounce_new(w, spool_reader_envelope(of->reader));
	struct spool_writer *sw = NULL;
	struct buf text;
	int err;

	if (!b)
		return ERR_NOMEM;
	b->done = done;
	b->arg = arg;
	err = spool_writer_begin(w, b->envelope.customer, &sw, &b->id);
	if (err < 0) {
		bounce_free(b);
		return err;
	}
	buf_init_wiped(&text, OUT_DSN_MAX);
	err = format(b, of, &text);
	if (err == 0)
		err = spool_writer_write(sw, buf_ptr(&text), buf_size(&text));
	b->envelope.size = buf_size(&text);
	buf_clear(&text);
	if (err < 0) {
		spool_writer_abort(sw);
		bounce_free(b);
		return err;
	}
	spool_writer_commit(sw, &b->envelope, committed, b);
	return 0;
}
