/* SPDX-License-Identifier: Apache-2.0 */
/* milter_ask - a request to relay's local API, and its answer as JSON.
 *
 * Ownership: the answer is the caller's.
 * Errors:    ERR_NOTFOUND: 404; ERR_BUSY: 5xx; ERR_DENIED: another refusal; ERR_FORMAT; those of http_client.
 * Thread:    any; it waits. */
#ifndef MILTER_MILTER_ASK_H
#define MILTER_MILTER_ASK_H

#include <jansson.h>

#include "core/span.h"

/* socket: configuration key api. *out: NULL if it fails. */
int milter_ask(const char *socket, const char *method, const char *target, struct span body,
	       json_t **out);
/* body is taken over; NULL: ERR_NOMEM. */
int milter_ask_post(const char *socket, const char *target, json_t *body, json_t **out);

#endif
