/* SPDX-License-Identifier: Apache-2.0 */
/* campaign_lint - runs sealpost-lint for a source, in a process of its own, one at a time.
 *
 * Story:     what a source holds was written by others, and two HTML parsers go over it: so a child does that, which has no
 *            rights, and a thread here feeds it and reads what it says. A child that has not ended within CAMPAIGN_LINT_TIME
 *            is killed. Those who come meanwhile wait in line.
 * Ownership: the answer is the callee's to release.
 * Errors:    ERR_LIMIT (too many wait), ERR_TIMEOUT, ERR_NOTFOUND (sealpost-lint is not installed), ERR_CLOSED (it died),
 *            ERR_FORMAT (it answered what is no answer), ERR_NOMEM.
 * Thread:    control's; fn is called on it.
 * Source:    sealpost-lint(8). */
#ifndef RELAY_CAMPAIGN_CAMPAIGN_LINT_H
#define RELAY_CAMPAIGN_CAMPAIGN_LINT_H

#include <jansson.h>

#include "relay/relay.h"

#define CAMPAIGN_LINT_TIME  (20 * CLOCK_SEC)
#define CAMPAIGN_LINT_LINE  16
#define CAMPAIGN_LINT_MAX   (24u << 20) /* of its answer */

struct campaign_lint;
/* err 0: answer is an object with ok, findings, manifest and blobs. */
typedef void (*campaign_lint_fn)(void *arg, int err, json_t *answer);

struct campaign_lint *campaign_lint_new(struct relay *r);
/* What is under way or waits is ended: ERR_CLOSED. */
void campaign_lint_free(struct campaign_lint *l);
/* source: a JSON document, borrowed. 0: fn is called once, later. */
int campaign_lint_run(struct campaign_lint *l, const json_t *source, campaign_lint_fn fn, void *arg);

#endif
