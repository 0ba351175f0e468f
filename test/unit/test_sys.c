/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "sys/sys_file.h"
#include "sys/sys_notify.h"
#include "sys/sys_peer.h"
#include "sys/sys_priv.h"

static char dir[64];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_sys.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static const char *in_dir(const char *name)
{
	static char path[104];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int count_entries(void)
{
	char command[128], line[16] = "";
	FILE *f;

	snprintf(command, sizeof(command), "ls -A '%s' | wc -l", dir);
	f = popen(command, "r");
	assert_non_null(fgets(line, sizeof(line), f));
	pclose(f);
	return atoi(line);
}

static void a_replaced_file_reads_back_with_its_mode(void **state)
{
	struct buf b;
	struct stat st;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(sys_file_replace(in_dir("f"), SPAN_LIT("first"), 0600), 0);
	assert_int_equal(sys_file_replace(in_dir("f"), SPAN_LIT("second"), 0640), 0);
	assert_int_equal(sys_file_read(in_dir("f"), &b, 0), 0);
	assert_int_equal(buf_size(&b), 6);
	assert_memory_equal(buf_ptr(&b), "second", 6);
	assert_int_equal(stat(in_dir("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(count_entries(), 1);
	buf_clear(&b);
}

static void a_failed_replace_leaves_the_old_file_and_no_rest(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(mkdir(in_dir("taken"), 0700), 0);
	assert_int_equal(sys_file_replace(in_dir("taken"), SPAN_LIT("x"), 0600), ERR_IO);
	assert_int_equal(sys_file_replace(in_dir("no/such"), SPAN_LIT("x"), 0600), ERR_NOTFOUND);
	assert_int_equal(count_entries(), 1);
	buf_clear(&b);
}

static void a_file_at_the_limit_reads_and_one_byte_more_does_not(void **state)
{
	struct buf b;

	(void)state;
	assert_int_equal(sys_file_replace(in_dir("f"), SPAN_LIT("12345678"), 0600), 0);
	buf_init(&b, 8);
	assert_int_equal(sys_file_read(in_dir("f"), &b, 1), 0);
	assert_int_equal(buf_size(&b), 8);
	buf_clear(&b);
	buf_init(&b, 7);
	assert_int_equal(sys_file_read(in_dir("f"), &b, 1), ERR_LIMIT);
	buf_clear(&b);
}

static void a_file_without_a_size_cannot_exceed_the_limit(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	/* proc files say that they have 0 bytes */
	assert_int_equal(sys_file_read("/proc/self/status", &b, 0), ERR_LIMIT);
	buf_clear(&b);
}

static void a_private_file_that_others_may_read_is_refused(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(sys_file_replace(in_dir("f"), SPAN_LIT("key"), 0640), 0);
	assert_int_equal(sys_file_read(in_dir("f"), &b, 1), ERR_DENIED);
	assert_int_equal(sys_file_read(in_dir("f"), &b, 0), 0);
	assert_int_equal(chmod(in_dir("f"), 0400), 0);
	assert_int_equal(sys_file_read(in_dir("f"), &b, 1), 0);
	buf_clear(&b);
}

static void a_private_file_behind_a_symbolic_link_is_refused(void **state)
{
	char target[256];
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	strcpy(target, in_dir("f"));
	assert_int_equal(sys_file_replace(target, SPAN_LIT("key"), 0600), 0);
	assert_int_equal(symlink(target, in_dir("link")), 0);
	assert_int_equal(sys_file_read(in_dir("link"), &b, 1), ERR_DENIED);
	assert_int_equal(sys_file_read(in_dir("link"), &b, 0), 0);
	buf_clear(&b);
}

static void a_fifo_is_refused_without_waiting(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	assert_int_equal(sys_file_read(in_dir("fifo"), &b, 1), ERR_DENIED);
	assert_int_equal(sys_file_read(in_dir("absent"), &b, 1), ERR_NOTFOUND);
	buf_clear(&b);
}

static void mkdir_makes_parents_and_is_content_with_what_is_there(void **state)
{
	struct stat st;

	(void)state;
	umask(077);
	assert_int_equal(sys_file_mkdir(in_dir("a/b/c"), 0750), 0);
	assert_int_equal(sys_file_mkdir(in_dir("a/b/c"), 0750), 0);
	assert_int_equal(stat(in_dir("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(stat(in_dir("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
}

static void mkdir_refuses_a_directory_others_may_write(void **state)
{
	(void)state;
	assert_int_equal(sys_file_mkdir(in_dir("open"), 0700), 0);
	assert_int_equal(chmod(in_dir("open"), 0777), 0);
	assert_int_equal(sys_file_mkdir(in_dir("open"), 0700), ERR_DENIED);
	assert_int_equal(sys_file_replace(in_dir("f"), SPAN_LIT("x"), 0600), 0);
	assert_int_equal(sys_file_mkdir(in_dir("f"), 0700), ERR_DENIED);
}

static void a_users_number_and_name_are_found_and_others_not(void **state)
{
	uid_t uid = 1;

	(void)state;
	assert_int_equal(sys_priv_uid("root", &uid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(sys_priv_uid("54321", &uid), 0);
	assert_int_equal(uid, 54321);
	assert_int_equal(sys_priv_uid("no-such-user-here", &uid), ERR_NOTFOUND);
	assert_int_equal(sys_priv_uid("4294967295", &uid), ERR_NOTFOUND);
	assert_int_equal(sys_priv_uid("", &uid), ERR_NOTFOUND);
}

/* Runs check in a child; its result is the child's exit status. */
static int in_child(int (*check)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(check());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int check_drop(void)
{
	uid_t r, e, s;
	gid_t groups[8];

	if (sys_priv_drop("root") != ERR_DENIED)
		return 1;
	if (sys_priv_drop("no-such-user-here") != ERR_NOTFOUND)
		return 2;
	if (sys_priv_drop("54321") != 0)
		return 3;
	if (getresuid(&r, &e, &s) < 0 || r != 54321 || e != 54321 || s != 54321)
		return 4;
	if (getgroups(8, groups) != 1 || groups[0] != 54321 || getegid() != 54321)
		return 5;
	return setuid(0) == 0 ? 6 : 0;
}

static void root_is_given_up_for_good(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(check_drop), 0);
}

static int check_harden(void)
{
	struct rlimit core, lock;

	sys_priv_harden();
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 1;
	if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0)
		return 2;
	if (getrlimit(RLIMIT_MEMLOCK, &lock) < 0 || lock.rlim_cur != lock.rlim_max)
		return 3;
	return umask(0) == 077 ? 0 : 4;
}

static void a_hardened_process_leaves_no_core_and_is_closed_to_others(void **state)
{
	(void)state;
	assert_int_equal(in_child(check_harden), 0);
}

static void the_peer_of_a_unix_socket_is_known_and_that_of_a_pipe_not(void **state)
{
	int fd[2], p[2];
	uid_t uid = 12345;
	gid_t gid = 12345;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(sys_peer_uid(fd[0], &uid, &gid), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(gid, getegid());
	assert_int_equal(sys_peer_uid(fd[1], &uid, NULL), 0);
	assert_int_equal(pipe(p), 0);
	assert_true(sys_peer_uid(p[0], &uid, NULL) < 0);
	for (int i = 0; i < 2; i++) {
		close(fd[i]);
		close(p[i]);
	}
	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(sys_peer_uid(fd[0], &uid, NULL), ERR_NOTFOUND);
	close(fd[0]);
}

static void systemd_hears_what_we_tell_it(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char text[256];
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)state;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_dir("notify"));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
	sys_notify_ready();
	n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_string_equal(text, "READY=1");
	sys_notify_reloading();
	n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "RELOADING=1\nMONOTONIC_USEC="));
	sys_notify_stopping();
	n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	unsetenv("NOTIFY_SOCKET");
	sys_notify_ready(); /* without systemd: nothing happens */
	close(fd);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_replaced_file_reads_back_with_its_mode),
	    T(a_failed_replace_leaves_the_old_file_and_no_rest),
	    T(a_file_at_the_limit_reads_and_one_byte_more_does_not),
	    T(a_file_without_a_size_cannot_exceed_the_limit),
	    T(a_private_file_that_others_may_read_is_refused),
	    T(a_private_file_behind_a_symbolic_link_is_refused),
	    T(a_fifo_is_refused_without_waiting),
	    T(mkdir_makes_parents_and_is_content_with_what_is_there),
	    T(mkdir_refuses_a_directory_others_may_write),
	    T(a_users_number_and_name_are_found_and_others_not),
	    T(root_is_given_up_for_good),
	    T(a_hardened_process_leaves_no_core_and_is_closed_to_others),
	    T(the_peer_of_a_unix_socket_is_known_and_that_of_a_pipe_not),
	    T(systemd_hears_what_we_tell_it),
	};

	return cmocka_run_group_tests_name("sys", tests, NULL, NULL);
}
