/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/track/track_host.h"
#include "relay/track/track_keep.h"
#include "relay/track/track_mail.h"
#include "relay/track/track_own.h"

/* --- life */

static int used(const struct relay_conf *conf)
{
	return conf->tracking.listen.count || conf->tracking.mailto;
}

static void sent(struct track *t, const struct track_sent *s)
{
	track_keep_sent(t->keep, s);
}

static void delivered(struct track *t, uint64_t tid, int64_t at)
{
	track_keep_delivered(t->keep, tid, at);
}

static int64_t oldest_sealed(struct track *t)
{
	struct track_keep_numbers n;

	track_keep_numbers(t->keep, &n);
	return n.oldest_sealed;
}

static int begin(struct track *t, const struct relay_conf *conf, const char **why)
{
	int err;

	t->keep = track_keep_new(t, conf, &err, why);
	if (!t->keep)
		return err;
	if (conf->tracking.listen.count) {
		t->host = track_host_new(t, conf, &err, why);
		if (!t->host)
			return err;
	}
	*why = "tracking: a thread";
	err = track_keep_start(t->keep);
	if (err == 0 && t->host)
		err = track_host_start(t->host);
	return err;
}

static void close_part(struct relay *r)
{
	struct track *t = r->track;

	if (!t)
		return;
	track_host_stop(t->host);
	track_keep_stop(t->keep);
	track_host_free(t->host);
	track_keep_free(t->keep);
	r->track = NULL;
	free(t);
}

static int open_part(struct relay *r, const char **why)
{
	struct relay_conf *conf = relay_now(r);
	struct track *t = used(conf) ? calloc(1, sizeof(*t)) : NULL;
	int err = 0;

	if (used(conf)) {
		*why = "out of memory";
		err = t ? 0 : ERR_NOMEM;
	}
	if (t) {
		*t = (struct track){.relay = r, .sent = sent, .delivered = delivered, .oldest_sealed = oldest_sealed,
				    .mail = track_mail_run};
		r->track = t;
		err = begin(t, conf, why);
	}
	if (err < 0)
		close_part(r);
	else if (t)
		log_event(LOG_LEVEL_INFO, NULL, "tracking-opened", "listeners=%zu hosts=%zu", conf->tracking.listen.count,
			  conf->tracking.hosts.count);
	relay_conf_unref(conf);
	return err;
}

const struct relay_control_part track_part = {.open = open_part, .close = close_part};
