/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/in/in_reply.h"

static char *page;

static int setup(void **state)
{
	const char *src = getenv("srcdir") ? getenv("srcdir") : ".";
	char path[4096];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/man/sealpost-replies.7", src);
	f = fopen(path, "r");
	page = calloc(1, 1 << 20);
	if (!f || !page || fread(page, 1, (1 << 20) - 1, f) == 0)
		return -1;
	fclose(f);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(page);
	return 0;
}

/* The line that the page must have for a reply. */
static void item_of(char *dst, size_t size, const struct in_reply_row *r)
{
	char text[512];
	const char *hole = strstr(r->text, "%s");

	snprintf(text, sizeof(text), "%.*s%s%s", hole ? (int)(hole - r->text) : 500, r->text,
		 !hole			      ? ""
		 : !strcmp(r->name, "QUEUED") ? "ID"
		 : !strcmp(r->name, "AUTH_MORE") ? "CHALLENGE"
		 : !strcmp(r->name, "CHUNK_OK") ? "N"
					      : "HOSTNAME",
		 hole ? hole + 2 : "");
	text[strcspn(text, "\n")] = '\0';
	snprintf(dst, size, "\n.It Sy \"%d%s%s %s\" Pq Dv %s\n", r->code, *r->enhanced ? " " : "",
		 r->enhanced, text, r->name);
}

static void every_reply_is_in_the_manual_with_its_codes_and_text(void **state)
{
	char item[1024];
	int items = 0;

	(void)state;
	for (int i = IN_REPLY_NONE + 1; i < IN_REPLY_COUNT; i++) {
		item_of(item, sizeof(item), in_reply_row((enum in_reply)i));
		if (!strstr(page, item))
			fail_msg("man/sealpost-replies.7 lacks:%s", item);
	}
	for (const char *p = page; (p = strstr(p, "\n.It Sy ")); p++)
		items++;
	assert_int_equal(items, IN_REPLY_COUNT - 1); /* and it has none that are not given */
}

static void codes_and_flags_agree(void **state)
{
	(void)state;
	for (int i = IN_REPLY_NONE + 1; i < IN_REPLY_COUNT; i++) {
		const struct in_reply_row *r = in_reply_row((enum in_reply)i);
		int class = r->code / 100;

		assert_in_range(class, 2, 5);
		if (*r->enhanced)
			assert_int_equal(r->enhanced[0] - '0', class);
		else
			assert_true(class == 3 || r->code == 220 || r->code == 250);
		if (r->flags & IN_REPLY_ERROR)
			assert_int_equal(class, 5);
		if (r->flags & IN_REPLY_REFUSAL)
			assert_true(class == 4 || class == 5);
		if (r->code == 421 || r->code == 221)
			assert_true(r->flags & IN_REPLY_CLOSE);
		assert_true(strlen(r->text) < 200); /* with a host name of 255 below 512 */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_reply_is_in_the_manual_with_its_codes_and_text),
	    cmocka_unit_test(codes_and_flags_agree),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
