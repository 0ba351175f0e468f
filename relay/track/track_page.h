/* SPDX-License-Identifier: Apache-2.0 */
/* track_page - every reply of the tracking host, in one table, and the pages that people see.
 *
 * Story:  put appends a whole reply. All of them: no-store, no referrer, not for search engines, no cookie, a policy that
 *         lets pages load nothing at all and send forms to their own host alone. Pages hold no picture, no script and
 *         nothing that came with the request.
 * Thread: pure; any. init once, before.
 * Source: sealpost-tracking(8), REPLIES. */
#ifndef RELAY_TRACK_TRACK_PAGE_H
#define RELAY_TRACK_TRACK_PAGE_H

#include "core/buf.h"

/* X(symbol, status, reason phrase, title, text); title "": no page. */
#define TRACK_REPLIES(X)                                                                             \
	X(PIXEL, 200, "OK", "", "")                                                                   \
	X(GO, 302, "Found", "", "")                                                                   \
	X(CONFIRM, 200, "OK", "Unsubscribe?",                                                         \
	  "Press the button, and this sender will send you no more mail.")                            \
	X(DONE, 200, "OK", "You are unsubscribed",                                                    \
	  "This sender\xe2\x80\x99s mail to you is stopped from now on. What is under way may still arrive.") \
	X(NOTHING, 200, "OK", "Nothing here", "This link leads nowhere.")                             \
	X(ROBOTS, 200, "OK", "", "")                                                                  \
	X(BAD, 400, "Bad Request", "This request cannot be read",                                     \
	  "The program that made it does not speak HTTP as this server does.")                        \
	X(NOT_FOUND, 404, "Not Found", "This link leads nowhere",                                     \
	  "It may have been cut or changed on its way. Look for it in the message once more.")        \
	X(METHOD, 405, "Method Not Allowed", "That cannot be done here", "Links can be followed; that is all.") \
	X(TIMEOUT, 408, "Request Timeout", "", "")                                                    \
	X(GONE, 410, "Gone", "This link has expired",                                                 \
	  "It was good for a while after the message was sent. To unsubscribe, answer the message.") \
	X(LARGE, 413, "Content Too Large", "", "")                                                    \
	X(TYPE, 415, "Unsupported Media Type", "", "")                                                \
	X(MISDIRECTED, 421, "Misdirected Request", "", "")                                            \
	X(MANY, 429, "Too Many Requests", "Too many requests", "Wait a minute, then try again.")      \
	X(HEAD_LARGE, 431, "Request Header Fields Too Large", "", "")                                 \
	X(AWAY, 503, "Service Unavailable", "Not possible just now",                                  \
	  "Please try again in a few minutes. Nothing was changed.")

enum track_reply {
#define TRACK_X(sym, status, phrase, title, text) TRACK_REPLY_##sym,
	TRACK_REPLIES(TRACK_X)
#undef TRACK_X
	TRACK_REPLY_COUNT
};

#define TRACK_PAGE_MAX	   8192 /* no reply is longer but for a destination */
#define TRACK_PAGE_RETRY   60	/* seconds, of Retry-After */
#define TRACK_PAGE_URL_MAX 4096

struct track_page {
	enum track_reply reply;
	int head;	      /* of HEAD: without the body */
	int close;	      /* the connection ends with it */
	int form;	      /* of METHOD: POST is taken there too */
	const char *location; /* of GO: as track_page_location made it */
};
int track_page_init(void);
int track_page_put(struct buf *out, const struct track_page *p, int64_t now);
unsigned track_page_status(enum track_reply r);

/* url as it may stand in Location, with a fragment of its own in any case, so that none is inherited. ERR_FORMAT: it is no
 * absolute http or https URL of printable ASCII. */
int track_page_location(char dst[TRACK_PAGE_URL_MAX], struct span url);

#endif
