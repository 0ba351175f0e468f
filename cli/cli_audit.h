/* SPDX-License-Identifier: Apache-2.0 */
/* cli_audit - `sealpost key audit show|verify|export` and `key history`: keyd's audit log for people.
 *
 * Story:  the log comes from keyd itself (in the role auditor, else officer), or with --dir from a folder: keyd's own,
 *         or one that export made. verify looks at all of it, and says what it could not know.
 * Exit:   verify 1: the log is not whole.
 * Source: sealpost-key(8), sealpost-keyd-audit(7). */
#ifndef CLI_CLI_AUDIT_H
#define CLI_CLI_AUDIT_H

#include "cli/cli.h"

int cli_audit(struct cli *c, int argc, char **argv);
int cli_audit_history(struct cli *c, int argc, char **argv);

#endif
