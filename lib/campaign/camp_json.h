/* SPDX-License-Identifier: Apache-2.0 */
/* camp_json - the one form of bytes a JSON value has: what signatures of manifests are over.
 *
 * Story:     RFC 8785: no white space, members sorted by their names as UTF-16, strings with the shortest
 *            escapes. Numbers are integers within +-(2^53 - 1) (I-JSON): others are refused rather than
 *            rounded.
 * Thread:    pure; any. */
#ifndef CAMPAIGN_CAMP_JSON_H
#define CAMPAIGN_CAMP_JSON_H

#include <jansson.h>

#include "core/buf.h"

#define CAMP_JSON_DEPTH 64

/* Appends. ERR_FORMAT: a real number, an integer beyond I-JSON, a name twice; ERR_LIMIT: too deep or too
 * long; ERR_NOMEM. */
int camp_json_canonical(const json_t *value, struct buf *out);

/* Strict reading: duplicates, trailing bytes, NUL, invalid UTF-8 refused. line, column of an error. */
json_t *camp_json_parse(struct span text, int *line, int *column);

/* SHA-256. 0 or ERR_CRYPTO. */
int camp_json_hash(struct span bytes, uint8_t hash[32]);

#endif
