/* SPDX-License-Identifier: Apache-2.0 */
/* A template: octet 1 is a field, octet 2 a block's edge. All that is told lies within the blob; a field has a context or a
 * finding; what is refused live is so twice. */
#include <stdlib.h>

#include "campaign/camp_html.h"
#include "core/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PLACES = 256 };

struct seen {
	size_t n;
	unsigned errors;
	uint8_t denied[PLACES];
};

static void finding(void *arg, const struct camp_html_finding *f)
{
	struct seen *s = arg;

	if (f->at > s->n || f->level == CAMP_HTML_NONE || !f->text || f->what.n > 40)
		abort();
	s->errors += f->level == CAMP_HTML_ERROR;
	if (f->level == CAMP_HTML_ERROR && f->place < PLACES)
		s->denied[f->place] = 1;
}

static int url(void *arg, const struct camp_html_url *u)
{
	struct seen *s = arg;

	if (u->from > u->to || u->to > s->n || u->element > s->n || u->text.n > CAMP_HTML_TEXT)
		abort();
	return u->value.n % 2;
}

static void text(void *arg, struct span t, size_t at)
{
	struct seen *s = arg;

	if (at > s->n || (t.n && !t.p))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct camp_html_fns fns = {finding, url, text};
	struct camp_html_place places[PLACES] = {{0}};
	struct camp_html_doc doc = {.places = places};
	struct camp_html_result result;
	struct camp_html_finding broken[2];
	struct seen seen = {0};
	struct buf blob;
	int r[2];

	buf_init(&blob, size + 1);
	for (size_t i = 0; i < size; i++) {
		if (data[i] > 2 || data[i] == 0 || doc.count == PLACES) {
			buf_put(&blob, data + i, 1);
			continue;
		}
		places[doc.count].at = buf_size(&blob);
		places[doc.count++].field = data[i] == 1 ? "name" : NULL;
	}
	doc.blob = buf_span(&blob);
	seen.n = doc.blob.n;
	if (camp_html_scan(&doc, &fns, &seen, &result))
		abort();
	if (result.errors < seen.errors ||
	    (result.body_end != SIZE_MAX && result.body_end > seen.n))
		abort();
	for (size_t i = 0; i < doc.count && result.errors + result.warnings < 1000; i++)
		if (places[i].field &&
		    (places[i].context == CAMP_HTML_REFUSED) != (seen.denied[i] != 0))
			abort();
	for (int i = 0; i < 2; i++)
		r[i] = camp_html_live(doc.blob, "utf-8", url, &seen, &broken[i]);
	if (r[0] != r[1] || (r[0] && r[0] != ERR_DENIED) || broken[0].at != broken[1].at ||
	    broken[0].at > seen.n)
		abort();
	buf_clear(&blob);
	return 0;
}
