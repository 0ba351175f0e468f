/* SPDX-License-Identifier: Apache-2.0 */
/* milter_act - carries out at the MTA what was decided of a message.
 *
 * Story:     at the end of a message that passes, in this order: headers that are to go are deleted, each name from the highest
 *            index down (each deletion renumbers those behind it); headers of tracking are added; the trace header is
 *            inserted below the Received header of the MTA; the body is replaced, in pieces, if tracking changes it; a
 *            message to be held is put into quarantine last.
 * Errors:    ERR_CLOSED: the MTA does not do it. Whatever was asked for does not count then: the answer is 451.
 * Thread:    libmilter's. */
#ifndef MILTER_MILTER_ACT_H
#define MILTER_MILTER_ACT_H

#include <libmilter/mfapi.h>

#include "milter/milter_judge.h"
#include "milter/milter_track.h"

struct milter_act {
	SMFICTX *ctx;
	const struct milter_msg *msg;
	const struct milter_judge *judge;
	const struct milter_track *track; /* NULL: nothing is tracked */
	const char *blank;		  /* before a header value, if the MTA does not add it itself */
};

int milter_act_headers(const struct milter_act *a);
int milter_act_body(const struct milter_act *a);
int milter_act_hold(const struct milter_act *a);

#endif
