/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_credential - what systemd hands to keyd: LoadCredential and LoadCredentialEncrypted.
 *
 * Story:  systemd decrypts a credential into a directory that only this service sees, and names it in
 *         $CREDENTIALS_DIRECTORY. It binds what it encrypts to the TPM, to its host key in
 *         /var/lib/systemd, or to both; keyd sees only the result. A host key on a disk that is not
 *         encrypted protects nothing from who takes the disk, so status says that it lies there.
 * Source: systemd.exec(5), systemd-creds(1).
 * Thread: start-up and slot changes; reads files. */
#ifndef KEYD_KEYD_CREDENTIAL_H
#define KEYD_KEYD_CREDENTIAL_H

#include "core/buf.h"

/* $CREDENTIALS_DIRECTORY/NAME, at least 32 bytes, into a wiped buf. ERR_NOTFOUND if there is none;
 * ERR_FORMAT (shorter), ERR_DENIED (anybody may read it), or sys_file's. */
int keyd_credential_read(const char *name, struct buf *out);
/* 1 if systemd's host key is there and its disk is known not to be encrypted; 0 also if that cannot
 * be told. root: "" (tests: where another /var and /sys are). */
int keyd_credential_host_key_plain(const char *root);

#endif
