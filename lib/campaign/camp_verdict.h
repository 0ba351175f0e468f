/* SPDX-License-Identifier: Apache-2.0 */
/* camp_verdict - how a message may be judged, and what its sender is told.
 *
 * Story:     camp_check, and the milter for what it alone knows (feed, caps, revocation, keyd), settle on
 *            one of these. The name goes to logs, reports and the API; the sender sees the reply's code and
 *            CAMP_VERDICT_TEXT with the report's id, never the reason.
 * Source:    campaign notes 2.4 (failure mapping). */
#ifndef CAMPAIGN_CAMP_VERDICT_H
#define CAMPAIGN_CAMP_VERDICT_H

/* X(symbol, name, reply) */
#define CAMP_VERDICTS(X)                                                                        \
	X(PASS, "pass", PASS)                                                                   \
	/* the message is no instance of what was approved */                                   \
	X(LITERAL, "literal", REFUSED)		  /* an octet of the fixed text differs */      \
	X(FIELD_OCTET, "field-octet", REFUSED)	  /* one that the field's type has not */       \
	X(FIELD_LENGTH, "field-length", REFUSED)  /* longer than max, shorter than min */       \
	X(FIELD_VALUE, "field-value", REFUSED)	  /* decoded: not of the type, not permitted */ \
	X(FIELD_LINK, "field-link", REFUSED)	  /* a mail program would make a link of it */  \
	X(FIELD_RCPT, "field-recipient", REFUSED) /* not the envelope's recipient */            \
	X(BRANCH, "branch", REFUSED)		  /* begins none of the branches */             \
	X(REPEATS, "repeats", REFUSED)		  /* more than the block's max */               \
	X(TEXT_ENDS, "text-ends", REFUSED)	  /* before the template does */                \
	X(TEXT_GOES_ON, "text-goes-on", REFUSED)  /* behind the template's end */               \
	X(PART_TYPE, "part-type", REFUSED)	  /* the MIME tree differs: type or depth */    \
	X(PART_EXTRA, "part-extra", REFUSED)	  /* one more part */                           \
	X(PART_MISSING, "part-missing", REFUSED)                                                \
	X(PART_CHARSET, "part-charset", REFUSED)                                                \
	X(PART_DISPOSITION, "part-disposition", REFUSED)                                        \
	X(PART_NAME, "part-name", REFUSED) /* file name */                                      \
	X(PART_CID, "part-content-id", REFUSED)                                                 \
	X(PART_SIZE, "part-size", REFUSED)                                                      \
	X(PART_DIGEST, "part-digest", REFUSED)                                                  \
	X(PART_SIGNED, "part-unsigned", REFUSED) /* X-DoPosta-Part missing, odd or too many */  \
	X(HEADER_FROM, "header-from", REFUSED)                                                  \
	X(HEADER_REPLY_TO, "header-reply-to", REFUSED)                                          \
	X(HEADER_TO, "header-to", REFUSED)	     /* not the one recipient */                \
	X(HEADER_SUBJECT, "header-subject", REFUSED) /* missing, or no text */                  \
	X(HEADER_DATE, "header-date", REFUSED)	     /* not of the grammar, or with text */  \
	X(HEADER_LIST_ID, "header-list-id", REFUSED)                                            \
	X(HEADER_URL, "header-url", REFUSED) /* List-Unsubscribe leads to a foreign host */     \
	X(HEADER_FOREIGN, "header-foreign", REFUSED) /* a field the manifest does not allow */  \
	X(HEADER_MISSING, "header-missing", REFUSED) /* From, To, Date or Message-ID */         \
	/* the campaign is not for this message (the milter says these) */                      \
	X(UNKNOWN, "unknown-campaign", REFUSED)                                                 \
	X(NOT_ACTIVE, "not-active", REFUSED)                                                    \
	X(NOT_YET, "not-yet", LATER)                                                            \
	X(EXPIRED, "expired", REFUSED)                                                          \
	X(CAP, "cap", REFUSED)                                                                  \
	X(REVOKED, "revoked", REFUSED)                                                          \
	X(NOT_IN_AUDIENCE, "audience", REFUSED)                                                 \
	X(MAC, "mac", REFUSED)		       /* the campaign header is not the sender's */    \
	X(NO_CAMPAIGN, "no-campaign", REFUSED) /* the stream demands one */                     \
	X(POLICY, "policy", REFUSED)	       /* links-only: hosts, active content, types */   \
	X(SENSITIVE, "sensitive", REFUSED)                                                      \
	/* it cannot be judged */                                                               \
	X(AMBIGUOUS, "ambiguous", AMBIGUOUS) /* the gate's rule says why */                     \
	X(TOO_BIG, "too-big", TOO_BIG)                                                          \
	X(SECOND_RCPT, "second-recipient", ONE_RCPT)                                            \
	X(STORE, "store", LATER) /* relay's feed: away, too old, damaged */                     \
	X(KEYD, "keyd", LATER)                                                                  \
	X(TIME, "time", LATER)                                                                  \
	X(MEMORY, "memory", LATER)
#define CAMP_X(sym, name, reply) CAMP_##sym,
enum camp_verdict { CAMP_VERDICTS(CAMP_X) CAMP_VERDICT_COUNT };
#undef CAMP_X

#define CAMP_VERDICT_TEXT "Campaign refused, report " /* the report's id follows */

struct camp_reply {
	int code;	      /* 250, 550 ... */
	const char *enhanced; /* "5.7.1" */
};
/* "field-value"; static storage. */
const char *camp_verdict_name(enum camp_verdict v);
struct camp_reply camp_verdict_reply(enum camp_verdict v);

#endif
