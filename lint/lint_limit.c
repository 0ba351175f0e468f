/* SPDX-License-Identifier: Apache-2.0 */
#include "lint/lint_limit.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/err.h"
#include "mail/mail_url.h"
#include "sys/sys_sandbox.h"

#define RESULT(rule, text)                                                                                              \
	"{\"ok\":false,\"errors\":1,\"warnings\":0,\"findings\":[{\"level\":\"error\",\"rule\":\"" rule                 \
	"\",\"part\":\"\",\"offset\":0,\"line\":0,\"column\":0,\"text\":\"" text "\"}],\"manifest\":null,\"blobs\":[]}\n"

/* Nothing else was written yet: the result is written at once, at the end. */
static void answer(const char *text, size_t n)
{
	while (n) {
		ssize_t done = write(STDOUT_FILENO, text, n);
		if (done <= 0)
			_exit(EXIT_ENVIRONMENT);
		text += done;
		n -= (size_t)done;
	}
	_exit(0);
}

static void on_time(int signal_number)
{
	static const char text[] = RESULT("lint-time", "the lint took too long over this document");

	(void)signal_number;
	answer(text, sizeof(text) - 1);
}

void lint_limit_memory(void)
{
	static const char text[] = RESULT("lint-memory", "the lint needs too much memory for this document");

	answer(text, sizeof(text) - 1);
	_exit(0);
}

void *lint_limit_take(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		lint_limit_memory();
	return p;
}

static int limit(int what, rlim_t soft, rlim_t hard)
{
	struct rlimit l = {.rlim_cur = soft, .rlim_max = hard};

	return setrlimit(what, &l);
}

int lint_limit_set(void)
{
	signal(SIGXCPU, on_time);
	signal(SIGALRM, on_time);
	alarm(LINT_LIMIT_WALL);
	if (limit(RLIMIT_CPU, LINT_LIMIT_CPU, LINT_LIMIT_CPU + 2) < 0 || limit(RLIMIT_CORE, 0, 0) < 0 ||
	    limit(RLIMIT_NPROC, 0, 0) < 0 || limit(RLIMIT_NOFILE, 16, 16) < 0)
		return -1;
#ifndef SP_SANITIZED
	if (limit(RLIMIT_AS, LINT_LIMIT_MEMORY, LINT_LIMIT_MEMORY) < 0)
		return -1;
#endif
	return 0;
}

#define ALLOW(name, why) {name, why, SYS_SANDBOX_ALLOW, 0, SYS_SANDBOX_ANY, 0, 0, 0}
#define NO_CODE(name, why) {name, why, SYS_SANDBOX_ALLOW, 0, SYS_SANDBOX_EQUAL, 2, PROT_EXEC, 0}
#define REFUSE(name, why, error) {name, why, SYS_SANDBOX_REFUSE, error, SYS_SANDBOX_ANY, 0, 0, 0}

static const struct sys_sandbox_call calls[] = {
	ALLOW("read", "the source"),
	ALLOW("write", "the result"),
	ALLOW("brk", "memory"),
	NO_CODE("mmap", "memory; never code"),
	ALLOW("munmap", "memory"),
	ALLOW("mremap", "memory"),
	ALLOW("madvise", "memory"),
	NO_CODE("mprotect", "memory; never code"),
	ALLOW("futex", "libcrypto's locks"),
	ALLOW("getrandom", "jansson's seed of hashes"),
	ALLOW("clock_gettime", "where it is no vDSO call"),
	ALLOW("gettimeofday", "where it is no vDSO call"),
	ALLOW("getpid", "libcrypto, jansson's seed"),
	ALLOW("rt_sigreturn", "the end of a handler"),
	ALLOW("rt_sigaction", "abort"),
	ALLOW("rt_sigprocmask", "abort"),
	ALLOW("gettid", "abort"),
	ALLOW("tgkill", "abort"),
	ALLOW("exit", "the end"),
	ALLOW("exit_group", "the end"),
	ALLOW("close", "the end"),
	ALLOW("newfstatat", "stdio"),
	ALLOW("fstat", "stdio"),
	REFUSE("openat", "jansson's seed, time zones: they can do without", EACCES),
	REFUSE("open", "as openat", EACCES),
	REFUSE("ioctl", "stdio asks for a terminal", ENOTTY),
	REFUSE("socket", "the system log", EACCES),
};

int lint_limit_close(void)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char host[MAIL_URL_HOST];
	enum mail_url_kind kind;
	unsigned odd = 0;
	int rc;

	/* what libraries read at their first use; without its context libcrypto uses a null pointer */
	if (!OSSL_LIB_CTX_get0_global_default() || EVP_Digest("", 0, hash, NULL, EVP_sha256(), NULL) != 1)
		return -1;
	(void)mail_url_host(host, &kind, &odd, SPAN_LIT("m\xc3\xbcnchen.example"));
	(void)sys_sandbox_files(NULL, 0, 0); /* as good as the kernel is */
	rc = sys_sandbox_calls(calls, sizeof(calls) / sizeof(*calls));
	return rc < 0 && rc != ERR_UNSUPPORTED ? -1 : 0;
}
