/* SPDX-License-Identifier: Apache-2.0 */
/* How many elements are open at once. The second parser takes time and memory by the square of it, so this is asked first. */
#include <stdlib.h>

#include "campaign/camp_html_depth.h"
#include "campaign/camp_lint_own.h"
#include "core/err.h"

/* Of formatting elements that another's end tag leaves open, a parser opens new ones again and again. */
#define LEFT_OPEN 64

ptrdiff_t camp_lint_depth(struct span html)
{
	struct camp_html_depth *d = malloc(sizeof(*d));
	struct mail_html *m = malloc(sizeof(*m));
	struct mail_html_token t;
	ptrdiff_t at = m && d ? -1 : 0;
	int rc;

	if (at < 0) {
		camp_html_depth_init(d, CAMP_LINT_DEPTH);
		mail_html_init(m, html);
	}
	while (at < 0 && (rc = mail_html_next(m, &t)) != 0) {
		if (rc < 0)
			at = 0;
		else if (camp_html_depth_tag(d, &t) || d->left > LEFT_OPEN)
			at = (ptrdiff_t)t.from;
	}
	free(m);
	free(d);
	return at;
}
