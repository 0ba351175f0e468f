/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of etc/shaping, played with replies of the providers: every line of test/shaping says what it brings. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "shape/shape_replay.h"

static struct shape_rules *installed(void)
{
	char pattern[4096], err[CONF_ERR_MAX], *names[] = {pattern};
	struct conf_list files = {names, 1};
	const char *src = getenv("srcdir");
	struct shape_rules *s;

	snprintf(pattern, sizeof(pattern), "%s/etc/shaping/*.yaml", src ? src : ".");
	s = shape_rules_load(&files, NULL, err);
	if (!s)
		fail_msg("%s", err);
	return s;
}

static unsigned play_file(const struct shape_rules *rules, const char *path)
{
	struct shape_replay *r = shape_replay_new(rules);
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	unsigned number = 0, expected = 0;

	assert_non_null(f);
	while ((n = getline(&line, &room, f)) > 0) {
		struct shape_replay_step step;
		const char *why = "";
		char want[SHAPE_REPLAY_OUTCOME];
		int rc = shape_replay_line(r, span_of(line, (size_t)n - 1), &step, &why);
		number++;
		if (rc < 0)
			fail_msg("%s:%u: %s: %s", path, number, err_text(rc), why);
		if (rc == 0)
			continue;
		if (!step.expected.p || span_copy_str(want, sizeof(want), step.expected) < 0)
			fail_msg("%s:%u: says nothing of what is expected", path, number);
		if (strcmp(want, step.outcome) != 0)
			fail_msg("%s:%u: rule %s: expected \"%s\", was \"%s\"", path, number, step.rule, want,
				 step.outcome);
		expected++;
	}
	free(line);
	fclose(f);
	shape_replay_free(r);
	return expected;
}

static void the_installed_rules_do_what_their_replays_say(void **state)
{
	const char *src = getenv("srcdir");
	char pattern[4096], path[4200];
	struct shape_rules *rules = installed();
	glob_t yaml, replay;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s/etc/shaping/*.yaml", src ? src : ".");
	assert_int_equal(glob(pattern, 0, NULL, &yaml), 0);
	snprintf(pattern, sizeof(pattern), "%s/test/shaping/*.replay", src ? src : ".");
	assert_int_equal(glob(pattern, 0, NULL, &replay), 0);
	/* a replay for each file of rules */
	for (size_t i = 0; i < yaml.gl_pathc; i++) {
		const char *base = strrchr(yaml.gl_pathv[i], '/') + 1;
		snprintf(path, sizeof(path), "%s/test/shaping/%.*s.replay", src ? src : ".",
			 (int)(strlen(base) - 5), base);
		if (access(path, R_OK) < 0)
			fail_msg("%s: no replay", path);
	}
	for (size_t i = 0; i < replay.gl_pathc; i++)
		assert_true(play_file(rules, replay.gl_pathv[i]) > 2);
	globfree(&yaml);
	globfree(&replay);
	shape_rules_unref(rules);
}

static void lines_that_cannot_be_played_are_refused(void **state)
{
	static const char *const bad[] = {"x a mx 250 ok", "5s a mx",	   "5s a mx 99 no",
					  "5s a mx 25x no", "5s a mx 600 no", "1s a mx 250 back in time", "5s a",
					  "5s"};
	struct shape_rules *rules = installed();
	struct shape_replay *r = shape_replay_new(rules);
	struct shape_replay_step step;
	const char *why;

	(void)state;
	assert_int_equal(shape_replay_line(r, SPAN_LIT(""), &step, &why), 0);
	assert_int_equal(shape_replay_line(r, SPAN_LIT("# 5s a"), &step, &why), 0);
	assert_int_equal(shape_replay_line(r, SPAN_LIT("2s  a  mx  250"), &step, &why), 1);
	assert_int_equal(step.at, 2000000);
	assert_null(step.expected.p);
	assert_string_equal(step.rule, "default");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(shape_replay_line(r, span_str(bad[i]), &step, &why), ERR_FORMAT);
	shape_replay_free(r);
	shape_rules_unref(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_installed_rules_do_what_their_replays_say),
	    cmocka_unit_test(lines_that_cannot_be_played_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
