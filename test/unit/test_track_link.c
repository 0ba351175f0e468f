/* SPDX-License-Identifier: Apache-2.0 */
/* Where links lead: what manifests say, with values of fields put in; whatever they hold, the host stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "core/err.h"
#include "relay/campaign/campaign.h"
#include "relay/track/track_own.h"
#include "seal/seal_track.h"

/* The one campaign there is: number 7, of shop. */
static const char *manifest_url;
static int away;

int campaign_find(struct relay *r, uint32_t number, struct campaign_about *out)
{
	(void)r;
	if (away || number != 7)
		return away ? ERR_AWAY : ERR_NOTFOUND;
	*out = (struct campaign_about){.customer = "shop", .campaign = "autumn", .version = 1, .links = 4};
	return 0;
}

int campaign_link(struct relay *r, uint32_t number, unsigned index, char url[CAMPAIGN_URL_MAX + 1],
		  struct campaign_about *about)
{
	int err = campaign_find(r, number, about);

	if (err == 0 && index >= about->links)
		err = ERR_NOTFOUND;
	if (err == 0)
		snprintf(url, CAMPAIGN_URL_MAX + 1, "%s", manifest_url);
	return err;
}

static char dst[4096];

static int link_with(const char *url, const char *const *values, unsigned count)
{
	struct seal_track t = {.n = 0};

	manifest_url = url;
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(seal_track_field_put(&t, span_str(values[i])), 0);
	return track_link(NULL, "shop", 7, 0, span_of(t.field, t.n), dst, sizeof(dst));
}

static void a_link_without_fields_is_what_the_manifest_says(void **state)
{
	static const char *const urls[] = {"https://www.shop.example/", "https://www.shop.example:8443/a%20b?c=%7B&d#e",
					   "http://shop.example/a{", "https://shop.example/x}y"};

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		assert_int_equal(link_with(urls[i], NULL, 0), 0);
		assert_string_equal(dst, urls[i]);
	}
}

static void values_are_put_in_and_are_never_more_than_values(void **state)
{
	static const struct {
		const char *value, *want;
	} rows[] = {{"X7Q2", "X7Q2"}, {"", ""}, {"a-b._~", "a-b._~"}, {"/../../x", "%2F..%2F..%2Fx"}, {"?&=#;", "%3F%26%3D%23%3B"},
		    {"https://evil.example/", "https%3A%2F%2Fevil.example%2F"}, {"@evil.example", "%40evil.example"},
		    {"%2e%2e", "%252e%252e"}, {"\xc3\xa4", "%C3%A4"}, {"\r\nSet-Cookie: x", "%0D%0ASet-Cookie%3A%20x"},
		    {"{b}", "%7Bb%7D"}, {"\\\"'<>", "%5C%22%27%3C%3E"}};
	char want[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(link_with("https://www.shop.example/v?code={code}&x=1", &rows[i].value, 1), 0);
		snprintf(want, sizeof(want), "https://www.shop.example/v?code=%s&x=1", rows[i].want);
		assert_string_equal(dst, want);
	}
}

static void several_values_come_in_order(void **state)
{
	static const char *const values[] = {"one", "two", "three"};

	(void)state;
	assert_int_equal(link_with("https://s.example/{a}/{b}?{a}", values, 3), 0);
	assert_string_equal(dst, "https://s.example/one/two?three");
	assert_int_equal(link_with("https://s.example/{a}/{b}?{a}", values, 2), ERR_NOTFOUND);
	assert_int_equal(link_with("https://s.example/{a}", NULL, 0), ERR_NOTFOUND);
}

static void no_value_ever_stands_in_the_host(void **state)
{
	static const char *const urls[] = {"https://{a}.shop.example/", "https://{a}/", "https://shop.example:{a}/",
					   "https://shop.example{a}", "{a}://shop.example/", "{a}"};
	const char *value = "evil.example";

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		if (link_with(urls[i], &value, 1) == 0)
			assert_true(!strncmp(dst, "https://shop.example", 20) && strchr("/?#", dst[20]));
}

static void another_customers_campaign_is_none(void **state)
{
	(void)state;
	manifest_url = "https://www.shop.example/";
	assert_int_equal(track_link(NULL, "other", 7, 0, span_of(NULL, 0), dst, sizeof(dst)), ERR_NOTFOUND);
	assert_string_equal(dst, "");
	assert_int_equal(track_link(NULL, "shop", 8, 0, span_of(NULL, 0), dst, sizeof(dst)), ERR_NOTFOUND);
	assert_int_equal(track_link(NULL, "shop", 7, 4, span_of(NULL, 0), dst, sizeof(dst)), ERR_NOTFOUND);
	manifest_url = ""; /* a link that is not tracked */
	assert_int_equal(track_link(NULL, "shop", 7, 0, span_of(NULL, 0), dst, sizeof(dst)), ERR_NOTFOUND);
	away = 1;
	assert_int_equal(track_link(NULL, "shop", 7, 0, span_of(NULL, 0), dst, sizeof(dst)), ERR_AWAY);
	away = 0;
}

static void a_link_that_does_not_fit_is_refused_whole(void **state)
{
	const char *value = "0123456789\xff";
	struct seal_track t = {.n = 0};
	char small[40];

	(void)state;
	manifest_url = "https://s.example/{a}";
	seal_track_field_put(&t, span_str(value));
	for (size_t size = 1; size <= sizeof(small); size++) {
		int err = track_link(NULL, "shop", 7, 0, span_of(t.field, t.n), small, size);
		assert_int_equal(err, size <= 31 ? ERR_LIMIT : 0);
		assert_true(strlen(small) < size);
	}
	assert_string_equal(small, "https://s.example/0123456789%FF");
}

static void what_is_not_known_has_no_name_and_no_links(void **state)
{
	char name[TRACK_NAME];

	(void)state;
	assert_int_equal(track_link_count(NULL, 7), 4);
	assert_int_equal(track_link_count(NULL, 8), 0);
	track_link_campaign(NULL, 7, name);
	assert_string_equal(name, "autumn");
	track_link_campaign(NULL, 8, name);
	assert_string_equal(name, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_link_without_fields_is_what_the_manifest_says),
	    cmocka_unit_test(values_are_put_in_and_are_never_more_than_values),
	    cmocka_unit_test(several_values_come_in_order),
	    cmocka_unit_test(no_value_ever_stands_in_the_host),
	    cmocka_unit_test(another_customers_campaign_is_none),
	    cmocka_unit_test(a_link_that_does_not_fit_is_refused_whole),
	    cmocka_unit_test(what_is_not_known_has_no_name_and_no_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
