/* SPDX-License-Identifier: Apache-2.0 */
/* camp_owner - which hosts a domain that a customer has proven covers, and how he proves it.
 *
 * Story:     links of a campaign lead to hosts of the customer alone. He owns a host if it is a domain of his or stands
 *            below one, and nobody else can register names between the two: example.com covers www.example.com, but
 *            amazonaws.com does not cover shop.s3.amazonaws.com, which lies under a public suffix of its own. Who
 *            publishes camp_owner_text as a TXT record of camp_owner_name has the domain in his hands.
 * Domains:   lower case, A-labels, no dot at the end; letters, digits and hyphens.
 * Thread:    pure; any.
 * Source:    sealpost-domain(8); the Public Suffix List (mail_url.h). */
#ifndef CAMPAIGN_CAMP_OWNER_H
#define CAMPAIGN_CAMP_OWNER_H

#include "core/span.h"
#include "mail/mail_url.h"

#define CAMP_OWNER_DOMAINS   1000 /* of one customer */
#define CAMP_OWNER_LABEL     "_sealpost."
#define CAMP_OWNER_PREFIX    "sealpost-domain-verification="
#define CAMP_OWNER_CHALLENGE 32 /* octets of a challenge: hexadecimal */
#define CAMP_OWNER_TEXT	     (sizeof(CAMP_OWNER_PREFIX) + CAMP_OWNER_CHALLENGE)
#define CAMP_OWNER_NAME	     (MAIL_URL_HOST + sizeof(CAMP_OWNER_LABEL))

/* A domain as somebody writes it (UTF-8, any case), in the form above. ERR_FORMAT: *why, static, for a person. */
int camp_owner_domain(char dst[MAIL_URL_HOST], struct span text, const char **why);

/* 1 if who owns domain owns host. Both in the form above; another host is nobody's. */
int camp_owner_covers(const char *domain, const char *host);

/* Where the record stands, and what it says. */
void camp_owner_name(char dst[CAMP_OWNER_NAME], const char *domain);
void camp_owner_text(char dst[CAMP_OWNER_TEXT], const char *challenge);

/* What TXT records at that name say of a challenge. Blanks around the text do not matter, all else does. */
enum camp_owner_verdict { CAMP_OWNER_FOUND, CAMP_OWNER_OTHER, CAMP_OWNER_MISSING };
enum camp_owner_verdict camp_owner_judge(const struct span *texts, size_t n, const char *challenge);

#endif
