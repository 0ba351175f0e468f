/* SPDX-License-Identifier: Apache-2.0 */
/* A template as tests write it (test/unit/camp_world.h), a NUL, a text. The verdict must not depend on how
 * the text is cut, and the work must be linear in text and template. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_match.h"
#include "core/err.h"
#include "test/unit/camp_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The builder of tests trusts its text: tags must be whole and blocks balanced. */
static int is_template(const char *s)
{
	int depth = 0, link = 0;

	while ((s = strstr(s, "{{"))) {
		const char *tag = s + 2, *end = strstr(tag, "}}");
		size_t n;

		if (!end)
			return 0;
		while (end[2] == '}')
			end++;
		n = (size_t)(end - tag);
		if (n == 0 || memmem(tag, n, "{{", 2))
			return 0;
		if (*tag == '#') {
			if (link || ++depth > CAMP_OP_DEPTH ||
			    (strncmp(tag + 1, "opt", 3) && strncmp(tag + 1, "alt", 3) &&
			     strncmp(tag + 1, "rep", 3)))
				return 0;
		} else if (*tag == '@' || *tag == '~') {
			if (link++)
				return 0;
		} else if (n == 2 && tag[0] == '/' && tag[1] == '@') {
			if (!link--)
				return 0;
		} else if (*tag == '/' || *tag == '|') {
			if (n != 1 || link || depth == 0)
				return 0;
			depth -= *tag == '/';
		}
		s = end + 2;
	}
	return depth == 0 && link == 0;
}

static struct camp_compiled *compile(struct camp_world *w, const char *text)
{
	camp_world_init(w);
	camp_world_field(w, "a", "name", 40, "text", NULL);
	camp_world_field(w, "i", "int", 9, "text", NULL);
	camp_world_field(w, "m", "money", 20, "text", NULL);
	camp_world_field(w, "d", "date", 30, "text", NULL);
	camp_world_field(w, "t", "text-nolink", 80, "text", "\"min\":0");
	camp_world_field(w, "q", "url-query", 30, "url-query", NULL);
	camp_world_field(w, "e", "enum", 9, "text", "\"values\":[\"S\",\"XL\",\"X\",\"R&D\"]");
	camp_world_field(w, "u", "url-choice", 99, "url",
			 "\"values\":[\"https://a/\",\"https://a/b\"]");
	camp_world_field(w, "r", "rcpt-email", 254, "text", NULL);
	camp_world_template(w, "Hello");
	camp_world_template(w, text);
	camp_world_part(w, "{\"d\":0,\"type\":\"text/html\",\"charset\":\"utf-8\",\"tpl\":1}");
	return camp_world_compile(w);
}

struct seen {
	uint64_t hash, last;
	unsigned count;
};
static int on_mark(void *arg, const struct camp_mark *mark)
{
	struct seen *s = arg;

	if (mark->canonical < s->last || ++s->count > 2 * CAMP_PLACES)
		abort();
	s->last = mark->canonical;
	s->hash = s->hash * 31 + mark->canonical + mark->kind;
	return 0;
}

static void run(const struct camp_compiled *c, struct span text, size_t piece, struct camp_match *m,
		struct seen *seen)
{
	struct camp_match_params params = {
	    .rcpt = SPAN_LIT("a@b.example"), .mark = on_mark, .arg = seen};
	int r = 0;

	*seen = (struct seen){0};
	camp_match_begin(m, c, 1, &params);
	for (size_t at = 0; at < text.n && r == 0; at += piece)
		r = camp_match_feed(m, span_sub(text, at, piece));
	if (r == 0)
		r = camp_match_end(m);
	if ((r == 0) != (m->verdict == CAMP_PASS))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	struct camp_match whole, cut;
	struct seen a, b;
	struct camp_compiled *c;
	struct camp_world w;
	struct span text;

	if (!nul || nul - data > 4000 || !is_template((const char *)data))
		return 0;
	text = span_of(nul + 1, size - (size_t)(nul - data) - 1);
	c = compile(&w, (const char *)data);
	if (c) {
		size_t work = (text.n + 2) * (CAMP_OP_DEPTH + 2) + (size_t)(nul - data) * 2 + 100;

		run(c, text, text.n + 1, &whole, &a);
		for (size_t piece = 1; piece < 70; piece = piece * 2 + 1) {
			run(c, text, piece, &cut, &b);
			if (cut.verdict != whole.verdict || cut.canonical != whole.canonical ||
			    cut.blob != whole.blob ||
			    (whole.verdict == CAMP_PASS && a.hash != b.hash))
				abort();
			if (cut.steps > 64 * work)
				abort();
		}
		if (whole.steps > work * 4)
			abort();
	}
	camp_template_free(c);
	camp_world_clear(&w);
	return 0;
}
