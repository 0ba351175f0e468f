/* SPDX-License-Identifier: Apache-2.0 */
/* cli_key_version - "sealpost key list | rotate | certify | deks": versions of signing keys,
 * and of customers' DEKs.
 *
 * Story:  argv[0] is the subcommand. rotate takes a label, or "dek" and a customer.
 * Exit:   as cli.h. */
#ifndef CLI_CLI_KEY_VERSION_H
#define CLI_CLI_KEY_VERSION_H

#include "cli/cli.h"

int cli_key_version_list(struct cli *c, int argc, char **argv);
int cli_key_version_rotate(struct cli *c, int argc, char **argv);
int cli_key_version_certify(struct cli *c, int argc, char **argv);
/* All versions of all signing keys, in the order in which they were made: a list of JSON objects. NULL after saying why,
 * with an exit code in *code. */
json_t *cli_key_version_all(struct keyproto_client_sync *k, int *code);
int cli_key_version_deks(struct cli *c, int argc, char **argv);

#endif
