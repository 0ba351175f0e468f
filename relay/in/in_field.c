/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_field.h"

#include "core/err.h"

/*   NAMING --other--> SKIPPING --LF--> NAMING --CR--> ENDED
 *      |                                 ^
 *      +--":"--> VALUE --LF--> FOLD -----+ (but a blank: VALUE) */
enum state { NAMING, SKIPPING, VALUE, FOLD, ENDED };

void in_field_init(struct in_field *f, const char *name)
{
	f->name = name;
	f->at = f->count = 0;
	f->used = 0;
	f->state = NAMING;
}

static void keep(struct in_field *f, uint8_t byte)
{
	if (f->count == 1 && f->used < IN_FIELD_VALUE)
		f->value[f->used++] = (char)byte;
}

static void naming(struct in_field *f, uint8_t byte)
{
	if (f->at == 0 && byte == '\r') {
		f->state = ENDED; /* every CR that gets here stands before a LF */
	} else if (f->name[f->at]) {
		uint8_t low = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
		f->at++;
		if (low != (uint8_t)f->name[f->at - 1])
			f->state = byte == '\n' ? NAMING : SKIPPING;
	} else if (byte == ':') {
		f->state = VALUE;
		f->count += f->count < 2;
	} else if (byte != ' ' && byte != '\t') {
		f->state = SKIPPING;
	}
	if (f->state != NAMING || byte == '\n')
		f->at = 0;
}

static void step(struct in_field *f, uint8_t byte)
{
	if (f->state == FOLD) {
		f->state = byte == ' ' || byte == '\t' ? VALUE : NAMING;
		if (f->state == VALUE)
			keep(f, '\n');
	}
	if (f->state == NAMING)
		naming(f, byte);
	else if (byte == '\n')
		f->state = FOLD;
	else if (byte != '\r')
		keep(f, byte);
}

void in_field_feed(struct in_field *f, struct span s)
{
	while (s.n && f->state != ENDED) {
		if (f->state == SKIPPING) {
			ptrdiff_t lf = span_find(s, '\n');
			if (lf < 0)
				return;
			f->state = NAMING;
			s = span_sub(s, (size_t)lf + 1, s.n);
		} else {
			step(f, s.p[0]);
			s = span_sub(s, 1, s.n);
		}
	}
}

int in_field_value(const struct in_field *f, struct span *value)
{
	*value = span_of(f->value, f->used);
	if (!f->count)
		return ERR_NOTFOUND;
	return f->count == 1 && f->used < IN_FIELD_VALUE ? 0 : ERR_FORMAT;
}
