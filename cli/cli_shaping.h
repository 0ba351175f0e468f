/* SPDX-License-Identifier: Apache-2.0 */
/* cli_shaping - what the files of "sealpost shaping" share. Thread: one. */
#ifndef CLI_CLI_SHAPING_H
#define CLI_CLI_SHAPING_H

#include "cli/cli.h"

/* "test [--rules PATTERN]... FILE...": plays replies against rule files; argv[0] is "test". */
int cli_shaping_test(struct cli *c, int argc, char **argv);

#endif
