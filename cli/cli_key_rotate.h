/* SPDX-License-Identifier: Apache-2.0 */
/* cli_key_rotate - "sealpost key rotate kek | --pause | --resume" and "sealpost key schedule": the change of KEKs, and what
 * is due when.
 *
 * Story:  argv[0] is the subcommand. What rotate does not know is a label or "dek": see cli_key_version.
 * Exit:   as cli.h. */
#ifndef CLI_CLI_KEY_ROTATE_H
#define CLI_CLI_KEY_ROTATE_H

#include "cli/cli.h"

int cli_key_rotate(struct cli *c, int argc, char **argv);
int cli_key_rotate_schedule(struct cli *c, int argc, char **argv);

#endif
