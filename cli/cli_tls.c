/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost tls: TLS policy of domains. See sealpost-tls(8). */
#include "cli/cli_tls.h"

#include <string.h>

static const struct {
	const char *name;
	int (*run)(struct cli *c, int argc, char **argv);
} rows[] = {
    {"check", cli_tls_check},
    {"exception", cli_tls_exception},
    {"stats", cli_tls_stats},
    {"report", cli_tls_report},
};

int cli_tls(struct cli *c, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].name, argv[1]))
			return rows[i].run(c, argc - 1, argv + 1);
	return cli_usage("tls");
}
