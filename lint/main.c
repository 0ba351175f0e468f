/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost-lint: judges the source of a campaign. See sealpost-lint(8). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "campaign/camp_source.h"
#include "core/err.h"
#include "lint/lint_limit.h"
#include "lint/lint_second.h"
#include "mail/mail_url.h"
#include "sys/sys_priv.h"

#ifdef SP_SANITIZED
/* At its end LeakSanitizer traces the process from another one, which the sandbox does not permit, and an empty
 * environment cannot tell it not to. test_camp_lint looks for leaks. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

static int usage(void)
{
	fputs("usage: sealpost-lint [-p SUFFIXES] <SOURCE.json (started by sealpost-relay)\n", stderr);
	return EXIT_USAGE;
}

/* One octet more than is permitted, so that the lint can say so. */
static int read_all(struct buf *in)
{
	for (;;) {
		size_t room = buf_room(in) < 65536 ? buf_room(in) : 65536;
		uint8_t *p = room ? buf_reserve(in, room) : NULL;
		ssize_t n;

		if (!room)
			return 0;
		if (!p)
			return ERR_NOMEM;
		n = read(STDIN_FILENO, p, room);
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			return 0;
		buf_commit(in, (size_t)n);
	}
}

static int write_all(struct span s)
{
	while (s.n) {
		ssize_t n = write(STDOUT_FILENO, s.p, s.n);
		if (n <= 0)
			return ERR_IO;
		s = span_sub(s, (size_t)n, s.n);
	}
	return 0;
}

static int judge(struct buf *in)
{
	struct camp_lint lint;
	struct buf out;

	buf_init(&out, 64U << 20);
	if (camp_lint(&lint, buf_span(in), lint_second, time(NULL)) < 0 || camp_lint_result(&lint, &out) < 0)
		lint_limit_memory();
	return write_all(buf_span(&out)) < 0 ? EXIT_ENVIRONMENT : 0;
}

int main(int argc, char **argv)
{
	struct buf in;
	int opt;

	while ((opt = getopt(argc, argv, "p:")) != -1) {
		if (opt != 'p')
			return usage();
		if (mail_url_suffixes(optarg) < 0) {
			fprintf(stderr, "sealpost-lint: %s is no list of public suffixes\n", optarg);
			return EXIT_CONFIG;
		}
	}
	if (optind != argc || isatty(STDIN_FILENO))
		return usage();
	close_range(STDERR_FILENO + 1, ~0u, 0);
	sys_priv_harden();
	/* jansson goes on without a letter, or a member, for which there was no memory */
	json_set_alloc_funcs(lint_limit_take, free);
	buf_init(&in, CAMP_SOURCE_MAX + 1);
	if (lint_limit_set() < 0 || lint_limit_close() < 0) {
		fputs("sealpost-lint: the system does not grant its limits\n", stderr);
		return EXIT_ENVIRONMENT;
	}
	if (read_all(&in) < 0)
		return EXIT_ENVIRONMENT;
	return judge(&in);
}
