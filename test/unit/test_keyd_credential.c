/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "keyd/keyd_credential.h"
#include "sys/sys_file.h"

static char dir[40];

static int begin(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_keyd_cred.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

/* A file below the test's folder, with its parents. */
static void put(const char *name, const char *text, unsigned mode)
{
	char path[256], *slash;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(sys_file_mkdir(path, 0700), 0);
	*slash = '/';
	assert_int_equal(sys_file_replace(path, span_str(text), mode), 0);
}

static int read_credential(const char *name)
{
	struct buf b;
	int rc;

	buf_init_wiped(&b, 4096);
	rc = keyd_credential_read(name, &b);
	buf_clear(&b);
	return rc;
}

static void a_credential_is_looked_for_in_its_directory_alone(void **state)
{
	(void)state;
	unsetenv("CREDENTIALS_DIRECTORY");
	put("root", "0123456789abcdef0123456789abcde", 0400); /* 31 bytes */
	assert_int_equal(read_credential("root"), ERR_NOTFOUND);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	assert_int_equal(read_credential("other"), ERR_NOTFOUND);
	assert_int_equal(read_credential("root"), ERR_FORMAT);
	put("root", "0123456789abcdef0123456789abcdef", 0400);
	assert_int_equal(read_credential("root"), 0);
	assert_int_equal(read_credential("../etc/passwd"), ERR_NOTFOUND);
	assert_int_equal(read_credential(""), ERR_NOTFOUND);
	unsetenv("CREDENTIALS_DIRECTORY");
}

/* systemd lets the user of the service read by an ACL: the mode then shows 0440. */
static void a_credential_with_an_acl_is_read_and_one_for_everybody_is_not(void **state)
{
	(void)state;
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	put("root", "0123456789abcdef0123456789abcdef", 0440);
	assert_int_equal(read_credential("root"), 0);
	put("root", "0123456789abcdef0123456789abcdef", 0444);
	assert_int_equal(read_credential("root"), ERR_DENIED);
	unsetenv("CREDENTIALS_DIRECTORY");
}

/* What /sys says of the disk below /var of this test, beneath NAME. */
static void disk(const char *name, const char *text)
{
	char path[256], where[128];
	struct stat st;

	put("var/lib/systemd/credential.secret", "host key", 0400);
	snprintf(path, sizeof(path), "%s/var/lib/systemd/credential.secret", dir);
	assert_int_equal(stat(path, &st), 0);
	snprintf(where, sizeof(where), "sys/dev/block/%u:%u/%s", major(st.st_dev), minor(st.st_dev),
		 name);
	put(where, text, 0444);
}

static void nothing_is_said_where_there_is_no_host_key(void **state)
{
	(void)state;
	assert_int_equal(keyd_credential_host_key_plain(dir), 0);
	put("var/lib/systemd/credential.secret", "host key", 0400);
	assert_int_equal(keyd_credential_host_key_plain(dir),
			 0); /* a disk that /sys does not know */
}

static void a_host_key_on_a_plain_disk_is_told(void **state)
{
	(void)state;
	disk("size", "1000\n");
	assert_int_equal(keyd_credential_host_key_plain(dir), 1);
}

static void a_host_key_on_an_encrypted_disk_is_fine(void **state)
{
	(void)state;
	disk("dm/uuid", "CRYPT-LUKS2-0123\n");
	assert_int_equal(keyd_credential_host_key_plain(dir), 0);
}

static void a_volume_above_an_encrypted_disk_is_fine(void **state)
{
	(void)state;
	disk("dm/uuid", "LVM-0123\n");
	disk("slaves/dm-0/dm/uuid", "CRYPT-LUKS2-0123\n");
	assert_int_equal(keyd_credential_host_key_plain(dir), 0);
}

static void a_volume_that_reaches_onto_a_plain_disk_is_told(void **state)
{
	(void)state;
	disk("dm/uuid", "LVM-0123\n");
	disk("slaves/dm-0/dm/uuid", "CRYPT-LUKS2-0123\n");
	disk("slaves/sdb/size", "1000\n");
	assert_int_equal(keyd_credential_host_key_plain(dir), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_credential_is_looked_for_in_its_directory_alone),
	    TEST(a_credential_with_an_acl_is_read_and_one_for_everybody_is_not),
	    TEST(nothing_is_said_where_there_is_no_host_key),
	    TEST(a_host_key_on_a_plain_disk_is_told),
	    TEST(a_host_key_on_an_encrypted_disk_is_fine),
	    TEST(a_volume_above_an_encrypted_disk_is_fine),
	    TEST(a_volume_that_reaches_onto_a_plain_disk_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
