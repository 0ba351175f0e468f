/* SPDX-License-Identifier: Apache-2.0 */
/* TLSA records of a host: which can be used, and what stands for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "relay/out/out_tlsa.h"
#include "test/unit/pki.h"

static struct pki pki;
static struct out_dnsmsg msg;

static int setup(void **state)
{
	(void)state;
	pki_make(&pki, "EC", "mx.there.test");
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	pki_clear(&pki);
	return 0;
}

static struct out_dnsmsg_tlsa record(unsigned usage, unsigned selector, unsigned match, size_t len, uint8_t fill)
{
	struct out_dnsmsg_tlsa r = {.usage = (uint8_t)usage,
				    .selector = (uint8_t)selector,
				    .match = (uint8_t)match,
				    .len = (uint16_t)len};

	memset(r.data, fill, len);
	return r;
}

static void usages_selectors_and_digests_that_mean_something_to_mail_are_usable(void **state)
{
	static const struct {
		unsigned usage, selector, match;
		size_t len;
		enum out_tlsa_kind kind;
	} rows[] = {
	    {3, 1, 1, 32, OUT_TLSA_KIND_USABLE},     {3, 0, 1, 32, OUT_TLSA_KIND_USABLE},
	    {3, 1, 2, 64, OUT_TLSA_KIND_USABLE},     {2, 0, 1, 32, OUT_TLSA_KIND_USABLE},
	    {2, 1, 2, 64, OUT_TLSA_KIND_USABLE},     {0, 1, 1, 32, OUT_TLSA_KIND_UNUSABLE},
	    {1, 1, 1, 32, OUT_TLSA_KIND_UNUSABLE},   {4, 1, 1, 32, OUT_TLSA_KIND_UNUSABLE},
	    {255, 1, 1, 32, OUT_TLSA_KIND_UNUSABLE}, {3, 2, 1, 32, OUT_TLSA_KIND_UNUSABLE},
	    {3, 255, 1, 32, OUT_TLSA_KIND_UNUSABLE}, {3, 1, 3, 32, OUT_TLSA_KIND_UNUSABLE},
	    {3, 1, 255, 1, OUT_TLSA_KIND_UNUSABLE},  {3, 1, 1, 31, OUT_TLSA_KIND_MALFORMED},
	    {3, 1, 1, 33, OUT_TLSA_KIND_MALFORMED},  {3, 1, 1, 64, OUT_TLSA_KIND_MALFORMED},
	    {3, 1, 2, 32, OUT_TLSA_KIND_MALFORMED},  {2, 0, 2, 1, OUT_TLSA_KIND_MALFORMED},
	    {3, 0, 0, 100, OUT_TLSA_KIND_MALFORMED}, {3, 1, 0, 100, OUT_TLSA_KIND_MALFORMED},
	    {0, 0, 0, 1, OUT_TLSA_KIND_UNUSABLE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct out_dnsmsg_tlsa r =
		    record(rows[i].usage, rows[i].selector, rows[i].match, rows[i].len, 0xab);
		if (out_tlsa_kind(&r) != rows[i].kind)
			fail_msg("row %zu: %d", i, out_tlsa_kind(&r));
	}
}

static void a_whole_certificate_or_key_must_be_one_to_its_last_octet(void **state)
{
	struct out_dnsmsg_tlsa r = record(3, 0, 0, 0, 0);
	uint8_t *p = r.data;
	int n = i2d_X509(pki.leaf, NULL);

	(void)state;
	assert_true(n > 0 && (size_t)n < sizeof(r.data));
	i2d_X509(pki.leaf, &p);
	r.len = (uint16_t)n;
	assert_int_equal(out_tlsa_kind(&r), OUT_TLSA_KIND_USABLE);
	r.len++;
	assert_int_equal(out_tlsa_kind(&r), OUT_TLSA_KIND_MALFORMED);
	r.len = (uint16_t)(n - 1);
	assert_int_equal(out_tlsa_kind(&r), OUT_TLSA_KIND_MALFORMED);
	r.selector = 1; /* a certificate is no key */
	r.len = (uint16_t)n;
	assert_int_equal(out_tlsa_kind(&r), OUT_TLSA_KIND_MALFORMED);
	p = r.data;
	r.len = (uint16_t)i2d_PUBKEY(pki.key, &p);
	assert_int_equal(out_tlsa_kind(&r), OUT_TLSA_KIND_USABLE);
	r.selector = 0;
	assert_int_equal(out_tlsa_kind(&r), OUT_TLSA_KIND_MALFORMED);
}

static void an_answer_is_sorted_and_counted(void **state)
{
	struct out_tlsa *t;

	(void)state;
	memset(&msg, 0, sizeof(msg));
	msg.count = 4;
	msg.void_records = 2;
	msg.tlsa[0] = record(3, 1, 1, 32, 1);
	msg.tlsa[1] = record(1, 1, 1, 32, 2);
	msg.tlsa[2] = record(3, 1, 1, 30, 3);
	msg.tlsa[3] = record(2, 0, 2, 64, 4);
	t = out_tlsa_make("mx.there.test", &msg);
	assert_non_null(t);
	assert_int_equal(t->usable, 2);
	assert_int_equal(t->unusable, 1);
	assert_int_equal(t->malformed, 3);
	assert_string_equal(t->base, "mx.there.test");
	assert_int_equal(t->records[0].usage, 2);
	assert_int_equal(t->records[0].data[63], 4);
	assert_int_equal(t->records[1].usage, 3);
	out_tlsa_unref(out_tlsa_ref(t));
	assert_int_equal(t->records[1].data[31], 1);
	out_tlsa_unref(t);
}

/* TLS sessions are kept by it: the same records in another order are the same, any other are not. */
static void the_digest_is_of_name_and_records_not_of_their_order(void **state)
{
	struct out_tlsa *a, *b;

	(void)state;
	memset(&msg, 0, sizeof(msg));
	msg.count = 2;
	msg.tlsa[0] = record(3, 1, 1, 32, 1);
	msg.tlsa[1] = record(3, 1, 1, 32, 2);
	a = out_tlsa_make("mx.there.test", &msg);
	msg.tlsa[0] = record(3, 1, 1, 32, 2);
	msg.tlsa[1] = record(3, 1, 1, 32, 1);
	b = out_tlsa_make("mx.there.test", &msg);
	assert_int_equal(strlen(a->digest), OUT_TLSA_DIGEST - 1);
	assert_string_equal(a->digest, b->digest);
	out_tlsa_unref(b);
	b = out_tlsa_make("mx2.there.test", &msg);
	assert_string_not_equal(a->digest, b->digest);
	out_tlsa_unref(b);
	msg.count = 1;
	b = out_tlsa_make("mx.there.test", &msg);
	assert_string_not_equal(a->digest, b->digest);
	out_tlsa_unref(b);
	out_tlsa_unref(a);
}

static void names_and_texts_are_as_the_dns_has_them(void **state)
{
	char name[OUT_TLSA_NAME], base[OUT_MX_NAME], text[128];
	static const uint8_t data[] = {0x01, 0xab, 0xff};
	struct evt_conn_tlsa r = {.usage = 3, .selector = 1, .match = 1, .len = 3, .data = data};

	(void)state;
	assert_int_equal(out_tlsa_name(name, 25, "mx.there.test"), 0);
	assert_string_equal(name, "_25._tcp.mx.there.test");
	memset(base, 'a', sizeof(base) - 1);
	base[sizeof(base) - 1] = '\0';
	assert_int_equal(out_tlsa_name(name, 25, base), ERR_LIMIT);
	base[243] = '\0';
	assert_int_equal(out_tlsa_name(name, 25, base), 0);
	assert_int_equal(out_tlsa_text(text, sizeof(text), &r), 12);
	assert_string_equal(text, "3 1 1 01abff");
	assert_int_equal(out_tlsa_text(text, 10, &r), 8);
	assert_string_equal(text, "3 1 1 01");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(usages_selectors_and_digests_that_mean_something_to_mail_are_usable),
	    cmocka_unit_test(a_whole_certificate_or_key_must_be_one_to_its_last_octet),
	    cmocka_unit_test(an_answer_is_sorted_and_counted),
	    cmocka_unit_test(the_digest_is_of_name_and_records_not_of_their_order),
	    cmocka_unit_test(names_and_texts_are_as_the_dns_has_them),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
