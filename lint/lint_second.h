/* SPDX-License-Identifier: Apache-2.0 */
/* lint_second - the second opinion on an HTML part: libgumbo, another reading of the same standard by other people.
 *
 * Story:     camp_lint asks it for links and text, and refuses a part of which both do not see the same. Only this process
 *            links it: its time grows with the square of depth (camp_lint bounds that first), and it ends the process
 *            if memory is short.
 * Thread:    one at a time.
 * Source:    camp_lint.h. */
#ifndef LINT_LINT_SECOND_H
#define LINT_LINT_SECOND_H

#include "campaign/camp_lint.h"

/* A camp_lint_second_fn. */
int lint_second(struct span html, struct camp_lint_seen *seen);

#endif
