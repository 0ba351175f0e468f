/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_recall.h"

#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "keyd/keyd.h"
#include "keyd/keyd_audit_scan.h"
#include "keyd/keyd_record_tomb.h"

#define PART (256 * 1024)

struct recall {
	struct keyd *keyd;
	unsigned found;
	int failed;
};

/* A destruction has a line for each of its states. The first tells all; one that a witness brought
 * begins with the second. */
static void take_line(struct recall *r, struct span text)
{
	uint8_t token[KEYD_RECORD_TOMB_TOKEN_MAX];
	const struct audit_value *state, *value;
	struct audit_line line;
	int n;

	if (audit_line_parse(text, &line) < 0 || line.event != AUDIT_SHRED)
		return;
	state = audit_line_value(&line, AUDIT_F_STATE);
	value = audit_line_value(&line, AUDIT_F_TOKEN);
	if (!state || !value ||
	    (!span_equal(state->text, SPAN_LIT("dead")) &&
	     !span_equal(state->text, SPAN_LIT("rewrapped"))))
		return;
	n = hex_decode(token, sizeof(token), value->text);
	if (n <= 17 || memcmp(token + 1, keyd_store_id(r->keyd), 16))
		return; /* of another store */
	if (keyd_witness_pend(r->keyd, span_of(token, (size_t)n)) < 0)
		r->failed = 1;
	else
		r->found++;
}

/* Whole lines are taken out of b. */
static void take_lines(struct recall *r, struct buf *b)
{
	const uint8_t *end;

	while ((end = memchr(buf_ptr(b), '\n', buf_size(b)))) {
		size_t n = (size_t)(end - buf_ptr(b));
		take_line(r, span_of(buf_ptr(b), n));
		buf_drain(b, n + 1);
	}
}

int keyd_recall(struct keyd *k)
{
	struct recall r = {.keyd = k};
	uint32_t file = 0, at = 0;
	uint64_t offset = 0;
	struct buf b;
	int rc;

	if (!k->audit)
		return 0;
	buf_init(&b, 2 * PART);
	do {
		rc = keyd_audit_scan_read(keyd_audit_dir(k), &file, &offset, PART, &b);
		if (file != at) { /* no line goes on in another file */
			take_lines(&r, &b);
			buf_reset(&b);
			at = file;
		}
		take_lines(&r, &b);
		if (buf_size(&b) > PART) /* no line is as long */
			buf_reset(&b);
	} while (rc == 0 && file);
	buf_clear(&b);
	if (r.found || r.failed)
		log_event(r.failed ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, NULL, "tombstones-recalled",
			  "count=%u all=%d", r.found, !r.failed);
	return r.failed ? ERR_LIMIT : 0;
}
