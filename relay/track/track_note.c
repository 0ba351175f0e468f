/* SPDX-License-Identifier: Apache-2.0 */
/* What all of relay says to tracking. It hangs on nothing else of it: whoever notes a message need not know the rest. */
#include "core/err.h"
#include "relay/track/track_mail.h"
#include "relay/track/track_own.h"

void track_note_sent(struct relay *r, const struct track_sent *s)
{
	if (r->track && s->tid && s->recipient)
		r->track->sent(r->track, s);
}

void track_note_delivered(struct relay *r, uint64_t tid, int64_t at)
{
	if (r->track && tid)
		r->track->delivered(r->track, tid, at);
}

int64_t track_oldest_sealed(struct relay *r)
{
	return r->track ? r->track->oldest_sealed(r->track) : 0;
}

/* --- unsubscribing by mail */

int track_mail_is(const struct relay_conf *conf, struct span local, struct span domain, struct seal_track_raw *token)
{
	struct seal_track_raw own;
	size_t prefix = sizeof(TRACK_MAIL_PREFIX) - 1;

	if (!conf->tracking.mailto || !span_equal_nocase(domain, span_str(conf->tracking.mailto)))
		return 0;
	if (local.n != TRACK_MAIL_LOCAL || !span_equal_nocase(span_sub(local, 0, prefix), SPAN_LIT(TRACK_MAIL_PREFIX)) ||
	    seal_track_mail_get(span_sub(local, prefix, local.n), token ? token : &own) < 0)
		return ERR_NOTFOUND;
	return 1;
}

void track_mail_unsubscribe(struct relay *r, const struct seal_track_raw *token, track_mail_fn done, void *arg)
{
	if (r->track)
		r->track->mail(r->track, token, done, arg);
	else
		done(arg, ERR_NOTFOUND);
}
