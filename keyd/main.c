/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost-keyd: holds the keys, and lets nobody see them. See sealpost-keyd(8). */
#include <signal.h>
#include <stdio.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_credential.h"
#include "keyd/keyd_listen.h"
#include "sys/sys_args.h"
#include "sys/sys_notify.h"
#include "sys/sys_priv.h"

#define DESCRIPTORS_OWN 64 /* beside connections */

struct program {
	const char *conf_path;
	struct evt_loop *loop;
	struct keyd *keyd;
	struct keyd_listen *listen;
	struct keyd_sandbox sandbox;
	int host_key_plain;
	struct keyd_token *token;
};

static void on_stop(void *arg, int signo)
{
	struct program *p = arg;

	log_event(LOG_LEVEL_INFO, NULL, "stopping", "signal=%d", signo);
	sys_notify_stopping();
	evt_loop_stop(p->loop);
}

/* A file that has become wrong changes nothing. */
static void on_reload(void *arg, int signo)
{
	struct program *p = arg;
	struct keyd_conf *conf;
	char err[CONF_ERR_MAX];

	(void)signo;
	sys_notify_reloading();
	if (keyd_conf_load(p->conf_path, &conf, err) < 0) {
		log_event(LOG_LEVEL_ERROR, NULL, "reload-refused", "why=\"%s\"", err);
	} else {
		keyd_reload(p->keyd, conf);
		keyd_listen_recheck(p->listen);
	}
	sys_notify_ready();
}

/* Without it keyd has all but slots on tokens; who asked for it by name is warned. */
static struct keyd_token *start_helper(const struct keyd_conf *conf)
{
	const struct keyd_token_conf tc = {.helper = conf->token_helper,
					   .modules = conf->token_modules.items,
					   .module_count = conf->token_modules.count,
					   .timeout = conf->token_timeout};
	const char *why;
	struct keyd_token *t = keyd_token_start(&tc, &why);

	if (!t)
		log_event(conf->token_helper ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, NULL,
			  "token-helper-absent", "why=\"%s\"", why);
	return t;
}

/* Gives up what a holder of keys must not have. */
static void confine(struct program *p, const struct keyd_conf *conf)
{
	int rc = sys_priv_drop(conf->user);

	if (rc < 0)
		log_fatal(EXIT_CONFIG, "start-refused", "why=\"user %s: %s\"", conf->user,
			  err_text(rc));
	sys_priv_harden();
	sys_priv_descriptors((uint64_t)conf->limits.connections + DESCRIPTORS_OWN);
	rc = keyd_crypto_init();
	if (rc < 0)
		log_fatal(EXIT_ENVIRONMENT, "start-refused", "why=\"memory cannot be locked: %s\"",
			  err_text(rc));
	p->token = start_helper(conf);
	p->host_key_plain = keyd_credential_host_key_plain("");
	keyd_sandbox_files(&p->sandbox, conf, p->conf_path); /* before the first thread */
}

static void start(struct program *p, struct keyd_conf *conf)
{
	const char *path;
	int rc;

	p->loop = evt_loop_new();
	p->keyd = p->loop ? keyd_new(conf, p->loop) : NULL;
	if (!p->keyd)
		log_fatal(EXIT_ENVIRONMENT, "start-refused", "why=\"memory cannot be locked: %s\"",
			  err_text(ERR_NOMEM));
	keyd_sandbox_calls(&p->sandbox); /* all threads are there, and nothing was read yet */
	p->keyd->sandbox = p->sandbox;
	p->keyd->token = p->token;
	p->keyd->host_key_plain = p->host_key_plain;
	rc = keyd_start(p->keyd);
	if (rc < 0)
		log_fatal(EXIT_ENVIRONMENT, "start-refused", "why=\"state %s: %s\"", conf->state,
			  err_text(rc));
	rc = keyd_listen_open(p->keyd, &p->listen, &path);
	if (rc < 0)
		log_fatal(EXIT_ENVIRONMENT, "start-refused", "why=\"socket %s: %s\"", path,
			  err_text(rc));
	evt_loop_signal(p->loop, SIGTERM, on_stop, p);
	evt_loop_signal(p->loop, SIGINT, on_stop, p);
	evt_loop_signal(p->loop, SIGHUP, on_reload, p);
	signal(SIGPIPE, SIG_IGN);
	log_event(LOG_LEVEL_INFO, NULL, "ready", "state=%s", keyproto_state_name(p->keyd->state));
	log_flush();
	sys_notify_ready();
}

int main(int argc, char **argv)
{
	struct sys_args args = {.conf = SP_SYSCONFDIR "/keyd.yaml"};
	struct program p = {.conf_path = NULL};
	struct keyd_conf *conf;
	char err[CONF_ERR_MAX];

	log_open("sealpost-keyd");
	if (sys_args_parse(argc, argv, "sealpost-keyd", &args) != 0)
		return EXIT_USAGE;
	p.conf_path = args.conf;
	if (keyd_conf_load(p.conf_path, &conf, err) < 0) {
		fprintf(stderr, "sealpost-keyd: %s\n", err);
		return EXIT_CONFIG;
	}
	keyd_warn_peers(conf);
	if (args.check) {
		printf("%s: good\n", p.conf_path);
		keyd_conf_free(conf);
		log_flush();
		return 0;
	}
	confine(&p, conf);
	start(&p, conf);
	evt_loop_run(p.loop);
	keyd_listen_close(p.listen);
	keyd_free(p.keyd);
	evt_loop_free(p.loop);
	log_event(LOG_LEVEL_INFO, NULL, "stopped", NULL);
	log_flush();
	return 0;
}
