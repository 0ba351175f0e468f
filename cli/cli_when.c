/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_when.h"

#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"

int cli_when_parse(const char *text, int64_t *usec)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
	int64_t ago;

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {.tm_sec = 0};
		const char *end = strptime(text, forms[i], &tm);
		if (!end || (strcmp(end, "") && strcmp(end, "Z")))
			continue;
		*usec = (int64_t)timegm(&tm) * CLOCK_SEC;
		return *usec > 0 ? 0 : ERR_FORMAT;
	}
	if (num_parse_duration(span_str(text), &ago) < 0)
		return ERR_FORMAT;
	*usec = clock_wall() - ago;
	return *usec > 0 ? 0 : ERR_FORMAT;
}
