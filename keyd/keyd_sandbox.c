/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "core/err.h"
#include "core/log.h"
#include "core/span.h"
#include "sys/sys_file.h"
#include "sys/sys_priv.h"
#include "sys/sys_sandbox.h"

#define PATHS_MAX 64

#define ALLOW(call, reason)                 \
	{                                   \
		.name = call, .why = reason \
	}
#define ALLOW_IF(call, n, v, reason)                                              \
	{                                                                         \
		.name = call, .why = reason, .test = SYS_SANDBOX_EQUAL, .arg = n, \
		.mask = UINT64_MAX, .value = v                                    \
	}
#define ALLOW_MASK(call, n, m, v, reason)                                                    \
	{                                                                                    \
		.name = call, .why = reason, .test = SYS_SANDBOX_EQUAL, .arg = n, .mask = m, \
		.value = v                                                                   \
	}
#define REFUSE(call, e, reason)                                                        \
	{                                                                              \
		.name = call, .why = reason, .verdict = SYS_SANDBOX_REFUSE, .error = e \
	}
#define REFUSE_IF_NOT(call, e, n, v, reason)                                            \
	{                                                                               \
		.name = call, .why = reason, .verdict = SYS_SANDBOX_REFUSE, .error = e, \
		.test = SYS_SANDBOX_OTHER, .arg = n, .value = v                         \
	}
#define REFUSE_MASK(call, e, n, m, v, reason)                                           \
	{                                                                               \
		.name = call, .why = reason, .verdict = SYS_SANDBOX_REFUSE, .error = e, \
		.test = SYS_SANDBOX_EQUAL, .arg = n, .mask = m, .value = v              \
	}

/* All that keyd may ask the kernel for once it serves. What runs programs, makes processes or
 * threads, traces, mounts, loads, changes users or limits, reaches the network or other processes'
 * memory is not here, and ends keyd. */
static const struct sys_sandbox_call calls[] = {
    /* memory */
    ALLOW("brk", "malloc"),
    ALLOW_MASK("mmap", 2, PROT_EXEC, 0, "malloc, secret memory, Argon2; never code"),
    REFUSE_MASK("mmap", EACCES, 2, PROT_EXEC, PROT_EXEC, "a module of the user database"),
    ALLOW_MASK("mprotect", 2, PROT_EXEC, 0, "guard pages, heaps of threads; never code"),
    REFUSE_MASK("mprotect", EACCES, 2, PROT_EXEC, PROT_EXEC, "a module of the user database"),
    ALLOW("munmap", "malloc, Argon2"),
    ALLOW("mremap", "realloc"),
    ALLOW("madvise", "secret memory; stacks of threads that end"),
    ALLOW("mlock", "secret memory"),
    ALLOW("mlock2", "secret memory"),
    ALLOW("munlock", "OpenSSL's locked heap at the end"),
    /* threads: they exist, but may still be on their first steps */
    ALLOW("futex", "locks"),
    ALLOW("set_robust_list", "a thread's start"),
    ALLOW("rseq", "a thread's start"),
    ALLOW("sched_getaffinity", "malloc counts processors"),
    ALLOW("sched_setattr", "the background thread steps back"),
    ALLOW("sched_setscheduler", "the background thread steps back"),
    ALLOW("setpriority", "the background thread steps back"),
    ALLOW("getpriority", "the background thread steps back"),
    ALLOW("gettid", "abort; names of threads"),
    ALLOW("getpid", "abort, sd_notify"),
    ALLOW("tgkill", "abort"),
    ALLOW("exit", "a thread's end"),
    ALLOW("exit_group", "the end"),
    ALLOW("restart_syscall", "a call that was stopped and goes on"),
    ALLOW_IF("prctl", 0, PR_SET_NAME, "names of threads"),
    ALLOW_IF("prctl", 0, PR_GET_DUMPABLE, "STATUS"),
    /* signals */
    ALLOW("rt_sigaction", "the loop, abort"),
    ALLOW("rt_sigprocmask", "threads leave signals to the loop"),
    ALLOW("rt_sigreturn", "end of a handler"),
    /* time and randomness */
    ALLOW("clock_gettime", "time, where the kernel's own page has none"),
    ALLOW("gettimeofday", "libevent, OpenSSL"),
    ALLOW("time", "OpenSSL"),
    ALLOW("clock_nanosleep", "waits"),
    ALLOW("getrandom", "keys, nonces"),
    /* the loop */
    ALLOW("epoll_create1", "the loop; user database"),
    ALLOW("epoll_ctl", "the loop"),
    ALLOW("epoll_wait", "the loop"),
    ALLOW("epoll_pwait", "the loop"),
    ALLOW("epoll_pwait2", "the loop"),
    ALLOW("timerfd_create", "user database of systemd"),
    ALLOW("timerfd_settime", "user database of systemd"),
    ALLOW("poll", "user database"),
    ALLOW("ppoll", "user database; a helper's answer"),
    /* files: which ones, is landlock's */
    ALLOW("open", "store, audit, configuration"),
    ALLOW("openat", "store, audit, configuration"),
    ALLOW("close", "files, sockets"),
    ALLOW("read", "files, sockets"),
    ALLOW("readv", "sockets"),
    ALLOW("pread64", "store, audit"),
    ALLOW("write", "journal, log, sockets"),
    ALLOW("writev", "sockets"),
    ALLOW("pwrite64", "audit, overwriting"),
    ALLOW("lseek", "store, user database"),
    ALLOW("fstat", "owner and mode of files"),
    ALLOW("newfstatat", "owner and mode of files"),
    ALLOW("stat", "owner and mode of files"),
    ALLOW("lstat", "sockets' places"),
    ALLOW("statx", "owner and mode of files"),
    ALLOW("statfs", "room on the disk"),
    ALLOW("fstatfs", "room on the disk"),
    ALLOW("access", "user database"),
    ALLOW("faccessat", "user database"),
    ALLOW("faccessat2", "user database"),
    ALLOW("readlink", "user database"),
    ALLOW("readlinkat", "user database"),
    ALLOW("getdents64", "audit files, credentials"),
    ALLOW("fsync", "store"),
    ALLOW("fdatasync", "journal, audit"),
    ALLOW("fadvise64", "what was overwritten is not kept in memory"),
    ALLOW("ftruncate", "a torn end of journal or audit"),
    ALLOW("fallocate", "reserve of the audit log"),
    ALLOW("rename", "a new file takes its place"),
    ALLOW("renameat", "a new file takes its place"),
    ALLOW("renameat2", "a new file takes its place"),
    ALLOW("unlink", "temporary files, sockets"),
    ALLOW("unlinkat", "temporary files, sockets"),
    ALLOW("mkdir", "state directory"),
    ALLOW("mkdirat", "state directory"),
    ALLOW("chmod", "sockets"),
    ALLOW("fchmod", "sockets, new files"),
    ALLOW("fchmodat", "sockets"),
    ALLOW("umask", "new files"),
    ALLOW("flock", "one keyd for a store"),
    ALLOW("fcntl", "non-blocking, close on exec"),
    REFUSE("ioctl", ENOTTY, "stdio asks whether a file is a terminal"),
    /* sockets: Unix alone */
    ALLOW_IF("socket", 0, AF_UNIX, "listeners, sd_notify, user database"),
    REFUSE_IF_NOT("socket", EAFNOSUPPORT, 0, AF_UNIX, "user databases of the network"),
    ALLOW("bind", "the two sockets"),
    ALLOW("listen", "the two sockets"),
    ALLOW("accept4", "clients"),
    ALLOW("connect", "sd_notify, user database"),
    ALLOW("getsockname", "listeners"),
    ALLOW("getpeername", "user database"),
    ALLOW("getsockopt", "who the client is"),
    ALLOW("setsockopt", "sockets"),
    ALLOW("shutdown", "end of a connection"),
    ALLOW("sendto", "sockets"),
    ALLOW("sendmsg", "sd_notify"),
    ALLOW("recvfrom", "sockets"),
    ALLOW("recvmsg", "sockets"),
    /* who and where we are */
    ALLOW("getuid", "who we are"),
    ALLOW("geteuid", "owner of files"),
    ALLOW("getgid", "who we are"),
    ALLOW("getegid", "who we are"),
    ALLOW("uname", "OpenSSL, user database"),
    ALLOW("sysinfo", "libc sorts in memory"),
    ALLOW_IF("prlimit64", 2, 0, "STATUS: look, not change"),
};

/* Paths of keyd.yaml: what is done where they point. */
static const struct conf_path {
	const char *key; /* "slots." before those of a slot */
	enum place { ITSELF, MADE, FOLDER } place;
	unsigned rights;
} conf_paths[] = {
    {"state", MADE, SYS_SANDBOX_WRITE},
    {"audit", MADE, SYS_SANDBOX_WRITE},
    {"anchor", FOLDER, SYS_SANDBOX_WRITE}, /* replaced, so a temporary file lies beside it */
    {"socket", FOLDER, SYS_SANDBOX_SOCKET},
    {"admin_socket", FOLDER, SYS_SANDBOX_SOCKET},
    {"token_helper", ITSELF, 0},	       /* runs already */
    {"slots.path", FOLDER, SYS_SANDBOX_WRITE}, /* as anchor */
    {"slots.pin", FOLDER, SYS_SANDBOX_READ},
};

/* Read beside that: the user database at SIGHUP (its files are replaced, so folders count), and
 * STATUS's look for a debugger. */
static const char *const read_paths[] = {
    "/etc",	   "/proc/self",      "/run/systemd/userdb",
    "/run/userdb", "/usr/lib/userdb", "/var/lib/sss/mc",
    "/run/nscd",   "/var/cache/nscd",
};

struct list_of_paths {
	struct sys_sandbox_path items[PATHS_MAX];
	char *owned[PATHS_MAX];
	size_t count;
};

static void add(struct list_of_paths *l, const char *path, enum place place, unsigned rights)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	char *copy;

	if (!path || !rights || l->count == PATHS_MAX)
		return;
	if (place == MADE)
		sys_file_mkdir(path, 0700); /* that it is good, is for its owner to say */
	if (place != FOLDER)
		copy = strdup(path);
	else if (!slash)
		copy = strdup(".");
	else
		copy = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!copy)
		return;
	l->owned[l->count] = copy;
	l->items[l->count++] = (struct sys_sandbox_path){copy, rights};
}

/* The paths of a struct that was filled by this table. */
static void add_keys(struct list_of_paths *l, const struct conf_key *table, const char *prefix,
		     const void *filled)
{
	char name[64];

	for (const struct conf_key *k = table; k->name; k++) {
		if (k->type != CONF_PATH)
			continue;
		snprintf(name, sizeof(name), "%s%s", prefix, k->name);
		for (size_t i = 0; i < sizeof(conf_paths) / sizeof(conf_paths[0]); i++)
			if (!strcmp(conf_paths[i].key, name))
				add(l, *(char *const *)((const char *)filled + k->offset),
				    conf_paths[i].place, conf_paths[i].rights);
	}
}

static void collect(struct list_of_paths *l, const struct keyd_conf *conf, const char *conf_path)
{
	const struct conf_key *slots = keyd_conf_table;

	add_keys(l, keyd_conf_table, "", conf);
	while (strcmp(slots->name, "slots"))
		slots++;
	for (size_t i = 0; i < conf->slots.count; i++)
		add_keys(l, slots->sub, "slots.", keyd_conf_slot(conf, i));
	add(l, conf_path, FOLDER, SYS_SANDBOX_READ); /* an editor replaces it */
	add(l, getenv("CREDENTIALS_DIRECTORY"), ITSELF, SYS_SANDBOX_READ);
	for (size_t i = 0; i < sizeof(read_paths) / sizeof(read_paths[0]); i++)
		add(l, read_paths[i], ITSELF, SYS_SANDBOX_READ);
}

void keyd_sandbox_files(struct keyd_sandbox *s, const struct keyd_conf *conf, const char *conf_path)
{
	struct list_of_paths list = {.count = 0};
	const char *notify = getenv("NOTIFY_SOCKET");
	uid_t nobody;
	int rc;

	s->off = !conf->sandbox;
	if (s->off)
		return;
	/* Loads every module of the user database, while code can still be loaded. */
	sys_priv_uid("sealpost-no-such-user", &nobody);
	collect(&list, conf, conf_path);
	rc = sys_sandbox_files(list.items, list.count, notify && *notify == '@');
	while (list.count > 0)
		free(list.owned[--list.count]);
	s->landlock = rc > 0 ? rc : 0;
	if (rc < 0)
		log_event(LOG_LEVEL_WARN, NULL, "sandbox-partial", "part=landlock error=\"%s\"",
			  err_text(rc));
}

void keyd_sandbox_calls(struct keyd_sandbox *s)
{
	int rc;

	if (s->off) {
		log_event(LOG_LEVEL_WARN, NULL, "sandbox-partial", "part=all error=\"%s\"",
			  "switched off by keyd.yaml");
		return;
	}
	/* The table names the calls of 64-bit machines. */
	rc = sizeof(long) < 8 ? ERR_UNSUPPORTED
			      : sys_sandbox_calls(calls, sizeof(calls) / sizeof(calls[0]));
	s->seccomp = rc == 0;
	if (rc < 0)
		log_event(LOG_LEVEL_WARN, NULL, "sandbox-partial", "part=seccomp error=\"%s\"",
			  err_text(rc));
	if (s->seccomp && s->landlock)
		log_event(LOG_LEVEL_INFO, NULL, "sandbox-on",
			  "calls=%zu action=kill-process landlock=%d",
			  sizeof(calls) / sizeof(calls[0]), s->landlock);
}

static const char *word(int yes)
{
	return yes ? "true" : "false";
}

void keyd_sandbox_json(const struct keyd_sandbox *s, struct buf *out)
{
	struct rlimit lock;
	int tracer = sys_priv_tracer();

	buf_putf(out, "{\"seccomp\":%s,\"landlock\":%d,\"memlock\":", word(s->seccomp),
		 s->landlock);
	if (getrlimit(RLIMIT_MEMLOCK, &lock) == 0 && lock.rlim_cur != RLIM_INFINITY)
		buf_putf(out, "%" PRIu64, (uint64_t)lock.rlim_cur);
	else
		buf_put_str(out, "null");
	buf_putf(out, ",\"dumpable\":%s,\"tracer\":", word(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)));
	if (tracer >= 0)
		buf_putf(out, "%d}", tracer);
	else
		buf_put_str(out, "null}");
}

void keyd_sandbox_warnings(const struct keyd_sandbox *s, void (*fn)(void *arg, const char *text),
			   void *arg)
{
	if (s->off)
		fn(arg, "sandbox: off in keyd.yaml: keyd may do all that its user may");
	if (!s->off && !s->seccomp)
		fn(arg, "system calls are not filtered: no seccomp in this kernel or build");
	if (!s->off && !s->landlock)
		fn(arg, "files are not limited: no landlock in this kernel");
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		fn(arg, "keyd's memory is not closed to core files and debuggers");
	if (sys_priv_tracer() > 0)
		fn(arg, "a debugger is attached to keyd");
}
