/* SPDX-License-Identifier: Apache-2.0 */
/* api_server - relay's local API: HTTP/1.1 over a Unix socket, who may is decided by peer credentials.
 *
 * Story:  runs on control's loop. Routes are one table (api_route). Root, relay's own uid and api.users may use it, api.milter what is milter's.
 *         GET /v1/status, GET /v1/queue, GET|DELETE /v1/queue/{id}, POST /v1/queue/{id}/retry, POST /v1/queue/retry,
 *         GET /v1/trace/{id}. Errors are RFC 9457 problems.
 * Thread: control's. */
#ifndef RELAY_API_API_SERVER_H
#define RELAY_API_API_SERVER_H

#include "relay/relay.h"

struct api_server *api_server_new(struct relay *r, int *err);
void api_server_free(struct api_server *a);

#endif
