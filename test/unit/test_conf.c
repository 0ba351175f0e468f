/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf_peek.h"
#include "conf/conf_schema.h"
#include "core/err.h"
#include "core/num.h"

struct item {
	char *address;
	int mode;
};
struct sample {
	char *host, *state, *secret;
	int flag;
	int64_t count, wait;
	uint64_t size;
	struct num_rate rate;
	struct conf_list listen, nets, peers;
	struct {
		char *ca;
		int64_t port;
	} out;
};

static const struct conf_choice modes[] = {{"smarthost", 1}, {"submission", 2}, {NULL, 0}};
static const struct conf_key item_keys[] = {
    {.name = "address", .type = CONF_STRING, .offset = offsetof(struct item, address), .required = 1},
    {.name = "mode", .type = CONF_ENUM, .offset = offsetof(struct item, mode), .choices = modes,
     .fallback = "submission"},
    {0}};
static const struct conf_key out_keys[] = {
    {.name = "ca", .type = CONF_PATH, .offset = offsetof(struct sample, out.ca) - offsetof(struct sample, out)},
    {.name = "port", .type = CONF_INT, .offset = offsetof(struct sample, out.port) - offsetof(struct sample, out),
     .fallback = "25", .min = 1, .max = 65535},
    {0}};
static const char *check_item(void *item)
{
	const struct item *i = item;

	return i->mode == 1 && !strcmp(i->address, "*") ? "a smarthost has an address" : NULL;
}

static const struct conf_key keys[] = {
    {.name = "hostname", .type = CONF_STRING, .offset = offsetof(struct sample, host), .required = 1},
    {.name = "state", .type = CONF_PATH, .offset = offsetof(struct sample, state)},
    {.name = "password", .type = CONF_SECRET, .offset = offsetof(struct sample, secret)},
    {.name = "flag", .type = CONF_BOOL, .offset = offsetof(struct sample, flag), .fallback = "yes"},
    {.name = "count", .type = CONF_INT, .offset = offsetof(struct sample, count), .min = 1, .max = 10,
     .fallback = "3"},
    {.name = "wait", .type = CONF_DURATION, .offset = offsetof(struct sample, wait), .fallback = "5m",
     .min = 1000000, .max = INT64_C(86400000000)},
    {.name = "size", .type = CONF_SIZE, .offset = offsetof(struct sample, size), .fallback = "50M"},
    {.name = "rate", .type = CONF_RATE, .offset = offsetof(struct sample, rate), .fallback = ""},
    {.name = "listen", .type = CONF_LIST, .offset = offsetof(struct sample, listen), .sub = item_keys,
     .item_size = sizeof(struct item), .check_item = check_item, .shorthand = 1},
    {.name = "nets", .type = CONF_STRINGS, .offset = offsetof(struct sample, nets)},
    {.name = "peers", .type = CONF_FREE_MAP, .offset = offsetof(struct sample, peers)},
    {.name = "out", .type = CONF_MAP, .offset = offsetof(struct sample, out), .sub = out_keys},
    {0}};

static int parse(const char *text, struct sample *s, char *err)
{
	memset(s, 0, sizeof(*s));
	return conf_parse("test.yaml", span_str(text), keys, s, err);
}

static void a_plain_scalar_may_stand_for_an_item(void **state)
{
	struct sample s;
	struct item *l;
	char err[CONF_ERR_MAX];

	(void)state;
	assert_int_equal(parse("hostname: h\nlisten: [one, {address: two, mode: smarthost}]\n", &s, err),
			 0);
	l = s.listen.items;
	assert_int_equal(s.listen.count, 2);
	assert_string_equal(l[0].address, "one");
	assert_int_equal(l[0].mode, 2);
	assert_string_equal(l[1].address, "two");
	conf_free(keys, &s);
	assert_int_equal(parse("hostname: h\nlisten: [[one]]\n", &s, err), ERR_CONFIG);
}

static void a_full_file_fills_the_struct(void **state)
{
	struct sample s;
	char err[CONF_ERR_MAX];
	struct item *items;
	struct conf_pair *pair;

	(void)state;
	assert_int_equal(parse("hostname: a.example\nflag: no\ncount: 7\nwait: 2h\nrate: 1,000/hr\n"
			       "password: !sealed sp1:abcd\n"
			       "listen:\n  - {address: \"127.0.0.1:25\", mode: smarthost}\n"
			       "  - {address: \"[::1]:25\"}\nnets: [\"10.0.0.0/8\", \"::1\"]\n"
			       "peers: {root: [officer, auditor], \"1000\": relay}\nout: {port: 2525}\n",
			       &s, err),
			 0);
	assert_string_equal(s.host, "a.example");
	assert_int_equal(s.flag, 0);
	assert_int_equal(s.count, 7);
	assert_int_equal(s.wait, INT64_C(7200000000));
	assert_int_equal(s.size, 52428800);
	assert_int_equal(s.rate.count, 1000);
	assert_int_equal(s.rate.window, INT64_C(3600000000));
	assert_string_equal(s.secret, "sp1:abcd");
	assert_int_equal(s.listen.count, 2);
	items = s.listen.items;
	assert_int_equal(items[0].mode, 1);
	assert_int_equal(items[1].mode, 2);
	assert_string_equal(items[1].address, "[::1]:25");
	assert_int_equal(s.nets.count, 2);
	pair = s.peers.items;
	assert_int_equal(s.peers.count, 2);
	assert_int_equal(pair[0].values.count, 2);
	assert_string_equal(((char **)pair[0].values.items)[1], "auditor");
	assert_string_equal(pair[1].key, "1000");
	assert_int_equal(s.out.port, 2525);
	conf_free(keys, &s);
}

static void every_mistake_names_file_line_and_key(void **state)
{
	static const struct {
		const char *text, *err;
	} rows[] = {
	    {"hostname: a\nhostnme: b\n", "test.yaml:2: hostnme: unknown key; did you mean \"hostname\"?"},
	    {"hostname: a\nzzz: b\n", "test.yaml:2: zzz: unknown key"},
	    {"hostname: a\ncount: many\n", "test.yaml:2: count: must be a whole number"},
	    {"hostname: a\ncount: 11\n", "test.yaml:2: count: must lie between 1 and 10"},
	    {"hostname: a\n\nwait: 2 parsecs\n",
	     "test.yaml:3: wait: must be a duration such as 90s, 5m, 4h or 5d"},
	    {"hostname: a\nwait: 2d\n", "test.yaml:2: wait: must lie between 1s and 1d"},
	    {"hostname: a\nrate: 5/w\n", "test.yaml:2: rate: must be a rate such as 100/15m, 1,000/h, 10/min or "
					  "5/s, or empty"},
	    {"hostname: a\nflag: maybe\n", "test.yaml:2: flag: must be yes or no"},
	    {"hostname: a\nlisten:\n  - address: x\n    mode: open\n",
	     "test.yaml:4: listen[0].mode: must be one of smarthost, submission"},
	    {"hostname: a\nlisten:\n  - mode: smarthost\n",
	     "test.yaml:4: listen[0]: key \"address\" is missing"},
	    {"hostname: a\nlisten:\n  - address: \"*\"\n  - address: \"*\"\n    mode: smarthost\nflag: no\n",
	     "test.yaml:4: listen[1]: a smarthost has an address"},
	    {"hostname: a\nhostname: b\n", "test.yaml:2: hostname: the same key twice"},
	    {"hostname: [a]\n", "test.yaml:1: hostname: takes one value, not a list"},
	    {"hostname: a\nlisten: x\n", "test.yaml:2: listen: takes a list"},
	    {"hostname: &x a\n", "test.yaml:1: hostname: anchors are not used here"},
	    {"hostname: !!str a\n", "test.yaml:1: hostname: tags are not used here"},
	    {"hostname: a\npassword: !sealed x\n", "test.yaml:2: password: a !sealed value begins with sp1:"},
	    {"hostname: \"\"\n", "test.yaml:1: hostname: must not be empty"},
	    {"hostname: a\nout: {port: 0}\n", "test.yaml:2: out.port: must lie between 1 and 65535"},
	    {"", "test.yaml:1: the file is empty"},
	    {"count: 1\n", "test.yaml:2: key \"hostname\" is missing"},
	    {"hostname: a\n---\nhostname: b\n", "test.yaml:2: one document only"},
	};
	struct sample s;
	char err[CONF_ERR_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i].text, &s, err), ERR_CONFIG);
		assert_string_equal(err, rows[i].err);
	}
	assert_int_equal(parse("nets: [a\n", &s, err), ERR_CONFIG);
	assert_non_null(strstr(err, "test.yaml:2: did not find expected"));
}

static void the_dump_reads_back_as_the_same_configuration(void **state)
{
	struct sample s;
	char err[CONF_ERR_MAX];
	struct buf one, two;

	(void)state;
	buf_init(&one, 65536);
	buf_init(&two, 65536);
	assert_int_equal(parse("hostname: a b\nwait: 90s\nlisten: [{address: \"*\"}]\npeers: {a: b}\n"
			       "nets: [\"::1\"]\nsize: 3000\n",
			       &s, err),
			 0);
	assert_int_equal(conf_dump(keys, &s, &one), 0);
	conf_free(keys, &s);
	memset(&s, 0, sizeof(s));
	assert_int_equal(conf_parse("dump", buf_span(&one), keys, &s, err), 0);
	assert_int_equal(conf_dump(keys, &s, &two), 0);
	assert_true(span_equal(buf_span(&one), buf_span(&two)));
	conf_free(keys, &s);
	buf_clear(&one);
	buf_clear(&two);
}

static void a_secret_is_never_dumped(void **state)
{
	struct sample s;
	char err[CONF_ERR_MAX];
	struct buf out;

	(void)state;
	buf_init(&out, 65536);
	assert_int_equal(parse("hostname: a\npassword: hunter2\n", &s, err), 0);
	assert_int_equal(conf_dump(keys, &s, &out), 0);
	buf_put(&out, "", 1);
	assert_null(strstr((const char *)buf_ptr(&out), "hunter2"));
	assert_non_null(strstr((const char *)buf_ptr(&out), "password: (set)"));
	conf_free(keys, &s);
	buf_clear(&out);
}

static void a_change_of_one_key_is_seen_and_of_no_other(void **state)
{
	static const char text[] = "hostname: a\nlisten: [{address: x}]\nnets: [\"::1\"]\nout: {port: 26}\n";
	static const struct {
		const char *text, *key, *other;
	} changes[] = {
	    {"hostname: b\nlisten: [{address: x}]\nnets: [\"::1\"]\nout: {port: 26}\n", "hostname", "listen"},
	    {"hostname: a\nlisten: [{address: y}]\nnets: [\"::1\"]\nout: {port: 26}\n", "listen", "nets"},
	    {"hostname: a\nlisten: [{address: x}, y]\nnets: [\"::1\"]\nout: {port: 26}\n", "listen", "out"},
	    {"hostname: a\nlisten: [{address: x}]\nout: {port: 26}\n", "nets", "listen"},
	    {"hostname: a\nlisten: [{address: x}]\nnets: [\"::1\"]\nout: {port: 27}\n", "out.port", "out.ca"},
	    {"hostname: a\nlisten: [{address: x}]\nnets: [\"::1\"]\nout: {port: 26, ca: /c}\n", "out.ca", "out.port"},
	    {"hostname: a\nstate: /s\nlisten: [{address: x}]\nnets: [\"::1\"]\nout: {port: 26}\n", "state", "password"},
	};
	struct sample a, b;
	char err[CONF_ERR_MAX];

	(void)state;
	assert_int_equal(parse(text, &a, err), 0);
	for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		assert_int_equal(parse(changes[i].text, &b, err), 0);
		assert_false(conf_same(keys, &a, &b, changes[i].key));
		assert_true(conf_same(keys, &a, &b, changes[i].other));
		assert_true(conf_same(keys, &b, &b, changes[i].key));
		conf_free(keys, &b);
	}
	assert_false(conf_same(keys, &a, &a, "no-such-key"));
	conf_free(keys, &a);
}

/* err, with the file's own name before the colon left out. */
static const char *blamed(const char *file, const char *key, char err[CONF_ERR_MAX])
{
	assert_int_equal(conf_fail(err, file, key, "bad"), ERR_CONFIG);
	assert_memory_equal(err, file, strlen(file));
	return err + strlen(file);
}

static void a_mistake_across_keys_names_the_line_of_its_key(void **state)
{
	static const char text[] = "a: x\n"		      /* 1 */
				   "pools:\n"		      /* 2 */
				   "  - {name: one}\n"	      /* 3 */
				   "  - name: two\n"	      /* 4 */
				   "    sources: [a,\n"	      /* 5 */
				   "              b]\n"	      /* 6 */
				   "retry: {first: 5m,\n"     /* 7 */
				   "        max: 1m}\n";      /* 8 */
	char path[] = "/tmp/test_conf.XXXXXX", err[CONF_ERR_MAX];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	assert_string_equal(blamed(path, "pools[1].sources[1]", err), ":6: pools[1].sources[1]: bad");
	assert_string_equal(blamed(path, "pools[1].sources", err), ":5: pools[1].sources: bad");
	assert_string_equal(blamed(path, "pools[0].name", err), ":3: pools[0].name: bad");
	assert_string_equal(blamed(path, "retry.max", err), ":8: retry.max: bad");
	/* What the file leaves out: where it would stand; or no line. */
	assert_string_equal(blamed(path, "retry.expire", err), ":7: retry.expire: bad");
	assert_string_equal(blamed(path, "pools[7].name", err), ":2: pools[7].name: bad");
	assert_string_equal(blamed(path, "pools[", err), ":3: pools[: bad");
	assert_string_equal(blamed(path, "a.b", err), ":1: a.b: bad");
	assert_string_equal(blamed(path, "bounce", err), ": bounce: bad");
	assert_int_equal(unlink(path), 0);
	assert_string_equal(blamed(path, "retry.max", err), ": retry.max: bad");
}

static int peek(const char *text, char *out)
{
	return conf_peek(span_str(text), "user", out, 8);
}

static void one_setting_can_be_read_out_of_anothers_file(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(peek("# a comment\nlist: [{user: no}]\nuser: \"mail\"\nx: 1\n", out), 0);
	assert_string_equal(out, "mail");
	assert_int_equal(peek("user: 64219 # which\n", out), 0);
	assert_string_equal(out, "64219");
	assert_int_equal(peek("list: {user: no}\n", out), ERR_NOTFOUND);
	assert_int_equal(peek("user: [a]\n", out), ERR_CONFIG);
	assert_int_equal(peek("- user\n", out), ERR_CONFIG);
	assert_int_equal(peek("", out), ERR_CONFIG);
	assert_int_equal(peek("user: {a\n", out), ERR_CONFIG);
	assert_int_equal(peek("user: too-long\n", out), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_mistake_across_keys_names_the_line_of_its_key),
	    cmocka_unit_test(one_setting_can_be_read_out_of_anothers_file),
	    cmocka_unit_test(a_change_of_one_key_is_seen_and_of_no_other),
	    cmocka_unit_test(a_plain_scalar_may_stand_for_an_item),
	    cmocka_unit_test(a_full_file_fills_the_struct),
	    cmocka_unit_test(every_mistake_names_file_line_and_key),
	    cmocka_unit_test(the_dump_reads_back_as_the_same_configuration),
	    cmocka_unit_test(a_secret_is_never_dumped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
