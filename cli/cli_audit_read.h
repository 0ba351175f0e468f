/* SPDX-License-Identifier: Apache-2.0 */
/* cli_audit_read - the files of keyd's audit log, from keyd or from a folder, one after the other.
 *
 * Story:  _open, then _each; _public for the key that signs. From a folder, the key is that of audit-key.pem in it, if
 *         export put one there.
 * Errors: exit codes, after saying why. */
#ifndef CLI_CLI_AUDIT_READ_H
#define CLI_CLI_AUDIT_READ_H

#include "audit/audit_verify.h"
#include "cli/cli.h"

#define CLI_AUDIT_READ_KEY "audit-key.pem"

struct cli_audit_read {
	struct keyproto_client_sync *keyd; /* or NULL: */
	const char *dir;
	uint64_t head; /* the last line as keyd knows it, once all is read; 0: not known */
	uint8_t hash[AUDIT_HASH];
};

/* dir: NULL to ask keyd. 0, or an exit code. */
int cli_audit_read_open(struct cli *c, const char *dir, struct cli_audit_read *out);
void cli_audit_read_close(struct cli_audit_read *r);
/* Calls fn with each file, the oldest first, until it returns non-zero (which is returned). */
int cli_audit_read_each(struct cli_audit_read *r,
			int (*fn)(void *arg, uint32_t number, struct span bytes), void *arg);
/* The public key in DER. 0; or ERR_* without a word: there is none now. */
int cli_audit_read_public(struct cli_audit_read *r, uint8_t spki[AUDIT_SPKI]);
/* A public key from a PEM file. ERR_*. */
int cli_audit_read_pem(const char *path, uint8_t spki[AUDIT_SPKI]);

#endif
