/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/bounce/bounce_intake.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "relay/bounce/bounce_intake_own.h"

static atomic_int pending;

static int is_report(const struct relay_conf *c, struct span local)
{
	char **names = c->bounce.reports.items;

	for (size_t i = 0; i < c->bounce.reports.count; i++)
		if (span_equal_nocase(local, span_str(names[i])))
			return 1;
	return 0;
}

int bounce_intake_kind(const struct relay_conf *c, struct span local, struct span domain,
		       struct bounce_verp *v)
{
	struct bounce_verp own;
	int unsubscribe = track_mail_is(c, local, domain, NULL);

	if (unsubscribe > 0)
		return BOUNCE_INTAKE_UNSUBSCRIBE;
	if (unsubscribe < 0 && (!c->bounce.domain || !span_equal_nocase(domain, span_str(c->bounce.domain))))
		return unsubscribe; /* both may be one domain */
	if (!c->bounce.domain || !span_equal_nocase(domain, span_str(c->bounce.domain)))
		return BOUNCE_INTAKE_NONE;
	if (bounce_verp_parse(local, v ? v : &own) == 0)
		return BOUNCE_INTAKE_TOKEN;
	return is_report(c, local) ? BOUNCE_INTAKE_REPORT : ERR_NOTFOUND;
}

static void release(struct bounce_intake *i)
{
	buf_clear(&i->text);
	secret_wipe(i, sizeof(*i));
	free(i);
	atomic_fetch_sub(&pending, 1);
}

struct bounce_intake *bounce_intake_new(struct relay_worker *w, const char *address)
{
	struct bounce_intake *i;
	const char *at = strrchr(address, '@');

	if (atomic_fetch_add(&pending, 1) >= BOUNCE_INTAKE_PENDING ||
	    !(i = calloc(1, sizeof(*i)))) {
		atomic_fetch_sub(&pending, 1);
		return NULL;
	}
	i->w = w;
	buf_init_wiped(&i->text, BOUNCE_INTAKE_MAX);
	i->unsubscribe = at && track_mail_is(atomic_load(&w->relay->conf), span_of(address, (size_t)(at - address)),
					     span_str(at + 1), &i->token) == 1;
	i->notice.has_token = at && bounce_verp_parse(span_of(address, (size_t)(at - address)),
						      &i->notice.token) == 0;
	return i;
}

int bounce_intake_write(struct bounce_intake *i, struct span s)
{
	return buf_put_span(&i->text, s);
}

static void came_home(struct relay_msg *m, void *worker)
{
	struct bounce_intake *i = (struct bounce_intake *)m;
	bounce_intake_fn done = i->done;
	void *arg = i->arg;
	int err = i->err, abandoned = i->abandoned;

	(void)worker;
	release(i);
	if (!abandoned)
		done(arg, err);
}

void bounce_intake_home(struct bounce_intake *i, int err)
{
	i->err = err;
	i->msg.run = came_home;
	if (i->w->inbox)
		evt_inbox_post(i->w->inbox, &i->msg.msg);
	else
		release(i); /* the worker has ended */
}

void bounce_intake_finish(struct bounce_intake *i, bounce_intake_fn done, void *arg)
{
	const struct relay_conf *conf = atomic_load(&i->w->relay->conf);

	i->done = done;
	i->arg = arg;
	i->posted = 1;
	i->err = i->unsubscribe ? 0
				: bounce_notice_read(&i->notice, buf_span(&i->text),
						     conf->bounce.domain ? conf->bounce.domain : "");
	buf_clear(&i->text);
	buf_init_wiped(&i->text, 0);
	i->msg.run = bounce_intake_run;
	evt_inbox_post(i->w->relay->inbox, &i->msg.msg);
}

void bounce_intake_free(struct bounce_intake *i)
{
	if (i && i->posted)
		i->abandoned = 1;
	else if (i)
		release(i);
}
