/* SPDX-License-Identifier: Apache-2.0 */
/* track_bot - who made a hit: a person, a machine, a proxy that fetches pictures for people, or nobody can tell.
 *
 * Story:     judge looks at one hit and at those around it. Nothing is thrown away for what it says: hits are counted by
 *            class, and reports show those of people unless asked for all. As hits that come later say something of those
 *            before them, all hits of the last TRACK_BOT_REVISED are judged again when one comes that is near them; then
 *            the class is what it is.
 * Reasons:   hard ones make a machine; that of an image proxy makes a proxy, unless there is a hard one; weak ones make
 *            it unknown, unless there is one of the others. No reason: a person.
 * Neighbours: any hits, in any order, the hit itself may be among them; those that are not near are passed over. Two hits
 *            are of one reader if they have the same number of a message, or none, the same campaign and network.
 * Thread:    pure; any.
 * Source:    sealpost-tracking(8), CLASSES. */
#ifndef RELAY_TRACK_TRACK_BOT_H
#define RELAY_TRACK_TRACK_BOT_H

#include <stddef.h>
#include <stdint.h>

#define TRACK_BOT_SECOND  INT64_C(1000000)
#define TRACK_BOT_REVISED (600 * TRACK_BOT_SECOND)
#define TRACK_BOT_BURST	  (2 * TRACK_BOT_SECOND)  /* that many links within */
#define TRACK_BOT_LINKS	  3
#define TRACK_BOT_SWEEP	  (60 * TRACK_BOT_SECOND) /* pixel and all links in order within */
#define TRACK_BOT_CROWD	  (60 * TRACK_BOT_SECOND) /* that many recipients from one network within */
#define TRACK_BOT_MANY	  8
#define TRACK_BOT_INSTANT TRACK_BOT_SECOND /* after delivery */

/* X(symbol, number, name). Numbers lie in database and ledger. */
#define TRACK_KINDS(X) X(CLICK, 0, "click") X(OPEN, 1, "open") X(UNSUBSCRIBE, 2, "unsubscribe")
#define TRACK_CLASSES(X)                                                                           \
	X(HUMAN, 0, "human") X(MACHINE, 1, "machine") X(PROXY, 2, "proxy") X(UNKNOWN, 3, "unknown")
/* X(symbol, bit, name, what it makes) */
#define TRACK_REASONS(X)                                                                           \
	X(HEAD, 0, "head", MACHINE)		/* asked for the head alone */                      \
	X(HONEYPOT, 1, "honeypot", MACHINE)	/* this reader followed an invisible link */        \
	X(BURST, 2, "burst", MACHINE)		/* many links at once */                            \
	X(SWEEP, 3, "sweep", MACHINE)		/* the pixel and every link, in order */            \
	X(CROWD, 4, "crowd", MACHINE)		/* one network, many recipients */                  \
	X(SCANNER, 5, "scanner", MACHINE)	/* it says so itself */                             \
	X(EARLY, 6, "early", MACHINE)		/* before the message was delivered */              \
	X(IMAGE_PROXY, 7, "image-proxy", PROXY) /* fetched by a mail service */                    \
	X(INSTANT, 8, "instant", UNKNOWN)	/* within a second of delivery */                   \
	X(AGENT, 9, "agent", UNKNOWN)		/* a program that says nothing, or nothing known */ \
	X(ASKED, 10, "asked", HUMAN)		/* unsubscribing is asked for, whoever asks */

enum track_kind {
#define TRACK_X(sym, num, name) TRACK_KIND_##sym = num,
	TRACK_KINDS(TRACK_X)
#undef TRACK_X
	TRACK_KIND_COUNT
};
enum track_class {
#define TRACK_X(sym, num, name) TRACK_CLASS_##sym = num,
	TRACK_CLASSES(TRACK_X)
#undef TRACK_X
	TRACK_CLASS_COUNT
};
enum track_reason {
#define TRACK_X(sym, bit, name, makes) TRACK_REASON_##sym = 1 << bit,
	TRACK_REASONS(TRACK_X)
#undef TRACK_X
};

struct track_bot_hit {
	int64_t at;	 /* wall usec */
	uint64_t tid;	 /* 0: nobody in particular */
	uint64_t net;	 /* stands for the network it came from */
	uint32_t number; /* of the campaign version */
	uint16_t link;
	uint8_t kind;  /* enum track_kind */
	uint8_t agent; /* enum track_agent */
	uint8_t head;  /* the method was HEAD */
};
struct track_bot_facts {
	unsigned links;		 /* of the campaign, numbered from 0; 0: not known */
	int64_t sent, delivered; /* 0: not known; not yet */
};

enum track_class track_bot_judge(const struct track_bot_hit *h, const struct track_bot_facts *f,
				 const struct track_bot_hit *const *near, size_t count, uint32_t *reasons);

/* "unknown" for a number that has no name. */
const char *track_bot_kind(unsigned kind);
const char *track_bot_class(unsigned class);
/* "burst,scanner"; "" for none. dst of TRACK_BOT_TEXT. */
#define TRACK_BOT_TEXT 128
void track_bot_reasons(char dst[TRACK_BOT_TEXT], uint32_t reasons);

#endif
