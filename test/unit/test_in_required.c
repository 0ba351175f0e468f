/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_required.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *message;
	int no;
} rows[] = {
    {"Subject: x\r\nTLS-Required: No\r\nTo: y\r\n\r\nbody", 1},
    {"tls-required:no\r\n\r\n", 1},
    {"TLS-REQUIRED \t: \t NO \t\r\n\r\n", 1},
    {"TLS-Required:\r\n No\r\n\r\n", 1},
    {"TLS-Required: No\r\n \r\nTo: y\r\n\r\n", 1},
    {"TLS-Required: Yes\r\n\r\n", 0},
    {"TLS-Required: N\r\n\r\n", 0},
    {"TLS-Required: N\r\n o\r\n\r\n", 0},
    {"TLS-Required: Nope\r\n\r\n", 0},
    {"TLS-Required: No No\r\n\r\n", 0},
    {"TLS-Required:\r\n\r\n", 0},
    {"TLS-Required: No\r\nTLS-Required: No\r\n\r\n", 0}, /* two of them */
    {"X-TLS-Required: No\r\n\r\n", 0},
    {"TLS-Required-X: No\r\n\r\n", 0},
    {"TLS-Require: No\r\n\r\n", 0},
    {"Subject: a\r\n TLS-Required: No\r\n\r\n", 0}, /* a fold of another field */
    {"Subject: x\r\n\r\nTLS-Required: No\r\n", 0},  /* in the body */
    {"TLS-Required: No", 0},			     /* its line has no end */
    {"TLS-Required: No\r\n", 1},
    {"", 0},
    {"\r\n", 0},
};

static void the_field_is_found_however_the_bytes_come(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t step = 1; step < 40; step += 3) {
			struct span s = span_str(rows[i].message);
			struct in_required r;
			in_required_init(&r);
			for (size_t at = 0; at < s.n; at += step)
				in_required_feed(&r, span_sub(s, at, step));
			if (in_required_no(&r) != rows[i].no)
				fail_msg("row %zu, %zu octets at a time", i, step);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_field_is_found_however_the_bytes_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
