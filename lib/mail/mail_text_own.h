/* SPDX-License-Identifier: Apache-2.0 */
/* mail_text_own - what the two halves of mail_text share: the joining of flowed lines lies in
 * mail_text_flow.c, between the characters and the pieces. */
#ifndef MAIL_MAIL_TEXT_OWN_H
#define MAIL_MAIL_TEXT_OWN_H

#include "mail/mail_text.h"

enum mail_text_flow_state { MAIL_TEXT_FLOW_BEGIN, MAIL_TEXT_FLOW_STUFF, MAIL_TEXT_FLOW_TEXT };

/* Canonical octets, and a line end, on their way out. */
int mail_text_own_emit(struct mail_text *t, struct span s, uint64_t source, unsigned stride);
int mail_text_own_newline(struct mail_text *t, uint64_t source);

/* Octets of a line of format=flowed; its end; the end of the text. */
int mail_text_own_flow(struct mail_text *t, struct span s, uint64_t source, unsigned stride);
int mail_text_own_flow_end(struct mail_text *t, uint64_t source);
int mail_text_own_flow_over(struct mail_text *t);

#endif
