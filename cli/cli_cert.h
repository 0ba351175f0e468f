/* SPDX-License-Identifier: Apache-2.0 */
/* cli_cert - certificates, and requests for them, for a key that lives in keyd: keyd signs, the CLI writes the rest. */
#ifndef CLI_CLI_CERT_H
#define CLI_CLI_CERT_H

#include "keyproto/keyproto_client_sync.h"

/* Two years for hostname (common name and subject alternative name), signed by itself, PEM at path. key: a label, or label
 * and version. One of these two once in a process. ERR_*. */
int cli_cert_self_signed(struct keyproto_client_sync *k, const char *key, const char *hostname,
			 const char *path);
/* A request (PKCS#10) for the same names, for an authority. */
int cli_cert_request(struct keyproto_client_sync *k, const char *key, const char *hostname,
		     const char *path);

#endif
