/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/api/api_envelope.h"

#include <stdlib.h>

#include "core/err.h"

struct opening {
	struct relay_msg msg; /* first to the worker, then back to control */
	struct relay_worker *worker;
	uint64_t id;
	struct spool_place at;
	struct spool_reader *reader;
	int err;
	void (*fn)(void *arg, int err, const struct spool_envelope *e);
	void *arg;
};

static void close_reader(struct relay_msg *m, void *receiver)
{
	struct opening *o = (struct opening *)m;

	(void)receiver;
	spool_reader_close(o->reader);
	free(o);
}

/* On control: the worker leaves the reader alone until we send it back. */
static void answer(struct relay_msg *m, void *receiver)
{
	struct opening *o = (struct opening *)m;

	(void)receiver;
	o->fn(o->arg, o->err, o->err < 0 ? NULL : spool_reader_envelope(o->reader));
	o->msg.run = close_reader;
	evt_inbox_post(o->worker->inbox, &o->msg.msg);
}

static void opened(void *arg, int result)
{
	struct opening *o = arg;

	o->err = result;
	o->msg.run = answer;
	evt_inbox_post(o->worker->relay->inbox, &o->msg.msg);
}

static void open_on_worker(struct relay_msg *m, void *receiver)
{
	struct opening *o = (struct opening *)m;

	o->worker = receiver;
	o->reader = spool_reader_open(o->worker, o->id, o->at, NULL, opened, o);
	if (!o->reader)
		opened(o, ERR_NOMEM);
}

int api_envelope_open(struct relay *r, uint64_t id, struct spool_place at,
		      void (*fn)(void *arg, int err, const struct spool_envelope *e), void *arg)
{
	struct opening *o = calloc(1, sizeof(*o));

	if (!o)
		return ERR_NOMEM;
	o->id = id;
	o->at = at;
	o->fn = fn;
	o->arg = arg;
	o->msg.run = open_on_worker;
	evt_inbox_post(r->workers[0].inbox, &o->msg.msg);
	return 0;
}
