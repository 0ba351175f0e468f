/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys_args.h"

#include <stdio.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"

static int usage(const char *program)
{
	fprintf(stderr, "usage: %s [-n] [-c FILE] [-d TOPIC]\n", program);
	return EXIT_USAGE;
}

int sys_args_parse(int argc, char **argv, const char *program, struct sys_args *args)
{
	int opt;

	while ((opt = getopt(argc, argv, "c:nd:")) != -1) {
		if (opt == 'c')
			args->conf = optarg;
		else if (opt == 'n')
			args->check = 1;
		else if (opt != 'd' || log_topic_add(optarg) < 0)
			return usage(program);
	}
	return optind == argc ? 0 : usage(program);
}
