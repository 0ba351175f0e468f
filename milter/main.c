/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost-milter: names, checks and marks what Postfix takes in. See sealpost-milter(8). */
#include <stdio.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "milter/milter.h"
#include "sys/sys_args.h"
#include "sys/sys_priv.h"

int main(int argc, char **argv)
{
	struct sys_args args = {.conf = SP_SYSCONFDIR "/milter.yaml"};
	struct milter_conf *conf;
	struct milter *milter;
	char err[CONF_ERR_MAX];
	int rc;

	log_open("sealpost-milter");
	if (sys_args_parse(argc, argv, "sealpost-milter", &args) != 0)
		return EXIT_USAGE;
	conf = milter_conf_load(args.conf, err);
	if (!conf) {
		fprintf(stderr, "sealpost-milter: %s\n", err);
		return EXIT_CONFIG;
	}
	if (args.check) {
		printf("%s: good\n", args.conf);
		milter_conf_unref(conf);
		return 0;
	}
	sys_priv_descriptors(UINT64_MAX); /* each connection of an MTA is one */
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
