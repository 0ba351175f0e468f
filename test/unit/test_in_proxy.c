/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"

/* The client as text, "-" if nobody is named. */
static const char *named(const struct sockaddr_storage *a)
{
	static char text[80];
	char ip[64];

	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
		inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
		snprintf(text, sizeof(text), "%s %u", ip, ntohs(v4->sin_port));
	} else if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
		inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
		snprintf(text, sizeof(text), "%s %u", ip, ntohs(v6->sin6_port));
	} else {
		snprintf(text, sizeof(text), "-");
	}
	return text;
}

/* Reads as in_conn does: no more than is wanted. Returns what parse said at the end; *used: octets it was shown. */
static int feed(struct span all, struct sockaddr_storage *client, size_t *used)
{
	size_t want = IN_PROXY_FIRST;
	int n = 0;

	*used = 0;
	while (n == 0 && *used < want && want <= all.n) {
		*used = want;
		n = in_proxy_parse(span_sub(all, 0, *used), client, &want);
	}
	return n;
}

static void good_headers_name_the_client_and_leave_what_follows(void **state)
{
	static const struct {
		struct span header;
		const char *client;
	} rows[] = {
	    {SPAN_LIT("PROXY TCP4 192.0.2.1 192.0.2.2 51000 25\r\n"), "192.0.2.1 51000"},
	    {SPAN_LIT("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), "2001:db8::1 1"},
	    {SPAN_LIT("PROXY UNKNOWN\r\n"), "-"},
	    {SPAN_LIT("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), "-"},
	    {SPAN_LIT(V2 "\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xc7\x38\0\x19"), "192.0.2.1 51000"},
	    {SPAN_LIT(V2 "\x21\x11\0\x10\xc0\0\2\1\xc0\0\2\2\xc7\x38\0\x19\4\0\1\0"), "192.0.2.1 51000"},
	    {SPAN_LIT(V2 "\x21\x21\0\x24\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\2"),
	     "2001:db8::1 1"},
	    {SPAN_LIT(V2 "\x20\0\0\0"), "-"},
	    {SPAN_LIT(V2 "\x20\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xc7\x38\0\x19"), "-"},
	    {SPAN_LIT(V2 "\x21\0\0\0"), "-"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage client;
		uint8_t all[256];
		size_t used;
		memcpy(all, rows[i].header.p, rows[i].header.n);
		memcpy(all + rows[i].header.n, "\x16\3\1EHLO", 7); /* what must not be touched */
		assert_int_equal(feed(span_of(all, rows[i].header.n + 7), &client, &used), rows[i].header.n);
		assert_int_equal(used, rows[i].header.n);
		assert_string_equal(named(&client), rows[i].client);
	}
}

static void others_are_refused(void **state)
{
	static const struct {
		struct span header;
		int err;
	} rows[] = {
	    {SPAN_LIT("EHLO client.example\r\n"), ERR_FORMAT},
	    {SPAN_LIT("\x16\3\1\2\0\1\0\1\xfc\3\3aaaaaaaaaaaaa"), ERR_FORMAT},
	    {SPAN_LIT("PROXY TCP4 192.0.2.1 192.0.2.2 51000\r\n"), ERR_FORMAT},
	    {SPAN_LIT("PROXY TCP4 192.0.2.1 192.0.2.2 51000 25 1\r\n"), ERR_FORMAT},
	    {SPAN_LIT("PROXY TCP4 192.0.2.1  192.0.2.2 51000 25\r\n"), ERR_FORMAT},
	    {SPAN_LIT("PROXY TCP4 2001:db8::1 192.0.2.2 51000 25\r\n"), ERR_FORMAT},
	    {SPAN_LIT("PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n"), ERR_FORMAT},
	    {SPAN_LIT("PROXY TCP4 192.0.2.1 192.0.2.2 051 25\r\n"), ERR_FORMAT},
	    {SPAN_LIT("PROXY TCP5 192.0.2.1 192.0.2.2 51 25\r\n"), ERR_FORMAT},
	    {SPAN_LIT("PROXY TCP4 192.0.2.1 192.0.2.2 51 25\n....."), ERR_FORMAT},
	    {SPAN_LIT("PROXY UNKNOWN \
xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n"),
	     ERR_LIMIT},
	    {SPAN_LIT(V2 "\x11\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xc7\x38\0\x19"), ERR_FORMAT},
	    {SPAN_LIT(V2 "\x22\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\xc7\x38\0\x19"), ERR_FORMAT},
	    {SPAN_LIT(V2 "\x21\x11\0\x0b\xc0\0\2\1\xc0\0\2\2\xc7\x38\0"), ERR_FORMAT},
	    {SPAN_LIT(V2 "\x21\x31\0\0"), ERR_UNSUPPORTED},
	    {SPAN_LIT(V2 "\x21\x12\0\x0c\xc0\0\2\1\xc0\0\2\2\xc7\x38\0\x19"), ERR_UNSUPPORTED},
	    {SPAN_LIT(V2 "\x21\x11\xff\xff"), ERR_LIMIT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sockaddr_storage client;
		size_t used;
		assert_int_equal(feed(rows[i].header, &client, &used), rows[i].err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_headers_name_the_client_and_leave_what_follows),
	    cmocka_unit_test(others_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
