/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle, or if it does not begin as one a manifest. What parses has canonical bytes: parsed again it is
 * the same, and its templates are checked without a fault. */
#include <stdint.h>
#include <stdlib.h>

#include "campaign/camp_bundle.h"
#include "campaign/camp_template.h"
#include "core/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct camp_manifest *m, const struct camp_bundle *b)
{
	int r = camp_template_check(m, b->blob, b->n_blobs, NULL, NULL);

	if (r < 0 && r != ERR_NOMEM)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct camp_bundle b = {.n_blobs = 0};
	struct camp_manifest *m, *again;
	struct camp_error e;
	int bundle = size > 4 && data[0] == 'S' && data[1] == 'P';
	int r = bundle ? camp_bundle_get(span_of(data, size), &b, &m, &e)
		       : camp_manifest_parse(span_of(data, size), &m, &e);

	if ((r == 0) != (m != NULL))
		abort();
	if (r != 0) {
		if (r == ERR_FORMAT && !e.text[0])
			abort();
		return 0;
	}
	if (camp_manifest_parse(bundle ? b.manifest : span_of(data, size), &again, NULL) != 0)
		abort();
	for (unsigned i = 0; i < CAMP_HASH; i++)
		if (again->hash[i] != m->hash[i])
			abort();
	check(m, &b);
	camp_manifest_free(again);
	camp_manifest_free(m);
	return 0;
}
