/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "relay/in/in_clients.h"

static struct sockaddr_storage at(const char *text)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a;

	a.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	assert_int_equal(
	    inet_pton(a.ss_family, text,
		      a.ss_family == AF_INET6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr),
	    1);
	return a;
}

static void each_address_has_its_own_count(void **state)
{
	struct sockaddr_storage a = at("192.0.2.1"), b = at("192.0.2.2");

	(void)state;
	assert_int_equal(in_clients_enter(in_limit_client(&a), 2), 1);
	assert_int_equal(in_clients_enter(in_limit_client(&a), 2), 1);
	assert_int_equal(in_clients_enter(in_limit_client(&a), 2), 0);
	assert_int_equal(in_clients_enter(in_limit_client(&b), 2), 1);
	in_clients_leave(in_limit_client(&a));
	assert_int_equal(in_clients_enter(in_limit_client(&a), 2), 1);
	in_clients_leave(in_limit_client(&a));
	in_clients_leave(in_limit_client(&a));
	in_clients_leave(in_limit_client(&b));
	assert_int_equal(in_clients_enter(in_limit_client(&a), 1), 1);
	in_clients_leave(in_limit_client(&a));
}

static void ipv6_counts_by_64_and_mapped_ipv4_as_ipv4(void **state)
{
	struct sockaddr_storage a = at("2001:db8:1:2::1"), same = at("2001:db8:1:2:ffff::9");
	struct sockaddr_storage other = at("2001:db8:1:3::1"), mapped = at("::ffff:192.0.2.9");
	struct sockaddr_storage plain = at("192.0.2.9");

	(void)state;
	assert_int_equal(in_clients_enter(in_limit_client(&a), 1), 1);
	assert_int_equal(in_clients_enter(in_limit_client(&same), 1), 0);
	assert_int_equal(in_clients_enter(in_limit_client(&other), 1), 1);
	assert_int_equal(in_clients_enter(in_limit_client(&mapped), 1), 1);
	assert_int_equal(in_clients_enter(in_limit_client(&plain), 1), 0);
	in_clients_leave(in_limit_client(&a));
	in_clients_leave(in_limit_client(&other));
	in_clients_leave(in_limit_client(&mapped));
}

static void thousands_of_addresses_find_their_place_and_leave_it(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 20000; i++) {
			struct sockaddr_storage a = at("10.0.0.0");
			((struct sockaddr_in *)&a)->sin_addr.s_addr += htonl((uint32_t)i);
			assert_int_equal(in_clients_enter(in_limit_client(&a), 1), 1);
			assert_int_equal(in_clients_enter(in_limit_client(&a), 1), 0);
		}
		for (int i = 0; i < 20000; i++) {
			struct sockaddr_storage a = at("10.0.0.0");
			((struct sockaddr_in *)&a)->sin_addr.s_addr += htonl((uint32_t)i);
			in_clients_leave(in_limit_client(&a));
		}
	}
}

static void a_credential_is_no_address(void **state)
{
	struct sockaddr_storage v4 = at("0.0.0.7"), v6 = at("0:0:0:7::1");

	(void)state;
	assert_int_equal(in_clients_enter(in_limit_credential(7), 1), 1);
	assert_int_equal(in_clients_enter(in_limit_credential(7), 1), 0);
	assert_int_equal(in_clients_enter(in_limit_client(&v4), 1), 1);
	assert_int_equal(in_clients_enter(in_limit_client(&v6), 1), 1);
	assert_int_equal(in_clients_enter(in_limit_credential(8), 1), 1);
	in_clients_leave(in_limit_credential(7));
	in_clients_leave(in_limit_credential(8));
	in_clients_leave(in_limit_client(&v4));
	in_clients_leave(in_limit_client(&v6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_address_has_its_own_count),
	    cmocka_unit_test(ipv6_counts_by_64_and_mapped_ipv4_as_ipv4),
	    cmocka_unit_test(thousands_of_addresses_find_their_place_and_leave_it),
	    cmocka_unit_test(a_credential_is_no_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
