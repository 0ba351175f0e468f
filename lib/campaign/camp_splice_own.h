/* SPDX-License-Identifier: Apache-2.0 */
/* camp_splice_own - what the files of camp_splice share: camp_splice.c passes the body by and finds the
 * parts with edits, camp_splice_plain.c, camp_splice_qp.c and camp_splice_base64.c change them. */
#ifndef CAMPAIGN_CAMP_SPLICE_OWN_H
#define CAMPAIGN_CAMP_SPLICE_OWN_H

#include "campaign/camp_splice.h"

enum { SPLICE_OUT = 4096, SPLICE_WIDTH = 76, SPLICE_LINE = 998, SPLICE_DELIMITER = 72 };

/* How one encoding is changed. feed gets one line at a time, which begins at s->in; the last one of the
 * part may be without its end. */
struct camp_splice_way {
	void (*begin)(struct camp_splice *s);
	int (*feed)(struct camp_splice *s, struct span line);
	int (*end)(struct camp_splice *s);
};

struct camp_splice {
	const struct camp_edit *edit, *edits_end; /* the next one, or the one under way */
	const struct camp_edit_part *parts, *parts_end;
	const struct camp_edit_part *part; /* with edits: the next one, or the one being read */
	const struct camp_splice_way *way; /* not NULL: within the part */
	int put;			   /* the text of *edit is out */
	int error;
	uint64_t in, done; /* octets taken and given */
	camp_splice_emit_fn emit;
	void *arg;
	camp_splice_watch_fn watch;
	void *watch_arg;
	uint64_t touched, new_touched; /* where what changes began, old and new */
	uint8_t line[MAIL_CTE_LINE];
	size_t line_n;
	uint8_t out[SPLICE_OUT];
	size_t out_n;

	struct { /* 7bit, 8bit, raw */
		unsigned column;
		int raw;
		int changed, dash; /* the line; that of it which a delimiter may take */
		uint8_t head[3];
	} plain;
	struct {		 /* quoted-printable */
		int open;	 /* a region is being wrapped anew */
		int fresh;	 /* what comes now stood elsewhere */
		unsigned column; /* characters of the line */
		char held[4];	 /* the last one waits: whether "=" must follow is not known */
		unsigned held_n;
		int soft; /* the line before this one ends in a soft break */
	} qp;
	struct { /* base64 */
		struct mail_cte_base64 decoder;
		uint64_t characters, decoded; /* so far, of the old part */
		int on;			      /* encoding anew */
		unsigned skip;		      /* characters of the first quantum that are out */
		uint8_t group[3];
		unsigned group_n, column;
		uint64_t ends; /* line ends that wait */
		uint64_t last; /* where data ended last */
	} b64;
};

extern const struct camp_splice_way camp_splice_own_plain, camp_splice_own_qp,
    camp_splice_own_base64;

/* Octets of the new body; s->error is set and given back if they cannot be given. */
int camp_splice_own_put(struct camp_splice *s, const void *p, size_t n);
/* The edits of this part: the next one, or NULL. */
static inline const struct camp_edit *camp_splice_own_edit(const struct camp_splice *s)
{
	return s->edit < s->edits_end && s->edit->part == s->part->index ? s->edit : NULL;
}
static inline void camp_splice_own_next(struct camp_splice *s)
{
	s->edit++;
	s->put = 0;
}
/* Something changes from here on; it did up to here. */
static inline void camp_splice_own_touch(struct camp_splice *s, uint64_t from)
{
	s->touched = from;
	s->new_touched = s->done;
}
static inline void camp_splice_own_touched(struct camp_splice *s, uint64_t to)
{
	if (s->watch)
		s->watch(s->watch_arg, s->touched, to, s->new_touched, s->done);
}

#endif
