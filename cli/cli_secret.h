/* SPDX-License-Identifier: Apache-2.0 */
/* cli_secret - reads a passphrase, a PIN or shares: from a file that only its owner can read, or from the terminal
 * without echo. Never from an argument: those show in the process list. */
#ifndef CLI_CLI_SECRET_H
#define CLI_CLI_SECRET_H

#include <stddef.h>

#define CLI_SECRET_MAX 1024 /* a passphrase */

/* file NULL: asks on the terminal. out: secret memory of size bytes. Returns its length without the line end, or
 * ERR_* after saying why. */
int cli_secret_read(const char *file, const char *prompt, size_t size, char *out);

#endif
