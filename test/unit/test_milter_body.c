/* SPDX-License-Identifier: Apache-2.0 */
/* A body that is kept: comes back as it was, whatever its size, and never lies on the disk in clear. */
#include "milter/milter_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"

static char dir[] = "/tmp/test_milter_body.XXXXXX";

static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i * 31 + i / 251 + i / 65521);
}

static struct milter_body *kept(size_t size, size_t piece)
{
	struct milter_body *b = milter_body_new(dir);
	uint8_t *text = malloc(piece);
	uint64_t at = 0;

	while (at < size) {
		size_t n = size - at < piece ? size - at : piece;
		for (size_t i = 0; i < n; i++)
			text[i] = byte_at(at + i);
		assert_int_equal(milter_body_put(b, span_of(text, n)), 0);
		at += n;
	}
	free(text);
	assert_int_equal(milter_body_end(b), 0);
	assert_int_equal(milter_body_size(b), size);
	return b;
}

static void comes_back_as_it_was(struct milter_body *b, size_t size)
{
	struct span s;
	uint64_t at = 0;
	int rc;

	while ((rc = milter_body_next(b, &s)) > 0)
		for (size_t i = 0; i < s.n; i++, at++)
			if (s.p[i] != byte_at(at))
				fail_msg("octet %llu of %zu", (unsigned long long)at, size);
	assert_int_equal(rc, 0);
	assert_int_equal(at, size);
}

static void a_body_of_any_size_comes_back_twice(void **state)
{
	static const size_t sizes[] = {0, 1, MILTER_BODY_MEMORY - 1, MILTER_BODY_MEMORY, MILTER_BODY_MEMORY + 1,
				       MILTER_BODY_MEMORY + 16383, MILTER_BODY_MEMORY + 16384,
				       MILTER_BODY_MEMORY + 16385, 1000003};
	static const size_t pieces[] = {997, 65535};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t k = 0; k < 2; k++) {
			struct milter_body *b = kept(sizes[i], pieces[k]);
			comes_back_as_it_was(b, sizes[i]);
			milter_body_rewind(b);
			comes_back_as_it_was(b, sizes[i]);
			milter_body_free(b);
		}
}

/* The one descriptor of ours that leads into dir. */
static int find_file(void)
{
	char link[4096], path[64];

	for (int fd = 3; fd < 256; fd++) {
		ssize_t n;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, link, sizeof(link) - 1);
		if (n > 0 && !strncmp(link, dir, strlen(dir)))
			return fd;
	}
	return -1;
}

static void the_file_has_no_name_and_nothing_in_clear(void **state)
{
	struct milter_body *b = milter_body_new(dir);
	static const char text[] = "4111 1111 1111 1111, erika@example.test ";
	static char disk[1 << 20];
	struct stat st;
	ssize_t n;
	int fd;

	(void)state;
	for (size_t i = 0; i < 16000; i++)
		assert_int_equal(milter_body_put(b, SPAN_LIT(text)), 0);
	assert_int_equal(milter_body_end(b), 0);
	fd = find_file();
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	n = pread(fd, disk, sizeof(disk), 0);
	assert_true(n > 300000);
	assert_null(memmem(disk, (size_t)n, "erika@", 6));
	assert_null(memmem(disk, (size_t)n, "4111 1111", 9));
	milter_body_free(b);
	assert_int_equal(find_file(), -1);
}

static void what_was_changed_on_the_disk_is_found(void **state)
{
	struct milter_body *b = kept(MILTER_BODY_MEMORY + 100000, 65535);
	int fd = find_file(), rc;
	struct span s;
	uint8_t one;

	(void)state;
	assert_int_equal(pread(fd, &one, 1, 20000), 1);
	one ^= 1;
	assert_int_equal(pwrite(fd, &one, 1, 20000), 1);
	while ((rc = milter_body_next(b, &s)) > 0)
		;
	assert_int_equal(rc, ERR_AUTH);
	milter_body_free(b);
	b = kept(MILTER_BODY_MEMORY + 100000, 65535);
	assert_int_equal(ftruncate(find_file(), 50000), 0);
	while ((rc = milter_body_next(b, &s)) > 0)
		;
	assert_int_equal(rc, ERR_DAMAGED);
	milter_body_free(b);
}

static void a_directory_that_is_not_there_is_told_only_by_large_bodies(void **state)
{
	struct milter_body *b = milter_body_new("/nonexistent/state");
	static const uint8_t piece[65536];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(milter_body_put(b, span_of(piece, sizeof(piece))), 0);
	assert_int_equal(milter_body_put(b, SPAN_LIT("x")), ERR_NOTFOUND);
	assert_int_equal(milter_body_put(b, SPAN_LIT("x")), ERR_NOTFOUND);
	assert_int_equal(milter_body_end(b), ERR_NOTFOUND);
	milter_body_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_body_of_any_size_comes_back_twice),
	    cmocka_unit_test(the_file_has_no_name_and_nothing_in_clear),
	    cmocka_unit_test(what_was_changed_on_the_disk_is_found),
	    cmocka_unit_test(a_directory_that_is_not_there_is_told_only_by_large_bodies),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return failed;
}
