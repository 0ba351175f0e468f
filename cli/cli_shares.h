/* SPDX-License-Identifier: Apache-2.0 */
/* cli_shares - what becomes of the shares that keyd tells once: shown on the terminal, or written as
 * private files, one for each custodian.
 *
 * Story:  check comes before keyd is asked, so that no share is made that cannot be kept. */
#ifndef CLI_CLI_SHARES_H
#define CLI_CLI_SHARES_H

#include "keyproto/keyproto_slot.h"

/* "3/5" into need and of. 0, or EXIT_USAGE after saying why. */
int cli_shares_parse(const char *text, uint8_t *need, uint8_t *of);
/* dir: where the files go, made if it is not there; NULL: the terminal, which must be one. 0, or an exit
 * code after saying why. */
int cli_shares_check(const char *dir, unsigned of);
/* Writes DIR/share-1 .. share-N, or prints. 0, or an exit code after saying why. */
int cli_shares_deliver(const char *dir, const struct keyproto_slot_made *made);

#endif
