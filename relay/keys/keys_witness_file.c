/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/keys/keys_witness_file.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"
#include "sys/sys_file.h"

#define FIRST_LINE     "sealpost-witness 1"
#define SIZE_MAX_BYTES (KEYS_WITNESS_TOMBS * (2u * KEYPROTO_TOMB_MAX + 8))

void keys_witness_file_clear(struct keys_witness_file *f)
{
	free(f->tombs);
	memset(f, 0, sizeof(*f));
}

int keys_witness_file_add(struct keys_witness_file *f, struct span tomb)
{
	uint32_t room = f->room ? f->room * 2 : 16;
	void *more;

	if (tomb.n < 1 || tomb.n > KEYPROTO_TOMB_MAX)
		return ERR_FORMAT;
	for (uint32_t i = 0; i < f->count; i++)
		if (span_equal(keys_witness_file_tomb(f, i), tomb))
			return ERR_EXISTS;
	if (f->count >= KEYS_WITNESS_TOMBS)
		return ERR_LIMIT;
	if (f->count == f->room) {
		more = reallocarray(f->tombs, room, sizeof(f->tombs[0]));
		if (!more)
			return ERR_NOMEM;
		f->tombs = more;
		f->room = room;
	}
	f->tombs[f->count].n = (uint16_t)tomb.n;
	memcpy(f->tombs[f->count++].bytes, tomb.p, tomb.n);
	return 0;
}

static void put_hex(struct buf *out, const char *name, const void *p, size_t n)
{
	char hex[HEX_SIZE(KEYPROTO_TOMB_MAX)];

	hex_encode(hex, p, n);
	buf_putf(out, "%s %s\n", name, hex);
}

int keys_witness_file_format(const struct keys_witness_file *f, struct buf *out)
{
	uint8_t branch[8];

	buf_put_str(out, FIRST_LINE "\n");
	put_hex(out, "store", f->store, sizeof(f->store));
	num_put_u64(branch, f->mark.branch);
	buf_putf(out, "mark %" PRIu64 " %" PRIu64 " ", f->mark.generation, f->mark.sequence);
	put_hex(out, "branch", branch, sizeof(branch));
	for (uint32_t i = 0; i < f->count; i++)
		put_hex(out, "tomb", f->tombs[i].bytes, f->tombs[i].n);
	return buf_failed(out);
}

/* The next line without its end; 0 when there is none, or none that is whole. */
static int next_line(struct span *text, struct span *line)
{
	ptrdiff_t n = span_find(*text, '\n');

	if (n < 0)
		return 0;
	*line = span_sub(*text, 0, (size_t)n);
	*text = span_sub(*text, (size_t)n + 1, text->n);
	return 1;
}

/* What follows "NAME " in a line; empty if the line is another. */
static struct span after(struct span line, const char *name)
{
	size_t n = strlen(name);

	if (line.n <= n + 1 || memcmp(line.p, name, n) || line.p[n] != ' ')
		return span_of(NULL, 0);
	return span_sub(line, n + 1, line.n);
}

static int get_number(struct span *text, uint64_t *out)
{
	ptrdiff_t end = span_find(*text, ' ');

	if (end < 1 || num_parse_u64(span_sub(*text, 0, (size_t)end), out) < 0)
		return ERR_FORMAT;
	*text = span_sub(*text, (size_t)end + 1, text->n);
	return 0;
}

static int get_mark(struct span text, struct keyproto_mark *mark)
{
	uint8_t branch[8];

	if (get_number(&text, &mark->generation) < 0 || get_number(&text, &mark->sequence) < 0 ||
	    hex_decode(branch, sizeof(branch), after(text, "branch")) != sizeof(branch))
		return ERR_FORMAT;
	mark->branch = num_get_u64(branch);
	return 0;
}

int keys_witness_file_parse(struct span text, struct keys_witness_file *f)
{
	uint8_t tomb[KEYPROTO_TOMB_MAX];
	struct span line;
	int n, rc = 0;

	if (!next_line(&text, &line) || !span_equal(line, SPAN_LIT(FIRST_LINE)) ||
	    !next_line(&text, &line) ||
	    hex_decode(f->store, sizeof(f->store), after(line, "store")) != sizeof(f->store) ||
	    !next_line(&text, &line) || get_mark(after(line, "mark"), &f->mark) < 0)
		return ERR_FORMAT;
	while (rc == 0 && next_line(&text, &line)) {
		n = hex_decode(tomb, sizeof(tomb), after(line, "tomb"));
		rc = n < 1 ? ERR_FORMAT : keys_witness_file_add(f, span_of(tomb, (size_t)n));
	}
	return rc < 0 || text.n == 0 ? rc : ERR_FORMAT;
}

int keys_witness_file_load(const char *path, struct keys_witness_file *f)
{
	struct buf b;
	int rc;

	buf_init(&b, SIZE_MAX_BYTES);
	rc = sys_file_read(path, &b, 1);
	if (rc == 0)
		rc = keys_witness_file_parse(buf_span(&b), f);
	if (rc < 0)
		keys_witness_file_clear(f);
	buf_clear(&b);
	return rc;
}

int keys_witness_file_save(const char *path, const struct keys_witness_file *f)
{
	struct buf b;
	int rc;

	buf_init(&b, SIZE_MAX_BYTES);
	rc = keys_witness_file_format(f, &b);
	if (rc == 0)
		rc = sys_file_replace(path, buf_span(&b), 0600);
	buf_clear(&b);
	return rc;
}
