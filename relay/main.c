/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost-relay: takes mail by SMTP, keeps it sealed, delivers it over TLS. See sealpost-relay(8). */
#include <signal.h>
#include <stdio.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/relay.h"
#include "relay/shape/shape.h"
#include "sys/sys_args.h"
#include "sys/sys_file.h"
#include "sys/sys_priv.h"

int main(int argc, char **argv)
{
	struct sys_args args = {.conf = SP_SYSCONFDIR "/relay.yaml"};
	const char *why;
	struct relay_conf *conf;
	struct relay *relay;
	char err[CONF_ERR_MAX];
	int rc;

	log_open("sealpost-relay");
	if (sys_args_parse(argc, argv, "sealpost-relay", &args) != 0)
		return EXIT_USAGE;
	conf = relay_conf_load(args.conf, err);
	if (!conf) {
		fprintf(stderr, "sealpost-relay: %s\n", err);
		return EXIT_CONFIG;
	}
	if (args.check) {
		struct shape *rules = shape_new(conf, err);
		if (!rules) {
			fprintf(stderr, "sealpost-relay: %s\n", err);
			return EXIT_CONFIG;
		}
		shape_free(rules);
		printf("%s: good\n", args.conf);
		relay_conf_unref(conf);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	sys_priv_descriptors(UINT64_MAX); /* each session is a descriptor */
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
