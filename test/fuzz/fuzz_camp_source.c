/* SPDX-License-Identifier: Apache-2.0 */
/* Any text cut into pieces: they cover the blob without gaps, places go forward, and what is balanced has ops. */
#include <stdlib.h>

#include "campaign/camp_source.h"
#include "core/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct camp_findings fs = {.n = 0};
	struct camp_source_text t = {.part = "subject"};
	size_t i, at = 0;
	json_t *ops;

	if (camp_source_cut(&t, span_of(data, size), NULL, &fs) < 0)
		abort();
	for (i = 0; i < t.n; i++) {
		if (t.piece[i].at != at || t.piece[i].source > size)
			abort();
		if (t.piece[i].kind == CAMP_SOURCE_LIT)
			at += t.piece[i].len;
	}
	if (at != buf_size(&t.blob) && !fs.errors)
		abort();
	for (i = 0; i <= at; i++)
		if (camp_source_at(&t, i) > size)
			abort();
	if (!fs.errors) {
		ops = camp_source_ops(&t);
		if (!ops)
			abort();
		json_decref(ops);
	}
	camp_source_text_clear(&t);
	camp_finding_clear(&fs);
	return 0;
}
