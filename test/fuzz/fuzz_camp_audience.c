/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of recipients: cut anywhere between lines they give the same, every line counts once, and what is closed is sorted
 * without doubles. */
#include <stdlib.h>

#include "campaign/camp_audience.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[CAMP_AUDIENCE_KEY] = "thirty-two bytes, for a list";

static void must(int cond)
{
	if (!cond)
		abort();
}

static void read_cut(struct camp_audience *a, struct span text, size_t at, struct camp_findings *fs)
{
	camp_audience_init(a);
	must(camp_audience_read(a, key, span_sub(text, 0, at), fs) == 0);
	must(camp_audience_read(a, key, span_sub(text, at, text.n), fs) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct camp_findings one = {0}, other = {0};
	struct span text = span_of(data, size);
	struct camp_audience a, b;
	size_t at = size / 2, lines = 0;
	uint64_t n;

	while (at && data[at - 1] != '\n')
		at--;
	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n' || i + 1 == size;
	read_cut(&a, text, size, &one);
	read_cut(&b, text, at, &other);
	must(span_equal(buf_span(&a.hashes), buf_span(&b.hashes)));
	must(a.lines == b.lines && a.lines <= lines && one.errors == other.errors);
	n = camp_audience_count(&a);
	must(n + one.errors <= a.lines);
	for (size_t i = 0; i < one.n; i++)
		must(one.item[i].line >= 1 && one.item[i].line <= a.lines && one.item[i].line == other.item[i].line);
	camp_audience_close(&a);
	must(camp_audience_count(&a) + a.doubles == n);
	for (size_t i = CAMP_AUDIENCE; i < buf_size(&a.hashes); i += CAMP_AUDIENCE)
		must(memcmp(buf_ptr(&a.hashes) + i - CAMP_AUDIENCE, buf_ptr(&a.hashes) + i, CAMP_AUDIENCE) < 0);
	camp_finding_clear(&one);
	camp_finding_clear(&other);
	camp_audience_clear(&a);
	camp_audience_clear(&b);
	return 0;
}
