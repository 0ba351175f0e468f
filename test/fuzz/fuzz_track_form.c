/* SPDX-License-Identifier: Apache-2.0 */
/* A whole request to the tracking host, as octets: head, path, form, and the program's name. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/err.h"
#include "relay/track/track_agent.h"
#include "relay/track/track_form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), body;
	struct http_request r;
	enum seal_track_kind kind = SEAL_TRACK_CLICK;
	struct seal_track_raw raw;
	int n = http_request_parse(in, &r), rc;

	if (n <= 0)
		return 0;
	rc = track_form_path(&r, &kind, &raw);
	if (rc == 0 && (raw.n < SEAL_TRACK_MIN || raw.n > SEAL_TRACK_MAX))
		abort();
	if (rc == 0) { /* the one text of these bytes */
		char text[SEAL_TRACK_URL_SIZE];
		size_t length = seal_track_url_put(text, &raw);
		if (length > r.segments[1].n || memcmp(text, r.segments[1].p, length) != 0)
			abort();
	}
	body = span_sub(in, (size_t)n, size);
	rc = track_form_one_click(http_request_field(&r, "content-type"), body);
	if (rc > 1 || (rc == 1 && body.n < sizeof("One-Click") - 1))
		abort();
	if (track_agent_of(http_request_field(&r, "user-agent")) > TRACK_AGENT_TOOL)
		abort();
	return 0;
}
