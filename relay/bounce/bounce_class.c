/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/bounce/bounce_class.h"

#include <stdlib.h>

enum { TEXT_ROOM = 1024 };

static const struct {
	const char *name, *meaning;
} classes[] = {
#define BOUNCE_X(sym, name, meaning) [BOUNCE_CLASS_##sym] = {name, meaning},
    BOUNCE_CLASSES(BOUNCE_X)
#undef BOUNCE_X
};

/* In lower case; "*" stands for anything. The first that occurs counts: what is special stands before
 * what is general. */
struct phrase {
	const char *text;
	uint8_t class;
};
#define P(text, sym)                     \
	{                                \
		text, BOUNCE_CLASS_##sym \
	}

static const struct phrase phrases[] = {
    /* malware */
    P("infected", VIRUS_RELATED),
    P("virus", VIRUS_RELATED),
    P("malware", VIRUS_RELATED),
    P("trojan", VIRUS_RELATED),
    P("phishing", VIRUS_RELATED),
    /* the sender, before words that could be the recipient's too */
    P("sender verify failed", INVALID_SENDER),
    P("sender address rejected", INVALID_SENDER),
    P("sender rejected", INVALID_SENDER),
    P("sender domain", INVALID_SENDER),
    P("invalid sender", INVALID_SENDER),
    P("domain of sender address", INVALID_SENDER),
    P("sender denied", INVALID_SENDER),
    P("backscatter", INVALID_SENDER),
    P("return address does not", INVALID_SENDER),
    P("not in allowed-senders list", POLICY_RELATED),
    P("blocked senders", POLICY_RELATED),
    /* authentication and rules */
    P("dmarc", POLICY_RELATED),
    P("dkim", POLICY_RELATED),
    P("spf ", POLICY_RELATED),
    P("sender policy framework", POLICY_RELATED),
    P("authentication level", POLICY_RELATED),
    P("unauthenticated", POLICY_RELATED),
    P("authentication required", POLICY_RELATED),
    P("greylist", POLICY_RELATED),
    P("graylist", POLICY_RELATED),
    P("grey-list", POLICY_RELATED),
    P("grey list", POLICY_RELATED),
    P("is receiving mail", POLICY_RELATED),
    P("too many connections", POLICY_RELATED),
    P("too many concurrent", POLICY_RELATED),
    P("too many sessions", POLICY_RELATED),
    P("too many messages", POLICY_RELATED),
    P("too many recipients", POLICY_RELATED),
    P("too much mail", POLICY_RELATED),
    P("rate limit", POLICY_RELATED),
    P("throttl", POLICY_RELATED),
    P("slow down", POLICY_RELATED),
    P("ptr record", POLICY_RELATED),
    P("dns ptr", POLICY_RELATED),
    P("reverse dns", POLICY_RELATED),
    P("cannot find your", POLICY_RELATED),
    /* spam and lists */
    P("spam", SPAM_RELATED),
    P("unsolicited", SPAM_RELATED),
    P("junk mail", SPAM_RELATED),
    P("blacklist", SPAM_RELATED),
    P("black list", SPAM_RELATED),
    P("blocklist", SPAM_RELATED),
    P("block list", SPAM_RELATED),
    P("denylist", SPAM_RELATED),
    P("banned sending ip", SPAM_RELATED),
    P("blocked using", SPAM_RELATED),
    P("blocked by", SPAM_RELATED),
    P("blocked - see", SPAM_RELATED),
    P("is blocked", SPAM_RELATED),
    P("dnsbl", SPAM_RELATED),
    P("rbl", SPAM_RELATED),
    P("reputation", SPAM_RELATED),
    P("user complaints", SPAM_RELATED),
    P("[tss", SPAM_RELATED),
    P("will be permanently deferred", SPAM_RELATED),
    P("bulk mail", SPAM_RELATED),
    P("gtube", SPAM_RELATED),
    P("barracuda", SPAM_RELATED),
    P("spamhaus", SPAM_RELATED),
    P("proofpoint", SPAM_RELATED),
    P("sorbs", SPAM_RELATED),
    /* quota */
    P("over quota", QUOTA_ISSUES),
    P("overquota", QUOTA_ISSUES),
    P("over its quota", QUOTA_ISSUES),
    P("exceeded*quota", QUOTA_ISSUES),
    P("exceeded storage", QUOTA_ISSUES),
    P("exceeds quota", QUOTA_ISSUES),
    P("quota exceeded", QUOTA_ISSUES),
    P("quotaexceeded", QUOTA_ISSUES),
    P("quota full", QUOTA_ISSUES),
    P("mailbox full", QUOTA_ISSUES),
    P("mailbox is full", QUOTA_ISSUES),
    P("mailfolder is full", QUOTA_ISSUES),
    P("inbox is full", QUOTA_ISSUES),
    P("mailbox has exceeded", QUOTA_ISSUES),
    P("mailbox size limit", QUOTA_ISSUES),
    P("out of storage", QUOTA_ISSUES),
    P("storage full", QUOTA_ISSUES),
    P("storage limit", QUOTA_ISSUES),
    P("not enough storage", QUOTA_ISSUES),
    P("no space left", BAD_CONFIGURATION),
    P("disk full", BAD_CONFIGURATION),
    P("insufficient system storage", BAD_CONFIGURATION),
    P("insufficient disk space", BAD_CONFIGURATION),
    P("insufficient system resources", BAD_CONFIGURATION),
    /* relaying */
    P("relay access denied", RELAYING_ISSUES),
    P("relaying denied", RELAYING_ISSUES),
    P("relay denied", RELAYING_ISSUES),
    P("relaying not allowed", RELAYING_ISSUES),
    P("relay not permitted", RELAYING_ISSUES),
    P("unable to relay", RELAYING_ISSUES),
    P("not permitted to relay", RELAYING_ISSUES),
    P("no relaying", RELAYING_ISSUES),
    P("rcpthosts", RELAYING_ISSUES),
    P("doesn't handle mail for", RELAYING_ISSUES),
    P("not a local domain", RELAYING_ISSUES),
    /* inactive */
    P("account has been disabled", INACTIVE_MAILBOX),
    P("account is disabled", INACTIVE_MAILBOX),
    P("account disabled", INACTIVE_MAILBOX),
    P("that you tried to reach is disabled", INACTIVE_MAILBOX),
    P("that you tried to reach is inactive", INACTIVE_MAILBOX),
    P("user disabled", INACTIVE_MAILBOX),
    P("user is disabled", INACTIVE_MAILBOX),
    P("mailbox disabled", INACTIVE_MAILBOX),
    P("mailbox is disabled", INACTIVE_MAILBOX),
    P("mailbox is inactive", INACTIVE_MAILBOX),
    P("mailbox inactive", INACTIVE_MAILBOX),
    P("mailbox currently unavailable", INACTIVE_MAILBOX),
    P("mailbox expired", INACTIVE_MAILBOX),
    P("account expired", INACTIVE_MAILBOX),
    P("account is inactive", INACTIVE_MAILBOX),
    P("account inactive", INACTIVE_MAILBOX),
    P("inactive user", INACTIVE_MAILBOX),
    P("user is inactive", INACTIVE_MAILBOX),
    P("inactive recipient", INACTIVE_MAILBOX),
    P("account suspended", INACTIVE_MAILBOX),
    P("user suspended", INACTIVE_MAILBOX),
    P("account closed", INACTIVE_MAILBOX),
    P("account has been closed", INACTIVE_MAILBOX),
    P("account is locked", INACTIVE_MAILBOX),
    P("mailbox locked", INACTIVE_MAILBOX),
    P("no longer active", INACTIVE_MAILBOX),
    P("no longer accepts mail", INACTIVE_MAILBOX),
    P("no longer available", INACTIVE_MAILBOX),
    P("no longer valid", INACTIVE_MAILBOX),
    P("no longer in use", INACTIVE_MAILBOX),
    P("has moved", INACTIVE_MAILBOX),
    /* bad mailbox */
    P("user unknown", BAD_MAILBOX),
    P("unknown user", BAD_MAILBOX),
    P("unknown recipient", BAD_MAILBOX),
    P("unknown address", BAD_MAILBOX),
    P("unknown local part", BAD_MAILBOX),
    P("unknown mailbox", BAD_MAILBOX),
    P("unknown or illegal", BAD_MAILBOX),
    P("recipient unknown", BAD_MAILBOX),
    P("address unknown", BAD_MAILBOX),
    P("no such user", BAD_MAILBOX),
    P("no such recipient", BAD_MAILBOX),
    P("no such mailbox", BAD_MAILBOX),
    P("no such address", BAD_MAILBOX),
    P("no such local user", BAD_MAILBOX),
    P("no such person", BAD_MAILBOX),
    P("no such email", BAD_MAILBOX),
    P("no such account", BAD_MAILBOX),
    P("no mailbox", BAD_MAILBOX),
    P("not our customer", BAD_MAILBOX),
    P("not a valid mailbox", BAD_MAILBOX),
    P("not a valid user", BAD_MAILBOX),
    P("not a known user", BAD_MAILBOX),
    P("not listed in", BAD_MAILBOX),
    P("invalid mailbox", BAD_MAILBOX),
    P("invalid recipient", BAD_MAILBOX),
    P("invalid address", BAD_MAILBOX),
    P("invalid user", BAD_MAILBOX),
    P("bad destination mailbox", BAD_MAILBOX),
    P("mailbox unavailable", BAD_MAILBOX),
    P("mailbox not found", BAD_MAILBOX),
    P("mailbox does not exist", BAD_MAILBOX),
    P("recipientnotfound", BAD_MAILBOX),
    P("recipient not found", BAD_MAILBOX),
    P("user not found", BAD_MAILBOX),
    P("account not found", BAD_MAILBOX),
    P("address not found", BAD_MAILBOX),
    P("doesn't have a", BAD_MAILBOX),
    P("does not have an account", BAD_MAILBOX),
    P("unrouteable address", BAD_MAILBOX),
    P("user doesn't exist", BAD_MAILBOX),
    P("account that you tried to reach does not exist", BAD_MAILBOX),
    P("address couldn't be found", BAD_MAILBOX),
    P("recipient address rejected: access denied", BAD_MAILBOX),
    P("domain not found", BAD_DOMAIN),
    P("domain does not exist", BAD_DOMAIN),
    P("domain doesn't exist", BAD_DOMAIN),
    P("host not found", BAD_DOMAIN),
    P("host or domain name not found", BAD_DOMAIN),
    P("no such domain", BAD_DOMAIN),
    P("unknown domain", BAD_DOMAIN),
    P("domain takes no mail", BAD_DOMAIN),
    P("does not accept mail", BAD_DOMAIN),
    P("does not exist", BAD_MAILBOX),
    P("recipient rejected", BAD_MAILBOX),
    /* content */
    P("message size exceeds", CONTENT_RELATED),
    P("message too large", CONTENT_RELATED),
    P("message too big", CONTENT_RELATED),
    P("message is too", CONTENT_RELATED),
    P("exceeds * size", CONTENT_RELATED),
    P("exceeds size limit", CONTENT_RELATED),
    P("potential security issue", CONTENT_RELATED),
    P("attachment", CONTENT_RELATED),
    P("message content", CONTENT_RELATED),
    P("content rejected", CONTENT_RELATED),
    P("header", CONTENT_RELATED),
    P("bare lf", CONTENT_RELATED),
    P("not rfc 5322", CONTENT_RELATED),
    P("line too long", CONTENT_RELATED),
    /* connection, routing, protocol */
    P("too many hops", ROUTING_ERRORS),
    P("loops back", ROUTING_ERRORS),
    P("mail loop", ROUTING_ERRORS),
    P("unable to route", ROUTING_ERRORS),
    P("lookup failed", ROUTING_ERRORS),
    P("connection timed out", NO_ANSWER_FROM_HOST),
    P("connection refused", NO_ANSWER_FROM_HOST),
    P("network is unreachable", NO_ANSWER_FROM_HOST),
    P("no route to host", NO_ANSWER_FROM_HOST),
    P("delivery time expired", MESSAGE_EXPIRED),
    P("message expired", MESSAGE_EXPIRED),
    P("delivery expired", MESSAGE_EXPIRED),
    P("starttls", BAD_CONNECTION),
    P("tls ", BAD_CONNECTION),
    P("lost connection", BAD_CONNECTION),
    P("connection lost", BAD_CONNECTION),
    P("configuration error", BAD_CONFIGURATION),
    P("misconfigur", BAD_CONFIGURATION),
    P("temporary local problem", BAD_CONFIGURATION),
    P("local error in processing", BAD_CONFIGURATION),
    P("queue file write error", BAD_CONFIGURATION),
    P("internal error", BAD_CONFIGURATION),
    P("policy", POLICY_RELATED),
    P("administrative prohibition", POLICY_RELATED),
    P("prohibited", POLICY_RELATED),
    P("not authorized", POLICY_RELATED),
    P("not allowed", POLICY_RELATED),
    P("access denied", POLICY_RELATED),
    P("client host rejected", POLICY_RELATED),
    P("ask your postmaster", POLICY_RELATED),
    P("unusual rate", POLICY_RELATED),
};
enum { PHRASES = sizeof(phrases) / sizeof(phrases[0]) };

/* Subject and detail of an enhanced status; detail -1: any. */
static const struct {
	int8_t subject;
	int16_t detail;
	uint8_t class;
} statuses[] = {
    {1, 2, BOUNCE_CLASS_BAD_DOMAIN},	     {1, 6, BOUNCE_CLASS_INACTIVE_MAILBOX},
    {1, 7, BOUNCE_CLASS_INVALID_SENDER},     {1, 8, BOUNCE_CLASS_INVALID_SENDER},
    {1, 10, BOUNCE_CLASS_BAD_DOMAIN}, /* null MX (RFC 7505) */
    {1, -1, BOUNCE_CLASS_BAD_MAILBOX},	     {2, 1, BOUNCE_CLASS_INACTIVE_MAILBOX},
    {2, 2, BOUNCE_CLASS_QUOTA_ISSUES},	     {2, 3, BOUNCE_CLASS_CONTENT_RELATED},
    {2, 4, BOUNCE_CLASS_BAD_MAILBOX},	     {3, 4, BOUNCE_CLASS_CONTENT_RELATED},
    {3, -1, BOUNCE_CLASS_BAD_CONFIGURATION}, {4, 1, BOUNCE_CLASS_NO_ANSWER_FROM_HOST},
    {4, 2, BOUNCE_CLASS_BAD_CONNECTION},     {4, 5, BOUNCE_CLASS_POLICY_RELATED},
    {4, 7, BOUNCE_CLASS_MESSAGE_EXPIRED},    {4, -1, BOUNCE_CLASS_ROUTING_ERRORS},
    {5, 3, BOUNCE_CLASS_POLICY_RELATED},     {5, -1, BOUNCE_CLASS_PROTOCOL_ERRORS},
    {6, -1, BOUNCE_CLASS_CONTENT_RELATED},   {7, 13, BOUNCE_CLASS_INACTIVE_MAILBOX},
    {7, 17, BOUNCE_CLASS_BAD_MAILBOX}, /* RFC 7293: the address has a new owner */
    {7, 18, BOUNCE_CLASS_BAD_DOMAIN},	     {7, 27, BOUNCE_CLASS_INVALID_SENDER},
    {7, -1, BOUNCE_CLASS_POLICY_RELATED},
};

static const struct {
	uint16_t code;
	uint8_t class;
} codes[] = {
    {421, BOUNCE_CLASS_BAD_CONNECTION},	   {450, BOUNCE_CLASS_POLICY_RELATED},
    {451, BOUNCE_CLASS_BAD_CONFIGURATION}, {452, BOUNCE_CLASS_BAD_CONFIGURATION},
    {500, BOUNCE_CLASS_PROTOCOL_ERRORS},   {501, BOUNCE_CLASS_PROTOCOL_ERRORS},
    {502, BOUNCE_CLASS_PROTOCOL_ERRORS},   {503, BOUNCE_CLASS_PROTOCOL_ERRORS},
    {504, BOUNCE_CLASS_PROTOCOL_ERRORS},   {521, BOUNCE_CLASS_BAD_DOMAIN},
    {525, BOUNCE_CLASS_INACTIVE_MAILBOX},  {530, BOUNCE_CLASS_POLICY_RELATED},
    {535, BOUNCE_CLASS_POLICY_RELATED},	   {551, BOUNCE_CLASS_RELAYING_ISSUES},
    {552, BOUNCE_CLASS_QUOTA_ISSUES},	   {553, BOUNCE_CLASS_BAD_MAILBOX},
    {555, BOUNCE_CLASS_PROTOCOL_ERRORS},   {556, BOUNCE_CLASS_BAD_DOMAIN},
};

const char *bounce_class_name(unsigned c)
{
	return classes[c < BOUNCE_CLASS_COUNT ? c : BOUNCE_CLASS_OTHER].name;
}

const char *bounce_class_meaning(unsigned c)
{
	return classes[c < BOUNCE_CLASS_COUNT ? c : BOUNCE_CLASS_OTHER].meaning;
}

/* White space and the divider of lines become one blank: phrases run over them. */
static void fold(char dst[TEXT_ROOM], const char *s)
{
	size_t n = 0;

	for (; *s && n + 1 < TEXT_ROOM; s++) {
		char c = *s == '\t' || *s == '\r' || *s == '\n' ? ' ' : *s;
		if (c == ' ' && n && dst[n - 1] == ' ')
			continue;
		dst[n++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	dst[n] = '\0';
}

static int occurs(const char *text, const char *phrase)
{
	const char *star = strchr(phrase, '*');
	char first[32];

	if (!star)
		return strstr(text, phrase) != NULL;
	if ((size_t)(star - phrase) >= sizeof(first))
		return 0;
	memcpy(first, phrase, (size_t)(star - phrase));
	first[star - phrase] = '\0';
	text = strstr(text, first);
	return text && strstr(text + strlen(first), star + 1) != NULL;
}

static int by_text(const char *text)
{
	char folded[TEXT_ROOM];

	fold(folded, text);
	for (size_t i = 0; i < PHRASES; i++)
		if (occurs(folded, phrases[i].text))
			return phrases[i].class;
	return -1;
}

static int by_status(const char *status)
{
	char *end;
	long subject, detail;

	if (!status || (status[0] != '4' && status[0] != '5') || status[1] != '.')
		return -1;
	subject = strtol(status + 2, &end, 10);
	if (*end != '.')
		return -1;
	detail = strtol(end + 1, NULL, 10);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].subject == subject &&
		    (statuses[i].detail == detail || statuses[i].detail < 0))
			return statuses[i].class;
	return -1;
}

static int by_code(unsigned code)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code)
			return codes[i].class;
	return -1;
}

enum bounce_class bounce_class_of(unsigned code, const char *status, const char *text)
{
	int c = text ? by_text(text) : -1;

	if (c < 0)
		c = by_status(status);
	if (c < 0)
		c = by_code(code);
	return c < 0 ? BOUNCE_CLASS_OTHER : (enum bounce_class)c;
}

int bounce_class_hard(enum bounce_class c, unsigned code, const char *status)
{
	int permanent = code ? code >= 500 : status && status[0] == '5';

	return permanent && (c == BOUNCE_CLASS_BAD_MAILBOX || c == BOUNCE_CLASS_INACTIVE_MAILBOX ||
			     c == BOUNCE_CLASS_BAD_DOMAIN);
}
