/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/err.h"

/* Each daemon knows its own file best: it is asked to check it (option -n). */
static int check(struct cli *c)
{
	static const char *const daemons[] = {"keyd", "relay", "milter"};
	int worst = 0;

	for (int i = 0; i < 3; i++) {
		char name[32], program[4200], file[4200];
		int rc;
		snprintf(name, sizeof(name), "sealpost-%s", daemons[i]);
		snprintf(file, sizeof(file), "%s/%s.yaml", c->conf_dir, daemons[i]);
		cli_program(c, name, program, sizeof(program));
		if (access(program, X_OK) < 0 && errno == ENOENT) {
			printf("%s: %s is not installed, not checked\n", file, name);
			continue;
		}
		rc = cli_run(program, (char *[]){program, (char *)"-n", (char *)"-c", file, NULL});
		if (rc > worst)
			worst = rc;
	}
	return worst;
}

int cli_config(struct cli *c, int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "check"))
		return check(c);
	return cli_usage("config");
}

int cli_help(struct cli *c, int argc, char **argv)
{
	char page[64];

	(void)c;
	if (argc > 2)
		return cli_usage("help");
	if (argc == 1) {
		snprintf(page, sizeof(page), "sealpost");
	} else {
		const struct cli_command *k = cli_commands();
		for (; k->name && strcmp(k->name, argv[1]); k++)
			;
		/* pages of daemons and formats too: "sealpost help keyd" */
		snprintf(page, sizeof(page), "sealpost-%.40s", argv[1]);
		if (k->name && strchr(argv[1], '/'))
			return cli_usage("help");
	}
	execlp("man", "man", page, (char *)NULL);
	return cli_fail(EXIT_ENVIRONMENT, "man(1) is not installed; the page is %s(8)", page);
}
