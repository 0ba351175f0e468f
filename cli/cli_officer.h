/* SPDX-License-Identifier: Apache-2.0 */
/* cli_officer - what officers do together, and to the end: `sealpost key proposals|approve|withdraw`,
 * `key selftest`, `key zeroize`.
 *
 * Exit:   selftest and zeroize 1: a test failed; something could not be destroyed.
 * Source: sealpost-key(8). */
#ifndef CLI_CLI_OFFICER_H
#define CLI_CLI_OFFICER_H

#include "cli/cli.h"

int cli_officer_proposals(struct cli *c, int argc, char **argv);
int cli_officer_approve(struct cli *c, int argc, char **argv);
int cli_officer_withdraw(struct cli *c, int argc, char **argv);
int cli_officer_selftest(struct cli *c, int argc, char **argv);
int cli_officer_zeroize(struct cli *c, int argc, char **argv);

#endif
