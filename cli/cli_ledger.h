/* SPDX-License-Identifier: Apache-2.0 */
/* cli_ledger - what the files of "sealpost ledger" share. */
#ifndef CLI_CLI_LEDGER_H
#define CLI_CLI_LEDGER_H

#include "cli/cli.h"
#include "ledger/ledger_verify.h"

int cli_ledger_verify(struct cli *c, int argc, char **argv);
int cli_ledger_key(struct cli *c, int argc, char **argv);

#endif
