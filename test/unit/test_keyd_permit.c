/* SPDX-License-Identifier: Apache-2.0 */
/* Every role x socket x operation x subject against a second writing of the table: what is not
 * listed here must be denied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keyd/keyd_permit.h"
#include "keyproto/keyproto_msg.h"

/* "role socket op subject"; "-": no subject. */
static const char *const allowed[] = {
    "relay use hello -",
    "relay use status -",
    "relay use derive-new spool",
    "relay use derive-existing spool",
    "relay use seal-fields field",
    "relay use seal-fields cred",
    "relay use open-fields field",
    "relay use open-fields cred",
    "relay use blind-index index",
    "relay use sign tls/relay",
    "relay use public-key tls/relay",
    "relay use public-key dkim/a",
    "relay use public-key campaign/1",
    "milter use hello -",
    "milter use status -",
    "milter use verify-mac campaign/1",
    "officer admin hello -",
    "officer admin status -",
    "officer admin init -",
    "officer admin unseal -",
    "officer admin lock -",
    "officer admin customer-add -",
    "officer admin key-add tls/relay",
    "officer admin key-add dkim/a",
    "officer admin key-add campaign/1",
    "officer admin key-list -",
    "officer admin public-key tls/relay",
    "officer admin public-key dkim/a",
    "officer admin public-key campaign/1",
    "officer admin sign tls/relay",
    "officer admin mac campaign/1",
    "operator admin hello -",
    "operator admin status -",
    "operator admin unseal -",
    "operator admin lock -",
    "operator admin key-list -",
    "operator admin public-key tls/relay",
    "operator admin public-key dkim/a",
    "operator admin public-key campaign/1",
    "auditor admin hello -",
    "auditor admin status -",
    "auditor admin key-list -",
};

/* Which subjects make sense for an operation; others are tried too. */
static const char *const labels[] = {"tls/relay", "dkim/a", "campaign/1"};

static int takes_label(unsigned op)
{
	return op == KEYPROTO_SIGN || op == KEYPROTO_PUBLIC_KEY || op == KEYPROTO_KEY_ADD ||
	       op == KEYPROTO_MAC || op == KEYPROTO_VERIFY_MAC;
}

static int listed(unsigned role, unsigned socket, unsigned op, const char *subject)
{
	char line[200];

	snprintf(line, sizeof(line), "%s %s %s %s", keyproto_role_name(role),
		 socket == KEYD_PERMIT_USE ? "use" : "admin", keyproto_op_name(op), subject);
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (!strcmp(line, allowed[i]))
			return 1;
	return 0;
}

/* What this file says; odd roles, sockets and operations are in no line. */
static int expected(unsigned role, unsigned socket, unsigned op, const char *subject)
{
	if (!keyproto_role_name(role) || !keyproto_op_name(op) ||
	    (socket != KEYD_PERMIT_USE && socket != KEYD_PERMIT_ADMIN))
		return 0;
	return listed(role, socket, op, subject);
}

static void what_is_not_listed_is_denied(void **state)
{
	unsigned yes = 0;

	(void)state;
	for (unsigned role = 0; role < 8; role++) {
		for (unsigned socket = 0; socket < 4; socket++) {
			for (unsigned op = 0; op < 80; op++) {
				int got = keyd_permit(role, socket, op, span_of(NULL, 0));
				assert_int_equal(got, expected(role, socket, op, "-"));
				yes += (unsigned)got;
				for (unsigned p = 1; p <= KEYPROTO_FOR_HMAC; p++) {
					const char *name = keyproto_purpose_name(p);
					if (takes_label(op))
						continue;
					got = keyd_permit(role, socket, op, span_str(name));
					assert_int_equal(got, expected(role, socket, op, name));
					yes += (unsigned)got;
				}
				for (unsigned i = 0; i < 3; i++) {
					got = keyd_permit(role, socket, op, span_str(labels[i]));
					assert_int_equal(got,
							 expected(role, socket, op, labels[i]));
					yes += (unsigned)got;
				}
			}
		}
	}
	assert_int_equal(yes, sizeof(allowed) / sizeof(allowed[0]));
}

static void a_prefix_needs_something_behind_it_and_is_not_found_elsewhere(void **state)
{
	static const struct {
		const char *label;
		int allowed;
	} rows[] = {{"tls/relay", 1},  {"tls/a/b", 1},	      {"tls/", 0},    {"tls", 0},
		    {"tlsx/relay", 0}, {"dkim/tls/relay", 0}, {"jwt/api", 0}, {"", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(keyd_permit(KEYPROTO_ROLE_RELAY, KEYD_PERMIT_USE, KEYPROTO_SIGN,
					     span_str(rows[i].label)),
				 rows[i].allowed);
}

static void any_says_yes_exactly_where_some_row_does(void **state)
{
	(void)state;
	for (unsigned role = 0; role < 8; role++) {
		for (unsigned socket = 0; socket < 4; socket++) {
			for (unsigned op = 0; op < 80; op++) {
				const struct keyd_permit_row *row;
				int some = 0;
				for (unsigned i = 0; (row = keyd_permit_row(i)) != NULL; i++)
					some |= row->role == role && row->socket == socket &&
						row->op == op;
				assert_int_equal(keyd_permit_any(role, socket, op), some);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_not_listed_is_denied),
	    cmocka_unit_test(a_prefix_needs_something_behind_it_and_is_not_found_elsewhere),
	    cmocka_unit_test(any_says_yes_exactly_where_some_row_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
