/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a backup of the store, and as what a backup is made of. As a file they must not open: nobody had the
 * secret. What was sealed opens as it was, and not with a bit changed or a byte cut; bytes 0 to 3 of the input say where,
 * so every part of a file is tried. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/err.h"
#include "core/num.h"
#include "keyd/keyd_backup.h"
#include "keyd/keyd_crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond) ((cond) ? (void)0 : abort())
#define FILE_MAX   (1u << 20)

static const uint8_t secret[32] = "secret of a fuzzer's backups...";

/* The file that a backup of content is. */
static size_t seal(struct span content, uint8_t *file)
{
	static const struct keyd_backup_head head = {"store of sixteen", 7, 1000, 1800000000, 3, 0};
	int fd = memfd_create("backup", MFD_CLOEXEC);
	int64_t n;

	MUST(fd >= 0);
	n = keyd_backup_seal(&head, secret, content, fd);
	MUST(n > 0 && n <= FILE_MAX && pread(fd, file, (size_t)n, 0) == n);
	close(fd);
	return (size_t)n;
}

static int open_file(struct span file, struct span want)
{
	struct keyd_backup_head head;
	struct buf out;
	int rc;

	buf_init_wiped(&out, 2 * FILE_MAX);
	rc = keyd_backup_open(file, secret, &head, &out);
	MUST(rc == 0 || rc == ERR_AUTH);
	if (rc == 0)
		MUST(span_equal(buf_span(&out), want) && head.generation == 7 &&
		     head.sequence == 1000 && head.key == 3 && head.length == want.n);
	buf_clear(&out);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t file[FILE_MAX];
	struct keyd_backup_head head;
	struct span content;
	uint32_t where;
	size_t n;

	if (size < 4 || size > FILE_MAX / 2)
		return 0;
	if (keyd_crypto_init() < 0)
		abort();
	(void)keyd_backup_head_parse(span_of(data, size), &head);
	MUST(open_file(span_of(data, size), span_of(NULL, 0)) == ERR_AUTH);
	content = span_of(data + 4, size - 4);
	where = num_get_u32(data);
	n = seal(content, file);
	MUST(open_file(span_of(file, n), content) == 0);
	MUST(open_file(span_of(file, where % n), content) == ERR_AUTH);
	file[where / 8 % n] ^= (uint8_t)(1u << where % 8);
	MUST(open_file(span_of(file, n), content) == ERR_AUTH);
	return 0;
}
