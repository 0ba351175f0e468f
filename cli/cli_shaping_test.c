/* SPDX-License-Identifier: Apache-2.0 */
/* Rules tried out with replies from a file, without a daemon. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_shaping.h"
#include "core/err.h"
#include "core/num.h"
#include "shape/shape_replay.h"

#define PATTERNS_MAX 16

static void print_step(const struct shape_replay_step *s, int wrong)
{
	char at[24];

	num_format_duration(at, s->at);
	printf("%8s  %-8.*s %-32.*s %-16s %s%s\n", at, (int)s->source.n, (const char *)s->source.p,
	       (int)s->site.n, (const char *)s->site.p, *s->rule ? s->rule : "-", s->outcome,
	       s->waits ? "  (mail would wait here)" : "");
	if (wrong)
		printf("          expected: %.*s\n", (int)s->expected.n, (const char *)s->expected.p);
}

/* Number of lines that came out otherwise than expected, or -1 after saying why. */
static int play(const struct shape_rules *rules, const char *path, FILE *f)
{
	struct shape_replay *r = shape_replay_new(rules);
	char *line = NULL;
	size_t room = 0;
	unsigned number = 0;
	int wrong = 0;
	ssize_t n;

	while (r && (n = getline(&line, &room, f)) > 0) {
		struct shape_replay_step step;
		const char *why = "";
		int rc, differs;
		number++;
		rc = shape_replay_line(r, span_of(line, (size_t)n - (line[n - 1] == '\n')), &step, &why);
		if (rc < 0) {
			cli_fail(EXIT_USAGE, "%s:%u: %s", path, number, rc == ERR_FORMAT ? why : err_text(rc));
			wrong = -1;
			break;
		}
		if (rc == 0)
			continue;
		differs = step.expected.p && !span_equal(step.expected, span_str(step.outcome));
		wrong += differs;
		print_step(&step, differs);
	}
	if (!r)
		wrong = -1;
	free(line);
	shape_replay_free(r);
	return wrong;
}

static int play_all(const struct shape_rules *rules, int argc, char **argv)
{
	int wrong = 0;

	for (int i = 0; i < argc; i++) {
		int is_stdin = !strcmp(argv[i], "-"), n;
		FILE *f = is_stdin ? stdin : fopen(argv[i], "re");
		if (!f)
			return cli_fail(EXIT_USAGE, "%s: %s", argv[i], strerror(errno));
		n = play(rules, is_stdin ? "(standard input)" : argv[i], f);
		if (!is_stdin)
			fclose(f);
		if (n < 0)
			return EXIT_USAGE;
		wrong += n;
	}
	return wrong ? cli_fail(1, "%d line%s not as expected", wrong, wrong == 1 ? "" : "s") : 0;
}

int cli_shaping_test(struct cli *c, int argc, char **argv)
{
	static const struct option options[] = {{"rules", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	char usual[4200], err[CONF_ERR_MAX], *patterns[PATTERNS_MAX] = {usual};
	struct conf_list files = {patterns, 0};
	struct shape_rules *rules;
	int opt, rc;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt != 'r' || files.count == PATTERNS_MAX)
			return cli_usage("shaping");
		patterns[files.count++] = optarg;
	}
	if (optind == argc)
		return cli_usage("shaping");
	if (files.count == 0) {
		snprintf(usual, sizeof(usual), "%s/shaping/*.yaml", c->conf_dir);
		files.count = 1;
	}
	rules = shape_rules_load(&files, NULL, err);
	if (!rules)
		return cli_fail(EXIT_CONFIG, "%s", err);
	if (shape_rules_count(rules) == 0)
		cli_fail(0, "no rules in %s", patterns[0]);
	rc = play_all(rules, argc - optind, argv + optind);
	shape_rules_unref(rules);
	return rc;
}
