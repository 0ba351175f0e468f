/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "relay/filter/filter_milter_own.h"

#define OUT_ENOUGH (256u << 10) /* without answers to wait for, the host's sending sets the pace */

/* One header field; line ends within it become LF. */
static int put_field(struct filter_milter *m, struct span name, struct span value)
{
	size_t n = name.n + value.n + 2, head = 5;
	uint8_t *p, *start;

	if (!(m->steps & MILTERPROTO_HDR_LEADSPC) && value.n && value.p[0] == ' ')
		value = span_sub(value, 1, value.n);
	/* built by hand, for it is shorter than what it comes from: the length is known at the end */
	start = buf_reserve(&m->out, head + n);
	if (!start)
		return buf_failed(&m->out);
	p = start + head;
	memcpy(p, name.p, name.n);
	p += name.n;
	*p++ = '\0';
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] != '\r')
			*p++ = value.p[i];
	*p++ = '\0';
	n = (size_t)(p - start) - 4;
	start[0] = (uint8_t)(n >> 24);
	start[1] = (uint8_t)(n >> 16);
	start[2] = (uint8_t)(n >> 8);
	start[3] = (uint8_t)n;
	start[4] = MILTERPROTO_HEADER;
	buf_commit(&m->out, n + 4);
	return 0;
}

/* 1: an answer is waited for. */
static int put_fields(struct filter_milter *m)
{
	struct span name, value;

	if (m->steps & MILTERPROTO_NOHDRS || m->skipped == MILTERPROTO_HEADER)
		return 0;
	while (filter_head_next(m->head, &m->field, &name, &value)) {
		if (put_field(m, name, value) < 0)
			return 0; /* out has failed: seen at the end of advance */
		if (!(m->steps & MILTERPROTO_NR_HDR)) {
			filter_milter_become(m, FILTER_MILTER_FIELDS);
			return 1;
		}
	}
	return 0;
}

static int put_eoh(struct filter_milter *m)
{
	filter_milter_macros(m, MILTERPROTO_EOH, MILTERPROTO_AT_EOH);
	if (m->steps & MILTERPROTO_NOEOH)
		return 0;
	milterproto_put(&m->out, MILTERPROTO_EOH, span_of(NULL, 0));
	if (m->steps & MILTERPROTO_NR_EOH)
		return 0;
	filter_milter_become(m, FILTER_MILTER_EOH);
	return 1;
}

static int wants_body(const struct filter_milter *m)
{
	return !(m->steps & MILTERPROTO_NOBODY) && m->skipped != MILTERPROTO_BODY;
}

/* A chunk goes when it is full, or the last. */
static int put_chunk(struct filter_milter *m)
{
	if (!wants_body(m))
		buf_reset(&m->body);
	if (!buf_size(&m->body) || (!m->ended && buf_room(&m->body)))
		return 0;
	milterproto_put(&m->out, MILTERPROTO_BODY, buf_span(&m->body));
	buf_reset(&m->body);
	if (m->steps & MILTERPROTO_NR_BODY)
		return 0;
	filter_milter_become(m, FILTER_MILTER_CHUNK);
	return 1;
}

static void put_end(struct filter_milter *m)
{
	filter_milter_macros(m, MILTERPROTO_BODYEOB, MILTERPROTO_AT_END);
	milterproto_put(&m->out, MILTERPROTO_BODYEOB, span_of(NULL, 0));
	filter_milter_become(m, FILTER_MILTER_END);
}

/* On from a state in which nothing is waited for. */
static void go_on(struct filter_milter *m)
{
	if (m->state == FILTER_MILTER_FIELDS) {
		if (put_fields(m) || put_eoh(m))
			return;
	}
	if (m->state != FILTER_MILTER_BODY)
		filter_milter_become(m, FILTER_MILTER_BODY);
	if (put_chunk(m))
		return;
	if (m->ended)
		put_end(m);
}

void filter_milter_advance(struct filter_milter *m)
{
	go_on(m);
	if (buf_failed(&m->out))
		filter_milter_broken(m, "no-memory");
}

int filter_milter_message(struct filter_milter *m, const struct filter_head *head)
{
	if (m->over || m->state != FILTER_MILTER_IDLE || !m->transaction)
		return 0;
	m->head = head;
	m->field = 0;
	m->ended = 0;
	m->skipped = 0;
	m->asked = FILTER_MESSAGE;
	buf_reset(&m->body);
	m->state = FILTER_MILTER_FIELDS;
	filter_milter_advance(m);
	return 1;
}

size_t filter_milter_body(struct filter_milter *m, struct span s)
{
	size_t taken = 0;

	if (m->state < FILTER_MILTER_FIELDS || m->state > FILTER_MILTER_CHUNK || !wants_body(m))
		return s.n; /* it has said its word */
	while (taken < s.n && buf_size(&m->out) < OUT_ENOUGH) {
		size_t n = buf_room(&m->body);

		if (n > s.n - taken)
			n = s.n - taken;
		if (!n)
			break;
		if (buf_put(&m->body, s.p + taken, n) < 0) {
			filter_milter_broken(m, "no-memory");
			return s.n;
		}
		taken += n;
		if (m->state == FILTER_MILTER_BODY && !buf_room(&m->body))
			filter_milter_advance(m);
	}
	return taken;
}

void filter_milter_end(struct filter_milter *m)
{
	m->ended = 1;
	if (m->state == FILTER_MILTER_BODY)
		filter_milter_advance(m);
}
