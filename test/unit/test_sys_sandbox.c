/* SPDX-License-Identifier: Apache-2.0 */
/* Each case runs in a child, since nothing of this can be taken back. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "sys/sys_sandbox.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif

static char dir[64];

static int setup(void **state)
{
	char path[80];

	(void)state;
	strcpy(dir, "/tmp/test_sandbox.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir,
			 (const char *[]){"write", "read", "none"}[i]);
		if (mkdir(path, 0700) < 0)
			return -1;
		strcat(path, "/file");
		close(open(path, O_WRONLY | O_CREAT, 0600));
	}
	return 0;
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

/* In a child, what must hold: the line that did not is its exit status. */
#define MUST(cond)                                 \
	do {                                       \
		if (!(cond))                       \
			_exit(__LINE__ % 251 + 1); \
	} while (0)

/* Runs fn in a child. Its exit status (0: all held), or 1000 and the signal that ended it. */
static int in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int landlock_version(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

static int limit_files(void)
{
	char paths[3][80];
	struct sys_sandbox_path list[3] = {{paths[0], SYS_SANDBOX_WRITE | SYS_SANDBOX_SOCKET},
					   {paths[1], SYS_SANDBOX_READ},
					   {paths[2], SYS_SANDBOX_WRITE}};

	snprintf(paths[0], sizeof(paths[0]), "%s/write", dir);
	snprintf(paths[1], sizeof(paths[1]), "%s/read", dir);
	snprintf(paths[2], sizeof(paths[2]), "%s/not-there", dir);
	return sys_sandbox_files(list, 3, 0);
}

static int opens(const char *name, int flags)
{
	int fd = open(in_dir(name), flags, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void check_files(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char to[104];
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	MUST(opens("write/file", O_RDWR) == 0);
	MUST(opens("write/new", O_WRONLY | O_CREAT) == 0);
	strcpy(to, in_dir("write/file"));
	MUST(rename(in_dir("write/new"), to) == 0);
	strcpy(a.sun_path, in_dir("write/sock"));
	MUST(bind(s, (struct sockaddr *)&a, sizeof(a)) == 0 && unlink(a.sun_path) == 0);
	MUST(mkdir(in_dir("write/below"), 0700) == 0 || errno == EEXIST);
	MUST(opens("write/below/file", O_WRONLY | O_CREAT) == 0);
	MUST(opens("read/file", O_RDONLY) == 0);
	MUST(opens("read/file", O_WRONLY) == EACCES);
	MUST(opens("read/new", O_WRONLY | O_CREAT) == EACCES);
	MUST(unlink(in_dir("read/file")) < 0 && errno == EACCES);
	MUST(opens("none/file", O_RDONLY) == EACCES);
	MUST(opens("none", O_RDONLY | O_DIRECTORY) == EACCES);
	MUST(opens("../../etc/passwd", O_RDONLY) == EACCES);
	MUST(symlink("../none/file", in_dir("write/link")) < 0 && errno == EACCES);
	MUST(execl("/bin/true", "true", NULL) < 0 && errno == EACCES);
	close(s);
}

static void *check_from_thread(void *arg)
{
	(void)arg;
	check_files();
	return NULL;
}

static void files_case(void)
{
	pthread_t thread;

	MUST(limit_files() == landlock_version());
	check_files();
	MUST(unlink(in_dir("write/below/file")) == 0);
	MUST(rmdir(in_dir("write/below")) < 0 && errno == EACCES); /* made, never removed */
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	MUST(pthread_create(&thread, NULL, check_from_thread, NULL) == 0);
	pthread_join(thread, NULL);
}

static void need_landlock(int version)
{
	if (landlock_version() < version)
		skip();
}

static void files_are_those_of_the_list_and_nothing_runs(void **state)
{
	(void)state;
	need_landlock(1);
	assert_int_equal(in_child(files_case), 0);
}

/* 0, or the errno of a TCP connect to a port where nobody listens. */
static int tcp_error(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
	int s = socket(AF_INET, SOCK_STREAM, 0), rc;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	rc = connect(s, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
	close(s);
	return rc;
}

static void network_case(void)
{
	MUST(limit_files() >= 4);
	MUST(tcp_error() == EACCES);
}

static void there_is_no_tcp(void **state)
{
	(void)state;
	need_landlock(4);
	assert_int_equal(in_child(network_case), 0);
}

/* 0, or the errno of talking to an abstract socket that was there before. */
static int abstract_error(int keep)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t n = sizeof(a.sun_family);
	int other = socket(AF_UNIX, SOCK_DGRAM, 0), s;

	MUST(bind(other, (struct sockaddr *)&a, n) == 0); /* the kernel names it */
	n = sizeof(a);
	MUST(getsockname(other, (struct sockaddr *)&a, &n) == 0);
	MUST(sys_sandbox_files(NULL, 0, keep) > 0);
	s = socket(AF_UNIX, SOCK_DGRAM, 0);
	return connect(s, (struct sockaddr *)&a, n) < 0 ? errno : 0;
}

static void scope_case(void)
{
	int alive[2];
	pid_t child; /* there before: not one of ours any more */
	char byte;

	MUST(pipe(alive) == 0);
	child = fork();
	if (child == 0) {
		close(alive[1]);
		_exit(read(alive[0], &byte, 1) == 0 ? 0 : 1); /* until we end */
	}
	MUST(abstract_error(0) == EPERM);
	MUST(kill(child, 0) < 0 && errno == EPERM);
	MUST(kill(getpid(), 0) == 0);
}

static void abstract_kept_case(void)
{
	MUST(abstract_error(1) == 0);
}

static void abstract_sockets_and_signals_stay_within(void **state)
{
	(void)state;
	need_landlock(6);
	assert_int_equal(in_child(scope_case), 0);
	assert_int_equal(in_child(abstract_kept_case), 0);
}

/* Puts an older kernel in front: a filter that lets somebody else answer the question for the
 * version. */
static int answerer = -1, old_version;

static void *answer(void *arg)
{
	struct seccomp_notif *ask;
	struct seccomp_notif_resp *say;

	(void)arg;
	seccomp_notify_alloc(&ask, &say);
	for (int i = 0; i < 2; i++) {
		memset(ask, 0, sizeof(*ask));
		if (seccomp_notify_receive(answerer, ask) < 0)
			break;
		say->id = ask->id;
		say->val = old_version;
		say->error = 0;
		say->flags = 0;
		seccomp_notify_respond(answerer, say);
	}
	seccomp_notify_free(ask, say);
	return NULL;
}

static void become_older(int version)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	pthread_t thread;

	old_version = version;
	MUST(filter && seccomp_rule_add(filter, SCMP_ACT_NOTIFY, SYS_landlock_create_ruleset, 1,
					SCMP_A2(SCMP_CMP_EQ, 1)) == 0);
	MUST(seccomp_load(filter) == 0);
	answerer = seccomp_notify_fd(filter);
	MUST(pthread_create(&thread, NULL, answer, NULL) == 0);
	pthread_detach(thread);
}

static void debian_12_case(void)
{
	become_older(2);
	MUST(limit_files() == 2);
	check_files();
	MUST(truncate(in_dir("read/file"), 0) == 0);
	MUST(tcp_error() == ECONNREFUSED);
}

static void an_older_landlock_limits_what_it_can(void **state)
{
	(void)state;
	need_landlock(3);
	assert_int_equal(in_child(debian_12_case), 0);
}

/* Lets a call fail with ENOSYS, as where the kernel has none. */
static void take_away(int call)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	MUST(filter && seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0) == 0);
	MUST(seccomp_load(filter) == 0);
	seccomp_release(filter);
}

static void no_landlock_case(void)
{
	take_away(SYS_landlock_create_ruleset);
	MUST(limit_files() == ERR_UNSUPPORTED);
	MUST(opens("none/file", O_RDONLY) == 0);
}

static void a_kernel_without_landlock_says_so(void **state)
{
	(void)state;
	assert_int_equal(in_child(no_landlock_case), 0);
}

/* What a child of these tests needs, and some rows for each kind of test. */
static const struct sys_sandbox_call calls[] = {
    {.name = "exit_group"},
    {.name = "write"},
    {.name = "close"},
    {.name = "futex"},
    {.name = "no_such_call"},
    {.name = "getppid", .verdict = SYS_SANDBOX_REFUSE, .error = EXDEV},
    {.name = "socket", .test = SYS_SANDBOX_EQUAL, .mask = UINT64_MAX, .value = AF_UNIX},
    {.name = "socket",
     .verdict = SYS_SANDBOX_REFUSE,
     .error = EAFNOSUPPORT,
     .test = SYS_SANDBOX_OTHER,
     .value = AF_UNIX},
    {.name = "umask", .test = SYS_SANDBOX_EQUAL, .mask = 0x3f, .value = 0},
};

static void limit_calls(void)
{
	MUST(sys_sandbox_calls(calls, sizeof(calls) / sizeof(calls[0])) == 0);
}

static void allowed_case(void)
{
	limit_calls();
	MUST(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
	MUST(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT);
	MUST(syscall(SYS_getppid) < 0 && errno == EXDEV);
	umask(0700);
}
static void exec_case(void)
{
	limit_calls();
	execl("/bin/true", "true", NULL);
}
static void ptrace_case(void)
{
	limit_calls();
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static void argument_case(void)
{
	limit_calls();
	umask(0701);
}
static void fork_case(void)
{
	limit_calls();
	fork();
}

static int ready[2];

static void *other_thread(void *arg)
{
	char byte;

	(void)arg;
	if (read(ready[0], &byte, 1) == 0)
		syscall(SYS_getuid);
	return NULL;
}

/* read is not in the list, and the thread was in it when the list came: that one goes on. */
static void threads_case(void)
{
	pthread_t thread;

	MUST(pipe(ready) == 0 && pthread_create(&thread, NULL, other_thread, NULL) == 0);
	limit_calls();
	close(ready[1]);
	pthread_join(thread, NULL);
}

static void a_call_outside_of_the_list_ends_the_process(void **state)
{
	(void)state;
#ifdef SP_SANITIZED
	assert_int_equal(sys_sandbox_calls(calls, 1), ERR_UNSUPPORTED);
	(void)allowed_case;
	(void)exec_case;
	(void)ptrace_case;
	(void)argument_case;
	(void)fork_case;
	(void)threads_case;
	(void)limit_calls;
#else
	assert_int_equal(in_child(allowed_case), 0);
	assert_int_equal(in_child(exec_case), 1000 + SIGSYS);
	assert_int_equal(in_child(ptrace_case), 1000 + SIGSYS);
	assert_int_equal(in_child(argument_case), 1000 + SIGSYS);
	assert_int_equal(in_child(fork_case), 1000 + SIGSYS);
#endif
}

static void the_list_holds_for_threads_that_run_already(void **state)
{
	(void)state;
#ifdef SP_SANITIZED
	skip();
#else
	assert_int_equal(in_child(threads_case), 1000 + SIGSYS);
#endif
}

static void no_seccomp_case(void)
{
	take_away(SYS_seccomp);
	MUST(sys_sandbox_calls(calls, 1) == ERR_UNSUPPORTED);
}

static void a_kernel_without_seccomp_says_so(void **state)
{
	(void)state;
	assert_int_equal(in_child(no_seccomp_case), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(files_are_those_of_the_list_and_nothing_runs),
	    T(there_is_no_tcp),
	    T(abstract_sockets_and_signals_stay_within),
	    T(an_older_landlock_limits_what_it_can),
	    T(a_kernel_without_landlock_says_so),
	    T(a_call_outside_of_the_list_ends_the_process),
	    T(the_list_holds_for_threads_that_run_already),
	    T(a_kernel_without_seccomp_says_so),
	};

	return cmocka_run_group_tests_name("sys_sandbox", tests, NULL, NULL);
}
