/* SPDX-License-Identifier: Apache-2.0 */
/* cli_cert - a self-signed certificate for a key that lives in keyd: keyd signs, the CLI writes the rest. */
#ifndef CLI_CLI_CERT_H
#define CLI_CLI_CERT_H

#include "keyproto/keyproto_client_sync.h"

/* Two years for hostname (common name and subject alternative name), PEM at path. ERR_*. */
int cli_cert_self_signed(struct keyproto_client_sync *k, const char *label, const char *hostname,
			 const char *path);

#endif
