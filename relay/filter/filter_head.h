/* SPDX-License-Identifier: Apache-2.0 */
/* filter_head - the header section of a message as filters see it and change it.
 *
 * Story:     trace takes our own Received field, feed gathers the section while the message streams past, up to the
 *            empty line or the first line that is no header field; end says that nothing more comes. Then the
 *            fields are given to filters one by one (get), changed as they wish, and rendered.
 * Rules:     as Postfix and Sendmail have them. Filters do not see our own Received. Changes and deletions count
 *            among what they see: the n-th field of that name, from 1 (0 is 1). Insertions count among what is
 *            delivered: 0 is before our Received, 1 behind it. Adding is at the end. A change of a field that is
 *            not there adds it, deleting one does nothing.
 *            What filters give is made fit to be sent: line ends become CR LF, a line that would not continue
 *            the field begins with a tab, empty lines are dropped.
 * Memory:    the section is plaintext of mail: wiped when it goes. At most FILTER_HEAD_MAX octets are gathered.
 * Source:    RFC 5322 2.2, 3.6.8, 4.5; Postfix cleanup_milter's account of Sendmail 8.13.6.
 * Thread:    one at a time. */
#ifndef RELAY_FILTER_FILTER_HEAD_H
#define RELAY_FILTER_FILTER_HEAD_H

#include "core/buf.h"

#define FILTER_HEAD_MAX 256000

struct filter_head_field {
	struct span text; /* "Name: value" with its line ends, all of it */
	uint8_t *own;	  /* its memory, if text is not among what was gathered */
	size_t name;	  /* length of the name */
	int ours;	  /* our Received: not for filters */
};

struct filter_head {
	struct buf raw;		 /* what was gathered */
	size_t trace;		 /* of it, our own field */
	size_t line;		 /* where the present line begins */
	size_t fields_end, body; /* where the section ends, and where the body begins */
	size_t added;		 /* octets of fields that filters gave */
	struct filter_head_field *fields;
	unsigned count, room;
	int done, changed;
};

void filter_head_init(struct filter_head *h);
void filter_head_clear(struct filter_head *h);

/* Before the first feed. 0, ERR_NOMEM. */
int filter_head_trace(struct filter_head *h, struct span received);
/* Takes in until the section is done: *used octets. 0, ERR_LIMIT, ERR_NOMEM. */
int filter_head_feed(struct filter_head *h, struct span in, size_t *used);
/* The message ends here. ERR_NOMEM. */
int filter_head_end(struct filter_head *h);
/* Once done: what was gathered and belongs to the body. */
struct span filter_head_rest(const struct filter_head *h);
/* Once done: where the body begins in the message, our Received counted. */
size_t filter_head_body(const struct filter_head *h);

/* Fields for filters, from 0: 1 and name and value (up to its last line end, not included; CR LF between
 * lines; blanks at the front kept), or 0 behind the last. *at goes on from call to call, from 0. */
int filter_head_next(const struct filter_head *h, unsigned *at, struct span *name,
		     struct span *value);

/* blank: a blank is put between colon and value. ERR_FORMAT: no name of a field; ERR_LIMIT: far too much was
 * added; ERR_NOMEM. */
int filter_head_add(struct filter_head *h, struct span name, struct span value, int blank);
int filter_head_insert(struct filter_head *h, uint32_t index, struct span name, struct span value,
		       int blank);
/* An empty value deletes. */
int filter_head_change(struct filter_head *h, uint32_t index, struct span name, struct span value,
		       int blank);
/* 1 if name can be a field's. */
int filter_head_name_ok(struct span name);

/* 1 if there is one field of this name, and a filter gave it. */
int filter_head_given(const struct filter_head *h, struct span name);

/* The section with its empty line. Errors of buf. */
int filter_head_render(const struct filter_head *h, struct buf *out);

#endif
