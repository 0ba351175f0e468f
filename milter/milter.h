/* SPDX-License-Identifier: Apache-2.0 */
/* milter - what the parts of sealpost-milter share, and the life of the daemon.
 *
 * Story:     main loads the configuration, gives up root, makes one of these and runs it. libmilter runs
 *            in a thread of its own and starts one for each connection of an MTA; these call milter_cb.
 *            The main thread waits for signals: SIGHUP loads the configuration again, SIGTERM and SIGINT
 *            stop. Stopping, no new message is taken; those at hand may end first.
 * Thread:    milter_run in the main thread; milter_conf_now, milter_enter, milter_leave in any. */
#ifndef MILTER_MILTER_H
#define MILTER_MILTER_H

#include <stdatomic.h>

#include "milter/milter_conf.h"
#include "milter/milter_feed.h"
#include "milter/milter_keyd.h"
#include "milter/milter_keys.h"
#include "milter/milter_track.h"

struct milter;

/* Takes over the reference to conf. NULL: out of memory. */
struct milter *milter_new(struct milter_conf *conf);
void milter_free(struct milter *m);
/* Until stopped. 0, or ERR_IO: libmilter cannot listen, or failed. */
int milter_run(struct milter *m);

/* A reference to the present configuration. */
struct milter_conf *milter_conf_now(struct milter *m);
struct milter_keyd *milter_keyd_of(struct milter *m);
struct milter_feed *milter_feed_of(struct milter *m);
struct milter_keys *milter_keys_of(struct milter *m);
/* A message begins: 0 if none may begin any more. Each that began must leave. */
int milter_enter(struct milter *m);
void milter_leave(struct milter *m);

#endif
