/* SPDX-License-Identifier: Apache-2.0 */
/* milter_conf - the configuration of sealpost-milter.
 *
 * Story:     main loads it, SIGHUP loads it again; a message ends under the one it began with, so it is
 *            counted. Nothing in it changes after loading.
 * Source:    sealpost-milter.yaml(5), which lists the same keys; the table here is the truth.
 * Thread:    any. */
#ifndef MILTER_MILTER_CONF_H
#define MILTER_MILTER_CONF_H

#include <stdatomic.h>

#include "conf/conf_schema.h"
#include "mail/mail_sensitive.h"
#include "milter/milter_rule.h"
#include "milter/milter_stream.h"

struct milter_conf {
	char *path;
	atomic_int refs;
	char *listen;	     /* as libmilter takes it */
	char *mode_text;     /* socket_mode */
	unsigned mode;
	char *user;
	char *keyd, *api;
	int64_t keyd_timeout; /* microseconds */
	char *customer;
	char *stream;		    /* of what no rule names; NULL: none */
	struct conf_list customers; /* struct milter_rule */
	struct conf_list streams;   /* struct milter_stream; none: campaigns are not looked up */
	struct conf_list sensitive; /* struct milter_sensitive */
	struct mail_sensitive_set *sensitive_set; /* of these, in order; NULL: none */
	char *state;		    /* directory for what is kept of a body while it passes */
	uint64_t max_size;	    /* of a message that is judged */
	int64_t feed_every, feed_stale; /* microseconds */
};

const struct conf_key *milter_conf_table(void);

/* One reference to a loaded file; NULL: err says why, with file, line and key. */
struct milter_conf *milter_conf_load(const char *path, char err[CONF_ERR_MAX]);
struct milter_conf *milter_conf_ref(struct milter_conf *c);
void milter_conf_unref(struct milter_conf *c);

/* Path of the Unix socket that listen names, or NULL. */
const char *milter_conf_socket(const struct milter_conf *c);

/* Whether messages are looked at whole, and not by their headers alone. */
int milter_conf_bodies(const struct milter_conf *c);

/* First key in which two configurations differ and that only a restart can change, or NULL. */
const char *milter_conf_fixed(const struct milter_conf *a, const struct milter_conf *b);

#endif
