/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel knows of the pages of secret memory: /proc/self/smaps says it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/secret.h"

/* The mapping that p lies in, and the rights of its neighbours. */
struct mapping {
	uintptr_t start, end;
	char rights[8], before[8], after[8];
	char flags[256];
	unsigned long locked_kib;
};

static void find(const void *p, struct mapping *m)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], rights[8], last[8] = "";
	uintptr_t start, end, last_end = 0, at = (uintptr_t)p;
	int inside = 0, done = 0;

	memset(m, 0, sizeof(*m));
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) == 3) {
			if (inside && !done && start == m->end)
				strcpy(m->after, rights);
			done |= inside;
			inside = at >= start && at < end;
			if (inside) {
				m->start = start;
				m->end = end;
				strcpy(m->rights, rights);
				if (last_end == start)
					strcpy(m->before, last);
			}
			strcpy(last, rights);
			last_end = end;
		} else if (inside && !strncmp(line, "Locked:", 7)) {
			m->locked_kib = strtoul(line + 7, NULL, 10);
		} else if (inside && !strncmp(line, "VmFlags:", 8)) {
			strcpy(m->flags, line + 8);
		}
	}
	fclose(f);
	assert_true(m->start != 0);
}

static void secret_pages_are_locked_undumped_and_between_guards(void **state)
{
	uint8_t *p = secret_alloc(32);
	struct mapping m;

	(void)state;
	find(p, &m);
	assert_string_equal(m.rights, "rw-p");
	assert_string_equal(m.before, "---p");
	assert_string_equal(m.after, "---p");
#ifndef SP_SANITIZED
	/* a sanitizer turns mlock into nothing */
	assert_non_null(strstr(m.flags, " lo"));
	assert_int_equal(m.locked_kib * 1024, m.end - m.start);
#endif
	assert_non_null(strstr(m.flags, " dd")); /* not dumped */
	assert_non_null(strstr(m.flags, " wf")); /* wiped on fork */
	secret_free(p, 32);
}

/* Signal that ended a child which reads at, or 0. */
static int touch(const volatile uint8_t *at)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own */
		_exit(*at & 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void one_byte_beyond_is_fatal(void **state)
{
	uint8_t *p = secret_alloc(32);
	struct mapping m;

	(void)state;
	find(p, &m);
	assert_int_equal(touch((uint8_t *)m.start), 0);
	assert_int_equal(touch((uint8_t *)m.end - 1), 0);
	assert_int_equal(touch((uint8_t *)m.start - 1), SIGSEGV);
	assert_int_equal(touch((uint8_t *)m.end), SIGSEGV);
	secret_free(p, 32);
}

static void a_child_sees_zeros(void **state)
{
	uint8_t *p = secret_alloc(32);
	int status;
	pid_t pid;

	(void)state;
	memset(p, 0xa5, 32);
	pid = fork();
	if (pid == 0) {
		int sum = 0;
		for (int i = 0; i < 32; i++)
			sum |= p[i];
		_exit(sum ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(p[31], 0xa5); /* and the parent keeps it */
	secret_free(p, 32);
}

static void freed_pieces_are_wiped(void **state)
{
	uint8_t *p = secret_alloc(64), *again;

	(void)state;
	memset(p, 0xa5, 64);
	secret_free(p, 64);
	/* the link of the free list is all that may differ from zero */
	for (int i = (int)sizeof(void *); i < 64; i++)
		assert_int_equal(p[i], 0);
	again = secret_alloc(64);
	assert_ptr_equal(again, p);
	assert_int_equal(again[0] | again[7], 0);
	secret_free(again, 64);
}

static void beyond_the_limit_there_is_none(void **state)
{
	struct rlimit limit = {0, 0};
	int status;
	pid_t pid;

	(void)state;
#ifdef SP_SANITIZED
	skip(); /* see above */
#endif
	pid = fork();
	if (pid == 0) {
		/* root is not limited; an ordinary user is */
		limit.rlim_cur = limit.rlim_max = 512 * 1024;
		if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || (getuid() == 0 && setuid(64219) < 0))
			_exit(2);
		uint8_t *first = secret_alloc(65536), *last = first;
		unsigned count = 0;
		for (; last && count < 100; count++)
			last = secret_alloc(65536);
		_exit(first && !last && count >= 8 && count <= 10 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(secret_pages_are_locked_undumped_and_between_guards),
	    cmocka_unit_test(one_byte_beyond_is_fatal),
	    cmocka_unit_test(a_child_sees_zeros),
	    cmocka_unit_test(freed_pieces_are_wiped),
	    cmocka_unit_test(beyond_the_limit_there_is_none),
	};

	return cmocka_run_group_tests_name("secret_pages", tests, NULL, NULL);
}
