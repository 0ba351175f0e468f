/* SPDX-License-Identifier: Apache-2.0 */
/* mime_reader - what the gate reads, for judges that are written in something else.
 *
 * mime_reader FILE...         reads messages
 * mime_reader world FROM N    makes N messages (mime_world), reads each, puts a tracking link in the
 *                             place of each link, and reads the result
 * Output, frames of: kind octet, u32 length (big-endian), octets:
 *   M the message, N the result; R a rule that refused it; for each part P "index depth multipart text
 *   type charset filename" (by TAB), then O its octets. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_splice.h"
#include "core/num.h"
#include "test/unit/gate_play.h"
#include "test/unit/mime_world.h"

enum { EDITS = 1000 };
static const char LINK[] = "https://t.shop.example/c/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static struct gate_play play;
static struct camp_edit edits[EDITS];
static struct camp_edit_part parts[MAIL_GATE_MAX_PARTS];

static void frame(char kind, struct span s)
{
	uint8_t head[5] = {(uint8_t)kind};

	num_put_u32(head + 1, (uint32_t)s.n);
	if (fwrite(head, 1, sizeof(head), stdout) != sizeof(head) ||
	    fwrite(s.p, 1, s.n, stdout) != s.n)
		err(1, "stdout");
}

static void tell(struct span message, char kind)
{
	char line[1000];

	frame(kind, message);
	if (gate_play_run(&play, message, 0, GATE_PLAY_WHOLE) < 0) {
		frame('R', span_str(mail_gate_rule_name(play.verdict.rule)));
		return;
	}
	for (unsigned i = 0; i < play.n_parts; i++) {
		const struct gate_play_part *q = &play.parts[i];
		snprintf(line, sizeof(line), "%u\t%u\t%d\t%d\t%s\t%s\t%s", q->index, q->depth,
			 q->multipart, q->text, q->type, q->charset, q->filename);
		frame('P', span_str(line));
		frame('O', buf_span(&q->octets));
	}
}

static size_t find_links(void)
{
	size_t n = 0;

	for (unsigned i = 0; i < play.n_parts; i++) {
		const struct gate_play_part *q = &play.parts[i];
		struct span s = buf_span(&q->octets);
		size_t from, to = 0;
		if (!q->text || q->protect)
			continue;
		while (n < EDITS && to < s.n) {
			const uint8_t *at = memmem(s.p + to, s.n - to, "https://", 8);
			if (!at)
				break;
			from = (size_t)(at - s.p);
			for (to = from; to < s.n && s.p[to] != '"';)
				to++;
			edits[n++] =
			    (struct camp_edit){q->index, CAMP_EDIT_TEXT, q->sources[from],
					       to < s.n ? q->sources[to] : q->tail, span_str(LINK)};
		}
	}
	return n;
}

static int take(void *arg, struct span raw)
{
	return buf_put_span(arg, raw);
}

static void one(unsigned seed)
{
	struct camp_splice *s;
	struct buf m, result;
	size_t n;

	buf_init(&m, 1 << 24);
	buf_init(&result, 1 << 24);
	mime_world_make(&m, seed);
	tell(buf_span(&m), 'M');
	n = find_links();
	for (unsigned i = 0; i < play.n_parts; i++) {
		const struct gate_play_part *q = &play.parts[i];
		parts[i] = (struct camp_edit_part){q->index,	q->encoding, q->protect, q->width,
						   q->raw_from, q->raw_to,   q->decoded};
	}
	buf_put(&result, m.data, buf_size(&m) - play.body.n);
	if (camp_splice_new(&s, edits, n, parts, play.n_parts) < 0 ||
	    camp_splice_feed(s, play.body, take, &result) < 0 ||
	    camp_splice_end(s, take, &result) < 0) {
		/* a plain line would be too long: told as it was */
		buf_reset(&result);
		buf_put_span(&result, buf_span(&m));
	}
	camp_splice_free(s);
	gate_play_clear(&play);
	tell(buf_span(&result), 'N');
	gate_play_clear(&play);
	buf_clear(&m);
	buf_clear(&result);
}

static void read_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct buf m;
	size_t n;

	if (!f)
		err(1, "%s", path);
	buf_init(&m, 1 << 26);
	do {
		uint8_t *p = buf_reserve(&m, 65536);
		if (!p)
			errx(1, "%s: too big", path);
		n = fread(p, 1, 65536, f);
		buf_commit(&m, n);
	} while (n);
	fclose(f);
	tell(buf_span(&m), 'M');
	gate_play_clear(&play);
	buf_clear(&m);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "world")) {
		unsigned from = (unsigned)atoi(argv[2]), n = (unsigned)atoi(argv[3]);
		for (unsigned i = from; i < from + n; i++)
			one(i);
		return 0;
	}
	if (argc < 2)
		errx(64, "usage: mime_reader FILE... | world FROM N");
	for (int i = 1; i < argc; i++)
		read_file(argv[i]);
	return 0;
}
