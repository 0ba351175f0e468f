/* SPDX-License-Identifier: Apache-2.0 */
/* cli_backup - sealpost key backup, key restore: keyd's store into a file, and back into an empty
 * keyd.
 *
 * Story:  the backup is fetched piece by piece into a new file beside the one that is named, which
 *         it replaces when it is whole and on disk. The key's secret goes into a file of its own,
 *         made before anything is fetched and never overwritten.
 * Source: sealpost-keyd-backup(7). */
#ifndef CLI_CLI_BACKUP_H
#define CLI_CLI_BACKUP_H

#include "cli/cli.h"

/* argv[0] is "backup", or "restore". */
int cli_backup(struct cli *c, int argc, char **argv);
int cli_backup_restore(struct cli *c, int argc, char **argv);

#endif
