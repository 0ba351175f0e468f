/* SPDX-License-Identifier: Apache-2.0 */
/* in_mark - what our milter says of a message in its trace header.
 *
 * Story:  found while the message streams past, as in_campaign; if filters changed the header section, found in what they
 *         made of it. Whether it counts is for whoever asks: it does from a filter, and from a trusted peer of a
 *         listener for smarthost clients (a Postfix that has the milter), since the milter takes out all that came in
 *         under this name. Anybody else could write what he likes. Pure; any thread.
 * Source: mail/mail_trace.h, sealpost-milter(8). */
#ifndef RELAY_IN_IN_MARK_H
#define RELAY_IN_IN_MARK_H

#include "mail/mail_trace.h"
#include "relay/in/in_field.h"

struct in_mark {
	struct in_field field;
	int by_filter; /* a filter wrote it */
};

void in_mark_init(struct in_mark *m);
void in_mark_feed(struct in_mark *m, struct span s);
/* 0 and *t, whose spans point into m; ERR_NOTFOUND; ERR_FORMAT. */
int in_mark_get(const struct in_mark *m, struct mail_trace *t);

#endif
