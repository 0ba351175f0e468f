/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_audit.h"
#include "cli/cli_backup.h"
#include "cli/cli_key_rotate.h"
#include "cli/cli_key_version.h"
#include "cli/cli_officer.h"
#include "cli/cli_shred.h"
#include "cli/cli_slot.h"
#include "core/err.h"

static int lock(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	struct span reply;
	int rc;

	(void)argv;
	if (argc != 1)
		return cli_usage("key");
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	keyproto_client_sync_begin(k);
	rc = keyproto_client_sync_call(k, KEYPROTO_LOCK, &reply);
	keyproto_client_sync_free(k);
	if (rc < 0)
		return cli_keyd_failed(rc);
	puts("keyd is locked: new mail is answered with 451, delivery waits.");
	return 0;
}

/* An older copy of the store, or one out of a backup, is to be used all the same. */
static int accept_rollback(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	struct span reply;
	int rc;

	if (argc != 2 || strcmp(argv[1], "--yes"))
		return cli_fail(EXIT_USAGE, "this takes an older copy of the store for the present "
					    "one; read sealpost-keyd(8), then add --yes");
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	keyproto_client_sync_begin(k);
	rc = keyproto_client_sync_call(k, KEYPROTO_ACCEPT, &reply);
	keyproto_client_sync_free(k);
	if (rc == ERR_BADSTATE)
		return cli_fail(EXIT_ENVIRONMENT, "nothing to accept: keyd does not say that its "
						  "store was rolled back");
	if (rc < 0 && rc != ERR_LOCKED)
		return cli_keyd_failed(rc);
	puts(rc == 0 ? "Accepted; keyd is open." : "Accepted; now unseal keyd.");
	return 0;
}

/* argv[0] is the subcommand. */
static const struct {
	const char *name;
	int (*run)(struct cli *c, int argc, char **argv);
} commands[] = {
    {"slot", cli_slot},
    {"unseal", cli_slot_unseal},
    {"lock", lock},
    {"list", cli_key_version_list},
    {"rotate", cli_key_rotate},
    {"schedule", cli_key_rotate_schedule},
    {"certify", cli_key_version_certify},
    {"deks", cli_key_version_deks},
    {"accept-rollback", accept_rollback},
    {"shred", cli_shred},
    {"backup", cli_backup},
    {"restore", cli_backup_restore},
    {"audit", cli_audit},
    {"history", cli_audit_history},
    {"proposals", cli_officer_proposals},
    {"approve", cli_officer_approve},
    {"withdraw", cli_officer_withdraw},
    {"selftest", cli_officer_selftest},
    {"zeroize", cli_officer_zeroize},
};

int cli_key(struct cli *c, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(c, argc - 1, argv + 1);
	return cli_usage("key");
}
