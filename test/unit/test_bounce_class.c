/* SPDX-License-Identifier: Apache-2.0 */
/* Replies as servers in the field give them: the texts that their operators publish, and the defaults of
 * the programs. Addresses are changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "relay/bounce/bounce_class.h"

#define C(sym) BOUNCE_CLASS_##sym

static const struct {
	const char *who;
	unsigned code;
	const char *status, *text;
	enum bounce_class class;
	int hard;
} replies[] = {
    /* Gmail */
    {"Gmail", 550, "5.1.1",
     "The email account that you tried to reach does not exist. Please try double-checking the "
     "recipient's email address for typos or unnecessary spaces. For more information, go to "
     "https://support.google.com/mail/?p=NoSuchUser",
     C(BAD_MAILBOX), 1},
    {"Gmail", 550, "5.2.1", "The email account that you tried to reach is inactive.",
     C(INACTIVE_MAILBOX), 1},
    {"Gmail", 550, "5.2.1", "The email account that you tried to reach is disabled.",
     C(INACTIVE_MAILBOX), 1},
    {"Gmail", 552, "5.2.2", "The recipient's inbox is out of storage space and inactive.",
     C(QUOTA_ISSUES), 0},
    {"Gmail", 452, "4.2.2", "The recipient's inbox is out of storage space.", C(QUOTA_ISSUES), 0},
    {"Gmail", 450, "4.2.1",
     "The user you are trying to contact is receiving mail at a rate that prevents additional "
     "messages "
     "from being delivered.",
     C(POLICY_RELATED), 0},
    {"Gmail", 421, "4.7.28",
     "Gmail has detected an unusual rate of unsolicited mail originating from your IP address.",
     C(SPAM_RELATED), 0},
    {"Gmail", 550, "5.7.1",
     "Our system has detected that this message is likely unsolicited mail. To reduce the amount "
     "of spam "
     "sent to Gmail, this message has been blocked.",
     C(SPAM_RELATED), 0},
    {"Gmail", 550, "5.7.26",
     "This mail has been blocked because the sender is unauthenticated. Gmail requires all senders "
     "to "
     "authenticate with either SPF or DKIM.",
     C(POLICY_RELATED), 0},
    {"Gmail", 550, "5.7.25",
     "The IP address sending this message does not have a PTR record setup, or the corresponding "
     "forward "
     "DNS entry does not match the sending IP.",
     C(POLICY_RELATED), 0},
    {"Gmail", 552, "5.7.0",
     "This message was blocked because its content presents a potential security issue.",
     C(CONTENT_RELATED), 0},
    {"Gmail", 552, "5.3.4", "Your message exceeded Google's message size limits.",
     C(CONTENT_RELATED), 0},
    /* Outlook.com, Exchange Online */
    {"Outlook", 550, "5.5.0", "Requested action not taken: mailbox unavailable (S2017062302).",
     C(BAD_MAILBOX), 1},
    {"Exchange", 550, "5.1.10",
     "RESOLVER.ADR.RecipientNotFound; Recipient gone@example.com not found by SMTP address lookup",
     C(BAD_MAILBOX), 1},
    {"Exchange", 550, "5.4.1", "Recipient address rejected: Access denied. [AM0PR01.example]",
     C(BAD_MAILBOX), 1},
    {"Exchange", 554, "5.2.2",
     "mailbox full; "
     "STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded",
     C(QUOTA_ISSUES), 0},
    {"Outlook", 550, "5.7.1",
     "Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service "
     "provider since part of their network is on our block list (S3150).",
     C(SPAM_RELATED), 0},
    {"Outlook", 550, "5.7.606", "Access denied, banned sending IP [192.0.2.1].", C(SPAM_RELATED),
     0},
    {"Outlook", 451, "4.7.650",
     "The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.",
     C(POLICY_RELATED), 0},
    {"Outlook", 550, "5.7.515",
     "Access denied, sending domain example.org doesn't meet the required authentication level.",
     C(POLICY_RELATED), 0},
    {"Exchange", 550, "5.7.124", "Sender not in allowed-senders list", C(POLICY_RELATED), 0},
    {"Exchange", 451, "4.7.500", "Server busy. Please try again later from [192.0.2.1].",
     C(POLICY_RELATED), 0},
    {"Exchange", 550, "5.7.54", "SMTP; Unable to relay recipient in non-accepted domain",
     C(RELAYING_ISSUES), 0},
    {"Exchange", 550, "5.4.14", "Hop count exceeded - possible mail loop", C(ROUTING_ERRORS), 0},
    {"Exchange", 452, "4.3.1", "Insufficient system resources", C(BAD_CONFIGURATION), 0},
    /* Yahoo, AOL */
    {"Yahoo", 554, "",
     "delivery error: dd This user doesn't have a yahoo.com account (gone@yahoo.com) [0]",
     C(BAD_MAILBOX), 1},
    {"Yahoo", 552, "", "1 Requested mail action aborted, mailbox not found", C(BAD_MAILBOX), 1},
    {"Yahoo", 554, "",
     "30 Sorry, your message to user@yahoo.com cannot be delivered. This mailbox is disabled "
     "(554.30).",
     C(INACTIVE_MAILBOX), 1},
    {"Yahoo", 421, "4.7.0",
     "[TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user "
     "complaints",
     C(SPAM_RELATED), 0},
    {"Yahoo", 553, "5.7.2",
     "[TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.",
     C(SPAM_RELATED), 0},
    {"Yahoo", 554, "5.7.9",
     "Message not accepted for policy reasons. See https://postmaster.example", C(POLICY_RELATED),
     0},
    {"AOL", 550, "5.1.1", "<gone@aol.com>: Recipient address rejected: aol.com", C(BAD_MAILBOX), 1},
    /* Postfix */
    {"Postfix", 550, "5.1.1",
     "<gone@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
     C(BAD_MAILBOX), 1},
    {"Postfix", 450, "4.1.1", "<new@example.com>: Recipient address rejected: unverified address",
     C(BAD_MAILBOX), 0},
    {"Postfix", 554, "5.7.1", "<x@example.com>: Relay access denied", C(RELAYING_ISSUES), 0},
    {"Postfix", 450, "4.2.0",
     "<x@example.com>: Recipient address rejected: Greylisted, see "
     "http://postgrey.example/help",
     C(POLICY_RELATED), 0},
    {"Postfix", 450, "4.1.8", "<a@nowhere.example>: Sender address rejected: Domain not found",
     C(INVALID_SENDER), 0},
    {"Postfix", 554, "5.7.1",
     "Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", C(SPAM_RELATED),
     0},
    {"Postfix", 552, "5.3.4", "Message size exceeds fixed limit", C(CONTENT_RELATED), 0},
    {"Postfix", 451, "4.3.0", "Error: queue file write error", C(BAD_CONFIGURATION), 0},
    {"Postfix", 451, "4.3.5", "Server configuration error", C(BAD_CONFIGURATION), 0},
    {"Postfix", 450, "4.7.25", "Client host rejected: cannot find your hostname, [192.0.2.1]",
     C(POLICY_RELATED), 0},
    {"Postfix", 504, "5.5.2", "<localhost>: Helo command rejected: need fully-qualified hostname",
     C(PROTOCOL_ERRORS), 0},
    {"Postfix", 554, "5.4.6", "Error: too many hops", C(ROUTING_ERRORS), 0},
    {"Postfix", 452, "4.2.2", "<full@example.com>: Mailbox is full", C(QUOTA_ISSUES), 0},
    {"Postfix", 421, "4.7.0", "mx.example.com Error: too many connections from 192.0.2.1",
     C(POLICY_RELATED), 0},
    {"Postfix", 550, "5.1.2", "<x@example.com>: Recipient address rejected: Domain not found",
     C(BAD_DOMAIN), 1},
    {"Postfix", 556, "5.1.10",
     "<x@example.com>: Recipient address rejected: Domain example.com does not "
     "accept mail (nullMX)",
     C(BAD_DOMAIN), 1},
    /* Exim */
    {"Exim", 550, "", "Unrouteable address", C(BAD_MAILBOX), 1},
    {"Exim", 550, "", "relay not permitted", C(RELAYING_ISSUES), 0},
    {"Exim", 550, "", "Sender verify failed", C(INVALID_SENDER), 0},
    {"Exim", 550, "", "rejected because 192.0.2.1 is in a black list at bl.example",
     C(SPAM_RELATED), 0},
    {"Exim", 451, "", "Temporary local problem - please try later", C(BAD_CONFIGURATION), 0},
    {"Exim", 552, "", "Message size exceeds maximum permitted", C(CONTENT_RELATED), 0},
    {"Exim", 550, "", "Administrative prohibition", C(POLICY_RELATED), 0},
    {"Exim", 550, "", "This message contains a virus (Eicar-Test-Signature)", C(VIRUS_RELATED), 0},
    {"Exim", 451, "", "greylisted host=mx", C(POLICY_RELATED), 0},
    /* OpenSMTPD, qmail, Sendmail, Domino */
    {"OpenSMTPD", 550, "", "Invalid recipient: <gone@example.com>", C(BAD_MAILBOX), 1},
    {"qmail", 553, "5.7.1", "sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
     C(RELAYING_ISSUES), 0},
    {"qmail", 550, "5.1.1", "sorry, no mailbox here by that name. (#5.1.1)", C(BAD_MAILBOX), 1},
    {"Sendmail", 550, "5.1.1", "<gone@example.com>... User unknown", C(BAD_MAILBOX), 1},
    {"Sendmail", 550, "5.7.1", "<x@example.com>... Relaying denied", C(RELAYING_ISSUES), 0},
    {"Sendmail", 501, "5.1.8", "Domain of sender address a@nowhere.example does not exist",
     C(INVALID_SENDER), 0},
    {"Domino", 550, "", "gone@example.com... No such user", C(BAD_MAILBOX), 1},
    /* German and other providers */
    {"GMX", 550, "", "Requested action not taken: mailbox unavailable", C(BAD_MAILBOX), 1},
    {"GMX", 554, "",
     "gmx.net (mxgmx001) Nemesis ESMTP Service not available. No SMTP service. Bad DNS PTR "
     "resource "
     "record.",
     C(POLICY_RELATED), 0},
    {"WEB.DE", 554, "", "web.de (mxweb001) Transaction failed. Reject due to policy restrictions.",
     C(POLICY_RELATED), 0},
    {"T-Online", 554, "",
     "IP=192.0.2.1 - A problem occurred. Ask your postmaster for help or to contact "
     "tosa@rx.t-online.de",
     C(POLICY_RELATED), 0},
    {"iCloud", 552, "5.2.2", "<x@icloud.com>: user is over quota", C(QUOTA_ISSUES), 0},
    {"iCloud", 550, "5.7.1", "[CS01] Message rejected due to local policy.", C(POLICY_RELATED), 0},
    {"Comcast", 550, "5.1.1", "Not our Customer", C(BAD_MAILBOX), 1},
    {"Proofpoint", 554, "5.7.1", "Blocked - see https://ipcheck.example/?ip=192.0.2.1",
     C(SPAM_RELATED), 0},
    {"Mimecast", 550, "", "csi.example.org Poor Reputation Sender.", C(SPAM_RELATED), 0},
    {"Mimecast", 550, "", "Rejected by header based manually Blocked Senders", C(POLICY_RELATED),
     0},
    {"Amavis", 554, "5.7.0", "Reject, id=00001-01 - INFECTED: Eicar-Signature", C(VIRUS_RELATED),
     0},
    {"Rspamd", 554, "5.7.1", "Gtube pattern", C(SPAM_RELATED), 0},
    {"Rspamd", 451, "4.7.1", "Try again later", C(POLICY_RELATED), 0},
    /* words of ours, where there was no reply: the status decides */
    {"ours", 0, "4.4.1", "4.4.1 cannot connect: Connection refused", C(NO_ANSWER_FROM_HOST), 0},
    {"ours", 0, "4.4.2", "4.4.2 connection lost", C(BAD_CONNECTION), 0},
    {"ours", 0, "5.1.2", "5.1.2 domain does not exist", C(BAD_DOMAIN), 1},
    {"ours", 0, "4.4.3", "4.4.3 name lookup failed", C(ROUTING_ERRORS), 0},
    {"ours", 0, "4.4.7", "", C(MESSAGE_EXPIRED), 0},
    /* nothing but a code or a status */
    {"bare", 550, "5.1.1", "", C(BAD_MAILBOX), 1},
    {"bare", 550, "5.2.1", "", C(INACTIVE_MAILBOX), 1},
    {"bare", 452, "4.2.2", "", C(QUOTA_ISSUES), 0},
    {"bare", 552, "", "", C(QUOTA_ISSUES), 0},
    {"bare", 500, "", "what?", C(PROTOCOL_ERRORS), 0},
    {"bare", 550, "", "no", C(OTHER), 0},
    {"bare", 554, "5.0.0", "no", C(OTHER), 0},
    {"bare", 0, "", "", C(OTHER), 0},
    {"bare", 999, "9.9.9", "?", C(OTHER), 0},
    {"bare", 550, "5.7.13", "", C(INACTIVE_MAILBOX), 1},
};

static void replies_of_the_field_have_their_class(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		enum bounce_class c =
		    bounce_class_of(replies[i].code, replies[i].status, replies[i].text);
		int hard = bounce_class_hard(c, replies[i].code, replies[i].status);
		if (c == replies[i].class && hard == replies[i].hard)
			continue;
		print_error("%s: %s: %s, hard %d\n", replies[i].who, replies[i].text,
			    bounce_class_name(c), hard);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void case_and_folds_do_not_matter(void **state)
{
	(void)state;
	assert_int_equal(bounce_class_of(550, "", "USER\r\n\t  UNKNOWN"), C(BAD_MAILBOX));
	assert_int_equal(bounce_class_of(550, NULL, NULL), C(OTHER));
}

static void names_are_complete_and_differ(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BOUNCE_CLASS_COUNT; i++) {
		assert_true(strlen(bounce_class_name(i)) > 0);
		assert_true(strlen(bounce_class_meaning(i)) > 0);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(bounce_class_name(i), bounce_class_name(j));
	}
	assert_string_equal(bounce_class_name(BOUNCE_CLASS_COUNT), "other");
}

static void the_manual_page_has_every_class(void **state)
{
	static char page[65536];
	const char *srcdir = getenv("srcdir");
	char path[4096], item[64];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/man/sealpost-bounce.7", srcdir ? srcdir : ".");
	f = fopen(path, "r");
	if (!f)
		skip();
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	fclose(f);
	for (unsigned i = 0; i < BOUNCE_CLASS_COUNT; i++) {
		snprintf(item, sizeof(item), "\n.It Cm %s\n", bounce_class_name(i));
		assert_non_null(strstr(page, item));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replies_of_the_field_have_their_class),
	    cmocka_unit_test(case_and_folds_do_not_matter),
	    cmocka_unit_test(names_are_complete_and_differ),
	    cmocka_unit_test(the_manual_page_has_every_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
