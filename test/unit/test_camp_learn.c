/* SPDX-License-Identifier: Apache-2.0 */
/* Three proofs become a source, or are refused with the place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "campaign/camp_learn.h"
#include "core/err.h"

static const char *const names[] = {"name", "code", "mail"};

static struct camp_learn_proof proofs[3];
static struct camp_learn_part parts[3][2];

/* html: of each proof. */
static void set(const char *a, const char *b, const char *c)
{
	static const char *const values[3][3] = {{"Ann", "A1", "ann@example.com"},
						 {"O'Neil & Sons", "ZZ-9", "o@example.net"},
						 {"Chlo\xc3\xab", "Q7_x", "chloe@example.org"}};
	static const char *const subjects[3] = {"News for Ann", "News for O'Neil & Sons", "News for Chlo\xc3\xab"};
	static const char *const files[3] = {"one.eml", "two.eml", "three.eml"};
	const char *html[3] = {a, b, c};
	unsigned i, k;

	memset(parts, 0, sizeof(parts));
	memset(proofs, 0, sizeof(proofs));
	for (i = 0; i < 3; i++) {
		parts[i][0] = (struct camp_learn_part){.type = "text/html", .is_text = 1, .text = span_str(html[i]), .name = "",
						       .cid = "", .disposition = ""};
		parts[i][1] = (struct camp_learn_part){.type = "application/pdf", .name = "a.pdf", .cid = "", .size = 7,
						       .disposition = "attachment"};
		proofs[i] = (struct camp_learn_proof){.name = files[i], .subject = span_str(subjects[i]), .from_addr = "a@shop.example",
						      .from_name = "Shop", .rcpt = values[i][2], .part = parts[i], .n_parts = 2};
		for (k = 0; k < 3; k++)
			proofs[i].value[k] = span_str(values[i][k]);
	}
}

#define GOOD(n, c, m) "<p>Hi " n "! <a href=\"https://shop.example/?c=" c "\">x</a> {{ " m "</p>"

static void what_differs_by_a_value_is_its_field(void **state)
{
	struct camp_learn_error e;
	json_t *s, *part;

	(void)state;
	set(GOOD("Ann", "A1", "ann@example.com"), GOOD("O&#39;Neil &amp; Sons", "ZZ-9", "o@example.net"),
	    GOOD("Chlo\xc3\xab", "Q7_x", "chloe@example.org"));
	if (camp_learn(proofs, 3, names, 3, &s, &e) != 0)
		fail_msg("%s: %s", e.place, e.text);
	assert_string_equal(json_string_value(json_object_get(s, "subject")), "News for {{name}}");
	part = json_array_get(json_object_get(s, "parts"), 0);
	assert_string_equal(json_string_value(json_object_get(part, "text")),
			    "<p>Hi {{name}}! <a href=\"https://shop.example/?c={{code}}\">x</a> {{{ {{mail}}</p>");
	assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(s, "parts"), 1), "name")), "a.pdf");
	part = json_object_get(s, "fields");
	assert_string_equal(json_string_value(json_object_get(json_object_get(part, "code"), "type")), "code");
	assert_string_equal(json_string_value(json_object_get(json_object_get(part, "mail"), "type")), "rcpt-email");
	json_decref(s);
}

static void refused(const char *place, const char *text)
{
	struct camp_learn_error e = {"", ""};
	json_t *s;

	assert_int_equal(camp_learn(proofs, 3, names, 3, &s, &e), ERR_FORMAT);
	assert_null(s);
	if (!strstr(e.place, place) || !strstr(e.text, text))
		fail_msg("%s: %s", e.place, e.text);
}

static void what_nobody_explained_is_refused_with_its_place(void **state)
{
	(void)state;
	set(GOOD("Ann", "A1", "ann@example.com"), GOOD("O&#39;Neil &amp; Sons", "ZZ-9", "o@example.net"),
	    "<p>Hi Chlo\xc3\xab! <b");
	refused("parts[0] of three.eml, line 1, column 15", "no field's value explains it");
	set("<p>\n1 Ann A1 ann@example.com", "<p>\n2 O'Neil & Sons ZZ-9 o@example.net", "<p>\n3 Chlo\xc3\xab Q7_x chloe@example.org");
	refused("line 2, column 1", "no field's value explains it");
	/* one proof goes on */
	set("Ann A1 ann@example.com", "O'Neil & Sons ZZ-9 o@example.net", "Chlo\xc3\xab Q7_x chloe@example.org and more");
	refused("three.eml", "no field's value explains it");
}

static void what_is_ambiguous_is_refused(void **state)
{
	(void)state;
	set("x", "x", "x");
	proofs[1].value[1] = proofs[0].value[1];
	refused("code", "same value in two proofs");
	set("x", "x", "x");
	proofs[1].value[0] = span_of(NULL, 0);
	refused("name", "no value");
	set("x", "x", "x");
	refused("code", "in none of the texts");
	/* two fields with the same values */
	set("x", "x", "x");
	proofs[0].value[1] = proofs[0].value[0];
	proofs[1].value[1] = proofs[1].value[0];
	proofs[2].value[1] = proofs[2].value[0];
	refused("subject", "two fields could stand here");
	set("{Ann", "{O'Neil & Sons", "{Chlo\xc3\xab");
	refused("parts[0]", "brace");
}

static void proofs_of_different_shape_are_refused(void **state)
{
	struct camp_learn_error e;
	json_t *s;

	(void)state;
	set("x", "x", "x");
	parts[2][1].size = 8;
	refused("three.eml", "a file differs");
	set("x", "x", "x");
	proofs[1].n_parts = 1;
	refused("two.eml", "number of parts");
	set("x", "x", "x");
	proofs[1].from_addr = "b@shop.example";
	refused("two.eml", "another From");
	set("x", "x", "x");
	assert_int_equal(camp_learn(proofs, 2, names, 3, &s, &e), ERR_FORMAT);
	assert_string_equal(e.place, "proofs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_differs_by_a_value_is_its_field),
		cmocka_unit_test(what_nobody_explained_is_refused_with_its_place),
		cmocka_unit_test(what_is_ambiguous_is_refused),
		cmocka_unit_test(proofs_of_different_shape_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
