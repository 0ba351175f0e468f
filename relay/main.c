/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost-relay: takes mail by SMTP, keeps it sealed, delivers it over TLS. See sealpost-relay(8). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/relay.h"
#include "sys/sys_file.h"
#include "sys/sys_priv.h"

static void usage(void)
{
	fprintf(stderr, "usage: sealpost-relay [-n] [-c file] [-d topic]\n");
	exit(EXIT_USAGE);
}

/* As many descriptors as we may have: each session is one. */
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
	const char *path = SP_SYSCONFDIR "/relay.yaml", *why;
	struct relay_conf *conf;
	struct relay *relay;
	char err[CONF_ERR_MAX];
	int check_only = 0, opt, rc;

	log_open("sealpost-relay");
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
	conf = relay_conf_load(path, err);
	if (!conf) {
		fprintf(stderr, "sealpost-relay: %s\n", err);
		return EXIT_CONFIG;
	}
	if (check_only) {
		printf("%s: good\n", path);
		relay_conf_unref(conf);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_descriptors();
	rc = sys_priv_drop(conf->user);
	if (rc < 0)
		log_fatal(EXIT_CONFIG, "start-refused", "why=\"user %s: %s\"", conf->user,
			  err_text(rc));
	sys_priv_harden();
	rc = sys_file_mkdir(conf->state, 0700);
	if (rc < 0)
		log_fatal(EXIT_ENVIRONMENT, "start-refused", "why=\"state %s: %s\"", conf->state,
			  err_text(rc));
	relay = relay_new(conf, &why);
	if (!relay)
		log_fatal(EXIT_ENVIRONMENT, "start-refused", "why=\"%s\"", why);
	rc = relay_run(relay);
	relay_free(relay);
	log_event(LOG_LEVEL_INFO, NULL, "stopped", NULL);
	log_flush();
	return rc < 0 ? EXIT_ENVIRONMENT : 0;
}
