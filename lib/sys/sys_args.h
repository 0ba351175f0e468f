/* SPDX-License-Identifier: Apache-2.0 */
/* sys_args - the command line that all daemons share: [-n] [-c FILE] [-d TOPIC]...
 *
 * Story:     main calls log_open and sys_args_parse before anything else. -d switches topics of
 *            debug lines on at once.
 * Ownership: conf points into argv, or is what the caller put there as the default.
 * Thread:    main, start-up. */
#ifndef SYS_SYS_ARGS_H
#define SYS_SYS_ARGS_H

struct sys_args {
	const char *conf; /* the file; set the default before the call */
	int check;	  /* only look whether the file is good */
};

/* 0, or EXIT_USAGE after the usage line went to standard error. */
int sys_args_parse(int argc, char **argv, const char *program, struct sys_args *args);

#endif
