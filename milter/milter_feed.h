/* SPDX-License-Identifier: Apache-2.0 */
/* milter_feed - which campaigns there are, as relay tells and keyd vouches for.
 *
 * Story:     a thread of its own asks relay's local API every feed_every for the list of versions and of what was revoked. It
 *            fetches the bundles of active versions that it does not have, lets milter_manifest check keyd's signature and
 *            compile them, compares the list of the revoked with what keyd signed last (an older list, or a changed one,
 *            is as good as none), and puts a new snapshot in the place of the old one. So neither the database nor relay
 *            can change a campaign, or bring back one that was revoked. The same thread gives relay the reports.
 *            Messages only read the snapshot; but a message that finds its version's allowance used up asks relay for
 *            more by itself (milter_feed_take; milter_take has the story). What is left of a version that is served no more,
 *            and of all of them at a stop, is given back.
 * Stale:     a snapshot is believed for feed_stale after the answer that confirmed it. Then mail of campaigns is deferred
 *            until relay and keyd answer again; going away and coming back are logged once.
 * Ownership: a manifest that was found is the finder's until milter_manifest_unref.
 * Thread:    start, stop: the main one; the rest any.
 * Source:    sealpost-milter(8); configuration keys api, feed_every, feed_stale. */
#ifndef MILTER_MILTER_FEED_H
#define MILTER_MILTER_FEED_H

#include "milter/milter_conf.h"
#include "milter/milter_keyd.h"
#include "milter/milter_manifest.h"
#include "milter/milter_report.h"

struct milter_feed;

/* conf: gives a reference to the present configuration. NULL: out of memory. */
struct milter_feed *milter_feed_new(struct milter_conf *(*conf)(void *arg), void *arg, struct milter_keyd *keyd);
void milter_feed_free(struct milter_feed *f);
int milter_feed_start(struct milter_feed *f);
/* Waits for the thread, which is not long at work, and gives back what is left of all allowances. No message takes any more. */
void milter_feed_stop(struct milter_feed *f);
/* The configuration is another one. */
void milter_feed_wake(struct milter_feed *f);

/* 0 and the version, to be given back; ERR_AWAY: not known now; ERR_NOTFOUND: there is none of that name and number; ERR_GONE:
 * revoked; ERR_BADSTATE: not active; ERR_DAMAGED: it is not what keyd signed. */
int milter_feed_find(struct milter_feed *f, const char *customer, struct span campaign, uint32_t version,
		     struct milter_manifest **out);
/* One message more of a version. 0; ERR_LIMIT: there were as many as approved; or what asking relay came to. */
int milter_feed_take(struct milter_feed *f, struct milter_manifest *m);

struct milter_reports *milter_feed_reports(struct milter_feed *f);

#endif
