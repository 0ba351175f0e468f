/* SPDX-License-Identifier: Apache-2.0 */
/* cli_slot - sealpost key slot, and what sealpost key unseal shares with it. */
#ifndef CLI_CLI_SLOT_H
#define CLI_CLI_SLOT_H

#include "cli/cli.h"
#include "keyproto/keyproto_slot.h"

/* argv[0] is "slot", "unseal". */
int cli_slot(struct cli *c, int argc, char **argv);
int cli_slot_unseal(struct cli *c, int argc, char **argv);

#define CLI_SLOT_SECRET_MAX 4096

/* enum keyproto_slot_method of a name; 0. */
unsigned cli_slot_method(const char *name);
/* What keyd says of itself (json_decref), or NULL after saying why. */
json_t *cli_slot_status(struct keyproto_client_sync *k);
/* The secret of a method from a private file, or asked for on the terminal: a passphrase, need shares one
 * a line, or a PIN, which may be empty since keyd may have it. out: secret memory of CLI_SLOT_SECRET_MAX
 * bytes. Its length, or ERR_* after saying why. */
int cli_slot_ask(unsigned method, unsigned need, const char *file, char *out);
/* The answer to a new slot, which may hold shares: says what it holds, once. Before keyd is asked: see
 * cli_shares_check. 0, or an exit code after saying why. */
int cli_slot_made(struct span reply, const char *out, uint32_t *id);
/* Says why an operation on slots failed; returns an exit code. */
int cli_slot_failed(int err);

#endif
