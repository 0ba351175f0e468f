/* SPDX-License-Identifier: Apache-2.0 */
/* bounce_intake_own - what the worker's and control's halves of bounce_intake know of each other. */
#ifndef RELAY_BOUNCE_BOUNCE_INTAKE_OWN_H
#define RELAY_BOUNCE_BOUNCE_INTAKE_OWN_H

#include "relay/bounce/bounce_intake.h"
#include "relay/bounce/bounce_notice.h"
#include "relay/track/track_mail.h"

#define BOUNCE_INTAKE_CUSTOMERS 8 /* of one tag */
#define BOUNCE_INTAKE_DEKS	8 /* older ones that are tried */

struct bounce_intake {
	struct relay_msg msg; /* to control, and home */
	struct relay_worker *w;
	bounce_intake_fn done;
	void *arg;
	int abandoned; /* the worker's: nobody waits any more */
	int posted;    /* it is control's, or on its way */
	struct buf text;
	int unsubscribe; /* its address is one of track_mail: */
	struct seal_track_raw token;
	struct bounce_notice notice;
	int err;
	/* control */
	char customers[BOUNCE_INTAKE_CUSTOMERS][65];
	unsigned customer_count, customer;
	uint32_t deks[BOUNCE_INTAKE_DEKS];
	unsigned dek_count, dek;
	int older; /* the older DEKs are known */
	unsigned match;
};

/* On control: looks into it, and calls bounce_intake_home when done. */
void bounce_intake_run(struct relay_msg *m, void *relay);
/* On control: sends it back with err. */
void bounce_intake_home(struct bounce_intake *i, int err);

#endif
