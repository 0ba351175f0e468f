/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/err.h"

/* Landlock as the kernel has it (uapi/linux/landlock.h). The header of Debian 12 ends at version 2,
 * so that what came later is written down here. The numbers are the same on all architectures. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif
#define ASK_VERSION	  1u
#define RULE_PATH_BENEATH 1

#define FS_EXECUTE	  (1u << 0)
#define FS_WRITE_FILE	  (1u << 1)
#define FS_READ_FILE	  (1u << 2)
#define FS_READ_DIR	  (1u << 3)
#define FS_REMOVE_FILE	  (1u << 5)
#define FS_MAKE_REG	  (1u << 8)
#define FS_MAKE_DIR	  (1u << 7)
#define FS_MAKE_SOCK	  (1u << 9)
#define FS_TRUNCATE	  (1u << 14)

/* What each version brought: rights over files, TCP, scopes. */
static const struct level {
	int version;
	uint64_t files, net, scopes;
} levels[] = {
    {1, 0x1fff, 0, 0},			  /* 5.13: all up to MAKE_SYM */
    {2, 1u << 13, 0, 0},		  /* 5.19: REFER, to another folder */
    {3, FS_TRUNCATE, 0, 0}, {4, 0, 3, 0}, /* 6.7: BIND_TCP, CONNECT_TCP */
    {5, 1u << 15, 0, 0},		  /* 6.10: IOCTL_DEV */
    {6, 0, 0, 3},			  /* 6.12: ABSTRACT_UNIX_SOCKET, SIGNAL */
};
#define SCOPE_ABSTRACT 1u

struct ruleset {
	uint64_t files, net, scopes;
};
struct path_rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

static uint64_t rights_of(unsigned rights)
{
	uint64_t bits = 0;

	if (rights & (SYS_SANDBOX_READ | SYS_SANDBOX_WRITE))
		bits |= FS_READ_FILE | FS_READ_DIR;
	if (rights & SYS_SANDBOX_WRITE)
		bits |= FS_WRITE_FILE | FS_MAKE_REG | FS_MAKE_DIR | FS_REMOVE_FILE | FS_TRUNCATE;
	if (rights & SYS_SANDBOX_SOCKET)
		bits |= FS_MAKE_SOCK | FS_REMOVE_FILE;
	return bits;
}

static int add_path(int set, const struct sys_sandbox_path *p, uint64_t handled)
{
	struct path_rule rule = {.fd = open(p->path, O_PATH | O_CLOEXEC)};
	struct stat st;
	int rc = 0;

	if (rule.fd < 0)
		return errno == ENOENT || errno == EACCES || errno == ENOTDIR
			   ? 0
			   : err_from_errno(errno);
	rule.allowed = rights_of(p->rights) & handled;
	if (fstat(rule.fd, &st) < 0)
		rc = err_from_errno(errno);
	else if (!S_ISDIR(st.st_mode)) /* rights over a folder make no sense for a file */
		rule.allowed &= FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE;
	if (rc == 0 && rule.allowed &&
	    syscall(SYS_landlock_add_rule, set, RULE_PATH_BENEATH, &rule, 0) < 0)
		rc = err_from_errno(errno);
	close(rule.fd);
	return rc;
}

int sys_sandbox_files(const struct sys_sandbox_path *paths, size_t count, int keep_abstract)
{
	struct ruleset attr = {0, 0, 0};
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION), set, rc = 0;

	if (version < 1)
		return ERR_UNSUPPORTED;
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (levels[i].version <= version) {
			attr.files |= levels[i].files;
			attr.net |= levels[i].net;
			attr.scopes |= levels[i].scopes;
		}
	if (keep_abstract)
		attr.scopes &= ~(uint64_t)SCOPE_ABSTRACT;
	/* An older kernel takes a longer structure whose rest is zero. */
	set = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (set < 0)
		return err_from_errno(errno);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = add_path(set, &paths[i], attr.files);
	if (rc == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
			syscall(SYS_landlock_restrict_self, set, 0) < 0))
		rc = err_from_errno(errno);
	close(set);
	return rc < 0 ? rc : version;
}

#ifdef SP_SANITIZED
int sys_sandbox_calls(const struct sys_sandbox_call *calls, size_t count)
{
	(void)calls;
	(void)count;
	return ERR_UNSUPPORTED;
}
#else

static int add_call(scmp_filter_ctx filter, const struct sys_sandbox_call *c)
{
	uint32_t action =
	    c->verdict == SYS_SANDBOX_REFUSE ? SCMP_ACT_ERRNO((uint32_t)c->error) : SCMP_ACT_ALLOW;
	int number = seccomp_syscall_resolve_name(c->name);
	struct scmp_arg_cmp cmp = {.arg = c->arg, .op = SCMP_CMP_NE, .datum_a = c->value};

	if (number < 0) /* unknown here, or one of another architecture */
		return 0;
	if (c->test == SYS_SANDBOX_EQUAL) {
		cmp.op = SCMP_CMP_MASKED_EQ;
		cmp.datum_a = c->mask;
		cmp.datum_b = c->value;
	}
	return seccomp_rule_add_array(filter, action, number, c->test == SYS_SANDBOX_ANY ? 0 : 1,
				      &cmp);
}

int sys_sandbox_calls(const struct sys_sandbox_call *calls, size_t count)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int rc;

	if (!filter)
		return ERR_NOMEM;
	rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = add_call(filter, &calls[i]);
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	if (rc == 0 || rc == -ENOMEM)
		return rc == 0 ? 0 : ERR_NOMEM;
	return ERR_UNSUPPORTED; /* the library has an errno of its own for each way to lack it */
}
#endif
