/* SPDX-License-Identifier: Apache-2.0 */
/* https_own - what the files of https_fetch know of each other; nobody else includes it.
 *
 * Story: https_fetch.c has the thread and its queue, https_transfer.c what libcurl is told of one
 *        job and what its answer means. */
#ifndef RELAY_HTTPS_HTTPS_OWN_H
#define RELAY_HTTPS_HTTPS_OWN_H

#include <curl/curl.h>

#include "relay/https/https_fetch.h"

/* A handle for job, to be added to a multi handle; NULL: no memory. */
CURL *https_transfer_new(struct https_job *job);
/* Puts the result into the job, which the handle is freed from. */
void https_transfer_end(struct https_job *job, CURLcode code);
/* Frees the handle alone; it was removed from its multi handle. */
void https_transfer_free(struct https_job *job);
struct https_job *https_transfer_job(CURL *easy);
CURL *https_transfer_handle(const struct https_job *job);

#endif
