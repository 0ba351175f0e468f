/* SPDX-License-Identifier: Apache-2.0 */
/* BDAT (RFC 3030): a message in chunks of stated length, without dots. What it holds is judged as with DATA. The octets
 * of a chunk follow the command whatever its reply is, so a chunk that is refused is read and dropped: nothing of it is
 * ever taken for a command. */
#include <stdio.h>

#include "core/err.h"
#include "core/num.h"
#include "relay/in/in_cmd.h"

/* SIZE or SIZE LAST. ERR_FORMAT. */
static int parse(struct span args, uint64_t *size, int *last)
{
	ptrdiff_t space = span_find(args, ' ');
	struct span rest = space < 0 ? span_of(NULL, 0) : span_sub(args, (size_t)space + 1, args.n);

	while (rest.n && rest.p[0] == ' ')
		rest = span_sub(rest, 1, rest.n);
	*last = rest.n > 0;
	if (rest.n && !span_equal_nocase(rest, SPAN_LIT("LAST")))
		return ERR_FORMAT;
	return num_parse_u64(space < 0 ? args : span_sub(args, 0, (size_t)space), size);
}

static void chunk_done(struct in_session *s)
{
	char octets[24];

	if (s->chunk_last) {
		smtp_data_in_end(&s->tx.data);
		in_cmd_data_finish(s);
		return;
	}
	if (in_cmd_data_refused(s))
		return; /* the transaction is over; more chunks get 503 */
	snprintf(octets, sizeof(octets), "%llu", (unsigned long long)s->tx.size);
	in_state_set(s, IN_STATE_CHUNKS, "chunk");
	in_session_say_param(s, IN_REPLY_CHUNK_OK, octets);
}

void in_cmd_bdat_taken(struct in_session *s)
{
	in_state_set(s, IN_STATE_CHUNK, "begun");
	if (s->chunk_left == 0)
		chunk_done(s);
}

void in_cmd_bdat(struct in_session *s, struct span args)
{
	uint64_t size = 0;
	int err = parse(args, &size, &s->chunk_last);

	if (err == ERR_FORMAT) { /* who knows how much of what follows is no command */
		in_session_say(s, IN_REPLY_BAD_BDAT);
		return;
	}
	if (err < 0 || size > s->conf->limits.message_size) {
		in_session_say(s, IN_REPLY_CHUNK_TOO_BIG);
		return;
	}
	s->chunk_left = size;
	switch (s->state) {
	case IN_STATE_CHUNKS:
		in_cmd_bdat_taken(s);
		break;
	case IN_STATE_RCPT:
		s->tx.chunks = 1;
		in_cmd_data_begin(s);
		break;
	case IN_STATE_MAIL:
		in_session_say(s, s->tx.refused_any ? IN_REPLY_NO_RECIPIENTS : IN_REPLY_RCPT_FIRST);
		break;
	default:
		in_session_say(s, s->state == IN_STATE_GREET ? IN_REPLY_HELO_FIRST : IN_REPLY_MAIL_FIRST);
	}
}

size_t in_cmd_bdat_drop(struct in_session *s, struct span in)
{
	size_t n = in.n < s->chunk_left ? in.n : (size_t)s->chunk_left;

	s->chunk_left -= n;
	return n;
}

size_t in_cmd_bdat_input(struct in_session *s, struct span in)
{
	size_t used = in_cmd_data_take(s, span_sub(in, 0, (size_t)(in.n < s->chunk_left ? in.n : s->chunk_left)));

	s->chunk_left -= used;
	if (used && s->chunk_left == 0)
		chunk_done(s);
	return used;
}
