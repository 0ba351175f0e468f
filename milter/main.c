/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost-milter: names, checks and marks what Postfix takes in. See sealpost-milter(8). */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "milter/milter.h"
#include "sys/sys_priv.h"

static void usage(void)
{
	fprintf(stderr, "usage: sealpost-milter [-n] [-c file] [-d topic]\n");
	exit(EXIT_USAGE);
}

/* As many descriptors as we may have: each connection of an MTA is one. */
static void raise_descriptors(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

int main(int argc, char **argv)
{
	const char *path = SP_SYSCONFDIR "/milter.yaml";
	struct milter_conf *conf;
	struct milter *milter;
	char err[CONF_ERR_MAX];
	int check_only = 0, opt, rc;

	log_open("sealpost-milter");
	while ((opt = getopt(argc, argv, "c:d:n")) != -1) {
		if (opt == 'c')
			path = optarg;
		else if (opt == 'n')
			check_only = 1;
		else if (opt != 'd' || log_topic_add(optarg) < 0)
			usage();
	}
	if (optind != argc)
		usage();
	conf = milter_conf_load(path, err);
	if (!conf) {
		fprintf(stderr, "sealpost-milter: %s\n", err);
		return EXIT_CONFIG;
	}
	if (check_only) {
		printf("%s: good\n", path);
		milter_conf_unref(conf);
		return 0;
	}
	raise_descriptors();
	rc = sys_priv_drop(conf->user);
	if (rc < 0)
		log_fatal(EXIT_CONFIG, "start-refused", "why=\"user %s: %s\"", conf->user,
			  err_text(rc));
	sys_priv_harden();
	milter = milter_new(conf);
	if (!milter)
		log_fatal(EXIT_ENVIRONMENT, "start-refused", "why=\"out of memory\"");
	rc = milter_run(milter);
	log_event(LOG_LEVEL_INFO, NULL, "stopped", NULL);
	log_flush();
	/* Threads of libmilter may still be in a callback of a connection that lingers: what they use
	 * stays until the process is gone, and no exit handler of a library takes it from under them. */
	_exit(rc < 0 ? EXIT_ENVIRONMENT : 0);
}
