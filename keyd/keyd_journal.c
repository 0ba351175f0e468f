/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/err.h"
#include "core/num.h"
#include "core/secret.h"
#include "keyd/keyd_fault.h"
#include "seal/seal_kdf.h"
#include "sys/sys_file.h"
#include "wire/wire_get.h"

#define FORMAT	   1
#define HEAD	   32 /* of a record, head tag included */
#define HEAD_PLAIN 16
#define TAG	   32
#define SECTOR	   512
#define APPEND_MAX (8u * 1024 * 1024)

static const uint8_t magic[16] = "sealpost-journal"; /* all 16 bytes, no NUL */

int keyd_journal_header(const struct keyd_journal_base *base, uint8_t out[KEYD_JOURNAL_HEADER])
{
	struct span all = span_of(out, KEYD_JOURNAL_HEADER - TAG);

	memset(out, 0, KEYD_JOURNAL_HEADER);
	memcpy(out, magic, sizeof(magic));
	num_put_u32(out + 16, FORMAT);
	memcpy(out + 20, base->store, 16);
	num_put_u64(out + 36, base->generation);
	memcpy(out + 44, base->snapshot, TAG);
	return seal_kdf_hmac(base->key, 32, &all, 1, out + KEYD_JOURNAL_HEADER - TAG);
}

static uint64_t record_size(uint32_t body)
{
	uint64_t n = HEAD + (uint64_t)body + TAG;

	return (n + KEYD_JOURNAL_ALIGN - 1) / KEYD_JOURNAL_ALIGN * KEYD_JOURNAL_ALIGN;
}

static int head_tag(const uint8_t key[32], const uint8_t last[TAG], const uint8_t *head,
		    uint8_t out[TAG])
{
	struct span parts[3] = {SPAN_LIT("head"), span_of(last, TAG), span_of(head, HEAD_PLAIN)};

	return seal_kdf_hmac(key, 32, parts, 3, out);
}

/* Over all of the record that lies before its tag. */
static int record_tag(const uint8_t key[32], const uint8_t last[TAG], const uint8_t *record,
		      uint64_t size, uint8_t out[TAG])
{
	struct span parts[3] = {SPAN_LIT("body"), span_of(last, TAG), span_of(record, size - TAG)};

	return seal_kdf_hmac(key, 32, parts, 3, out);
}

int keyd_journal_record(const uint8_t key[32], uint64_t number, unsigned type, struct span body,
			uint8_t tag[32], struct buf *out)
{
	uint64_t size = record_size((uint32_t)body.n);
	uint8_t *p, head[TAG];
	int rc;

	if (body.n > KEYD_JOURNAL_BODY_MAX)
		return ERR_LIMIT;
	p = buf_reserve(out, size);
	if (!p)
		return buf_failed(out);
	memset(p, 0, size);
	num_put_u32(p, (uint32_t)body.n);
	num_put_u32(p + 4, type);
	num_put_u64(p + 8, number);
	rc = head_tag(key, tag, p, head);
	memcpy(p + HEAD_PLAIN, head, HEAD - HEAD_PLAIN);
	if (body.n)
		memcpy(p + HEAD, body.p, body.n);
	if (rc == 0)
		rc = record_tag(key, tag, p, size, p + size - TAG);
	if (rc < 0)
		return rc;
	memcpy(tag, p + size - TAG, TAG);
	buf_commit(out, size);
	return 0;
}

static int all_zero(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i])
			return 0;
	return 1;
}

/* 1 if a sector's worth of the file from at to its end holds nothing but zeros. Records are
 * aligned so that each sector holds at least 64 bytes of one; no record has as many zeros there. */
static int sector_missing(struct span file, size_t at)
{
	while (at < file.n) {
		size_t next = (at / SECTOR + 1) * SECTOR;
		if (all_zero(span_sub(file, at, next - at)))
			return 1;
		at = next;
	}
	return 0;
}

/* >0: size of a whole record that verifies. 0: a torn tail. */
static int64_t check_record(struct span file, size_t at, const uint8_t key[32],
			    const struct keyd_journal_read *r)
{
	struct span rest = span_sub(file, at, file.n);
	uint8_t tag[TAG];
	uint64_t size;

	if (rest.n < HEAD)
		return 0;
	if (head_tag(key, r->tag, rest.p, tag) < 0)
		return ERR_CRYPTO;
	if (!secret_equal(tag, rest.p + HEAD_PLAIN, HEAD - HEAD_PLAIN))
		return all_zero(rest) ? 0 : ERR_DAMAGED;
	if (num_get_u32(rest.p) > KEYD_JOURNAL_BODY_MAX || num_get_u64(rest.p + 8) != r->number)
		return ERR_DAMAGED;
	size = record_size(num_get_u32(rest.p));
	if (rest.n < size)
		return 0;
	if (record_tag(key, r->tag, rest.p, size, tag) < 0)
		return ERR_CRYPTO;
	if (secret_equal(tag, rest.p + size - TAG, TAG))
		return (int64_t)size;
	return rest.n == size && sector_missing(file, at) ? 0 : ERR_DAMAGED;
}

static int check_header(struct span file, const struct keyd_journal_base *base)
{
	struct span all = span_of(file.p, KEYD_JOURNAL_HEADER - TAG);
	uint8_t tag[TAG];
	uint64_t generation;

	if (seal_kdf_hmac(base->key, 32, &all, 1, tag) < 0)
		return ERR_CRYPTO;
	if (!secret_equal(tag, file.p + KEYD_JOURNAL_HEADER - TAG, TAG) ||
	    memcmp(file.p, magic, sizeof(magic)) || num_get_u32(file.p + 16) != FORMAT ||
	    memcmp(file.p + 20, base->store, 16))
		return ERR_DAMAGED;
	generation = num_get_u64(file.p + 36);
	if (generation != base->generation)
		return generation < base->generation ? ERR_BADSTATE : ERR_DAMAGED;
	return memcmp(file.p + 44, base->snapshot, TAG) ? ERR_DAMAGED : 0;
}

int keyd_journal_replay(struct span file, const struct keyd_journal_base *base,
			int (*fn)(void *arg, unsigned type, struct span body), void *arg,
			struct keyd_journal_read *out)
{
	int64_t size;
	int rc;

	memset(out, 0, sizeof(*out));
	if (file.n < KEYD_JOURNAL_HEADER)
		return 0;
	rc = check_header(file, base);
	if (rc < 0)
		return rc;
	memcpy(out->tag, file.p + KEYD_JOURNAL_HEADER - TAG, TAG);
	out->end = KEYD_JOURNAL_HEADER;
	while (out->end < file.n) {
		const uint8_t *p = file.p + out->end;
		size = check_record(file, out->end, base->key, out);
		if (size <= 0)
			return (int)size;
		rc = fn(arg, num_get_u32(p + 4), span_of(p + HEAD, num_get_u32(p)));
		if (rc < 0)
			return rc;
		memcpy(out->tag, p + size - TAG, TAG);
		out->end += (uint64_t)size;
		out->number++;
	}
	return 0;
}

void keyd_journal_init(struct keyd_journal *j)
{
	memset(j, 0, sizeof(*j));
	j->fd = -1;
}

int keyd_journal_open(struct keyd_journal *j, const char *path, const uint8_t key[32],
		      const struct keyd_journal_read *at)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), rc;
	off_t size;

	if (fd < 0)
		return err_from_errno(errno);
	size = lseek(fd, 0, SEEK_END);
	if (size < 0 || (uint64_t)size < at->end ||
	    ((uint64_t)size > at->end && (ftruncate(fd, (off_t)at->end) < 0 || fsync(fd) < 0))) {
		rc = err_from_errno(errno);
		close(fd);
		return rc;
	}
	keyd_journal_close(j);
	j->fd = fd;
	j->key = key;
	j->at = *at;
	return 0;
}

/* All of records, formatted behind the last one; at becomes what stands after them. */
static int format_all(const struct keyd_journal *j, struct span records,
		      struct keyd_journal_read *at, struct buf *out)
{
	struct wire_get g;
	struct span body;
	unsigned type;
	int rc = 0;

	wire_get_init(&g, records);
	while (rc == 0 && g.rest.n) {
		type = wire_get_u8(&g);
		body = wire_get_bytes32(&g);
		rc = g.failed ? ERR_FORMAT
			      : keyd_journal_record(j->key, at->number, type, body, at->tag, out);
		at->number++;
	}
	at->end += buf_size(out);
	return rc;
}

int keyd_journal_append(struct keyd_journal *j, struct span records)
{
	struct keyd_journal_read at = j->at;
	struct buf b;
	int rc;

	if (j->fd < 0)
		return ERR_IO;
	buf_init(&b, APPEND_MAX);
	rc = format_all(j, records, &at, &b);
	if (rc < 0) {
		buf_clear(&b);
		return rc;
	}
	keyd_fault("journal-write");
	rc = sys_file_write_at(j->fd, buf_span(&b), j->at.end);
	keyd_fault("journal-sync");
	if (rc < 0) {
		if (ftruncate(j->fd, (off_t)j->at.end) < 0)
			keyd_journal_close(j);
	} else if (fdatasync(j->fd) < 0) {
		/* What the kernel kept of it nobody knows: this file takes no more. */
		rc = err_from_errno(errno);
		keyd_journal_close(j);
	} else {
		j->at = at;
		keyd_fault("journal-done");
	}
	buf_clear(&b);
	return rc;
}

void keyd_journal_close(struct keyd_journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
}
