/* SPDX-License-Identifier: Apache-2.0 */
/* milter_scan - looks through a message that no template describes: for sensitive content, and for what the policy
 * links-only refuses.
 *
 * Story:     new for a message; header, eoh, body and end as of mail_gate, in tolerant mode; result. Sensitive content is looked
 *            for in Subject and every text part (mail_sensitive), also in what is shown of HTML. For links-only, a text part is gathered as a whole (HTML: camp_html_live;
 *            other text: what a mail program would make a link of), and each other part must be of a type that the stream
 *            lists. A message that the gate cannot read has, for all that is known, everything: each rule with action
 *            verify holds for it, and if there is one with action refuse, or links are asked for, it is refused as
 *            ambiguous.
 * Memory:    about 50 KiB; for links-only, and for sensitive content of HTML, up to MILTER_SCAN_TEXT more (of longer HTML,
 *            what is shown is looked at so far, its octets as a whole). Wiped.
 * Ownership: borrows configuration and stream until free.
 * Thread:    one at a time; pure. */
#ifndef MILTER_MILTER_SCAN_H
#define MILTER_MILTER_SCAN_H

#include "campaign/camp_verdict.h"
#include "milter/milter_conf.h"

#define MILTER_SCAN_TEXT (1u << 20)

struct milter_scan_result {
	enum camp_verdict verdict; /* PASS, POLICY, AMBIGUOUS, TOO_BIG, MEMORY */
	const char *reason;	   /* static: the rule that is broken */
	unsigned part;
	uint64_t offset; /* in the part's text, or in the body */
	const char *refuse; /* name of a sensitive rule that refuses; NULL: none */
	const char *verify; /* of one that wants verified servers; NULL: none */
	int unread;	    /* a rule that refuses could not be asked: see verdict */
	unsigned found;	    /* sensitive places */
};

struct milter_scan;

/* links: whose policy is links-only; NULL: only sensitive content is looked for. NULL: out of memory. */
struct milter_scan *milter_scan_new(const struct milter_conf *conf, const struct milter_stream *links);
void milter_scan_free(struct milter_scan *s);

void milter_scan_header(struct milter_scan *s, struct span name, struct span value);
void milter_scan_eoh(struct milter_scan *s);
/* 1 if nothing that still comes could change the result. */
int milter_scan_body(struct milter_scan *s, struct span piece);
void milter_scan_end(struct milter_scan *s, struct milter_scan_result *out);

#endif
