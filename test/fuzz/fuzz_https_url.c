/* SPDX-License-Identifier: Apache-2.0 */
/* https: URLs: what is accepted has a host name, a port, a path, and gives the same again when
 * written out. */
#include <stdio.h>
#include <stdlib.h>

#include "relay/https/https_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct https_url url, again;
	char text[HTTPS_URL_HOST + HTTPS_URL_PATH + 32];
	int n;

	if (https_url_parse(span_of(data, size), &url) < 0)
		return 0;
	must(url.port && url.path[0] == '/' && strchr(url.host, '.'));
	for (const char *c = url.host; *c; c++)
		must(strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", *c) != NULL);
	for (const char *c = url.path; *c; c++)
		must(*c > ' ' && *c < 0x7f && *c != '#');
	n = snprintf(text, sizeof(text), "https://%s:%u%s", url.host, url.port, url.path);
	must(https_url_parse(span_of(text, (size_t)n), &again) == 0 &&
	     !memcmp(&url, &again, sizeof(url)));
	return 0;
}
