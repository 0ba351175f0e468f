/* SPDX-License-Identifier: Apache-2.0 */
#undef free /* of in_tx.c alone */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <malloc.h>

#include <cmocka.h>

#include "relay/in/in_tx.h"

static struct smtp_addr addr(const char *text)
{
	struct smtp_addr a;

	assert_true(smtp_addr_parse(span_str(text), 0, &a) > 0);
	return a;
}

static void thousands_of_recipients_are_kept_in_order_and_repeated_ones_once(void **state)
{
	struct in_tx tx;
	char text[64];

	(void)state;
	in_tx_init(&tx);
	for (int round = 0; round < 2; round++) { /* the second time after a reset */
		for (int i = 0; i < 3000; i++) {
			struct smtp_addr a;
			snprintf(text, sizeof(text), "user%d@Host.Example", i);
			a = addr(text);
			assert_int_equal(in_tx_add(&tx, &a), 1);
			assert_int_equal(in_tx_add(&tx, &a), 0);
		}
		assert_int_equal(tx.envelope.count, 3000);
		for (int i = 0; i < 3000; i++) {
			snprintf(text, sizeof(text), "user%d@host.example", i);
			assert_string_equal(tx.envelope.recipients[i].address, text);
		}
		in_tx_reset(&tx);
		assert_int_equal(tx.envelope.count, 0);
		assert_null(tx.envelope.sender);
	}
}

/* in_tx frees through this: nothing that held an address goes back to the allocator as it was. */
void test_in_tx_free(void *p);
static int freed;
void test_in_tx_free(void *p)
{
	if (p && memmem(p, malloc_usable_size(p), "canary", 6))
		fail_msg("an address was given to the allocator");
	freed += p != NULL;
	free(p);
}

static void a_reset_leaves_no_address_behind(void **state)
{
	struct in_tx tx;
	struct smtp_addr a = addr("canary@example.com");

	(void)state;
	in_tx_init(&tx);
	assert_int_equal(in_tx_sender(&tx, &a), 0);
	assert_int_equal(in_tx_add(&tx, &a), 1);
	freed = 0;
	in_tx_reset(&tx);
	assert_int_equal(freed, 1);
	assert_null(memmem(&tx, sizeof(tx), "canary", 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(thousands_of_recipients_are_kept_in_order_and_repeated_ones_once),
	    cmocka_unit_test(a_reset_leaves_no_address_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
