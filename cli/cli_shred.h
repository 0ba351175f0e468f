/* SPDX-License-Identifier: Apache-2.0 */
/* cli_shred - sealpost key shred: destroys a customer's keys, and shows how far that is. */
#ifndef CLI_CLI_SHRED_H
#define CLI_CLI_SHRED_H

#include "cli/cli.h"

/* argv[0] is "shred". */
int cli_shred(struct cli *c, int argc, char **argv);

#endif
