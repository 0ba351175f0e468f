/* SPDX-License-Identifier: Apache-2.0 */
/* cli_tls - what "sealpost tls" can do; each subcommand has a file. argv[0] is its name. */
#ifndef CLI_CLI_TLS_H
#define CLI_CLI_TLS_H

#include "cli/cli.h"

int cli_tls_check(struct cli *c, int argc, char **argv);
int cli_tls_stats(struct cli *c, int argc, char **argv);
int cli_tls_exception(struct cli *c, int argc, char **argv);
int cli_tls_report(struct cli *c, int argc, char **argv);

#endif
