/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes what comes back from links and addresses: texts of tokens, and opening them. What is read is
 * written back the same; nothing opens but what the corpus's key made; fields end within the token.
 * Input: the text. */
#include <stdlib.h>

#include "core/err.h"
#include "seal/seal_track.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) ((cond) ? (void)0 : abort())
#define TODAY 20400

static const struct seal_track_place place = {{(const uint8_t *)"t.shop.example", 14},
					      {(const uint8_t *)"shop", 4}};
static uint8_t key[SEAL_TRACK_KEY]; /* 0, 1, 2, ...: that of track.py */

static void open_token(const struct seal_track_raw *raw)
{
	enum seal_track_kind kind;
	struct span rest, value;
	struct seal_track_raw again;
	struct seal_track t;
	uint32_t epoch;
	int rc, peek = seal_track_peek(raw, TODAY, &kind, &epoch);

	rc = seal_track_open(key, &place, raw, TODAY, &t);
	MUST((peek == ERR_FORMAT) == (rc == ERR_FORMAT));
	if (rc != 0 && rc != ERR_EXPIRED) {
		MUST(t.message == 0 && t.number == 0 && t.n == 0);
		return;
	}
	MUST(raw->n == SEAL_TRACK_MIN + (size_t)t.n && t.kind == kind);
	/* A deterministic cipher: what opens is what would be made. */
	if (rc == 0 && epoch == seal_track_epoch(TODAY) && t.last - TODAY <= SEAL_TRACK_DAYS_MAX) {
		MUST(seal_track_make(key, &place, &t, TODAY, &again) == 0);
		MUST(again.n == raw->n && !memcmp(again.p, raw->p, raw->n));
	}
	rest = span_of(t.field, t.n);
	while (seal_track_field_get(&rest, &value) == 0)
		MUST(value.n == 0 || (value.p > t.field && value.p + value.n <= t.field + t.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char url[SEAL_TRACK_URL_SIZE], mail[SEAL_TRACK_MAIL_SIZE];
	struct span in = span_of(data, size);
	struct seal_track_raw raw;

	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	if (seal_track_url_get(in, &raw) == 0) {
		MUST(seal_track_url_put(url, &raw) == size && !memcmp(url, data, size));
		open_token(&raw);
	}
	if (seal_track_mail_get(in, &raw) == 0) {
		MUST(seal_track_mail_put(mail, &raw) == size);
		MUST(span_equal_nocase(span_str(mail), in));
		open_token(&raw);
	}
	return 0;
}
