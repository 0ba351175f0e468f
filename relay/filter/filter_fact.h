/* SPDX-License-Identifier: Apache-2.0 */
/* filter_fact - what relay knows of session and message, as filters are told it: arguments of commands and macros.
 *
 * Story:     the owner of a chain keeps one struct up to date; filter_milter asks for the macros of each stage: those
 *            that the filter has asked for, else the usual ones of Postfix. A macro without a value is left out.
 * Ownership: all pointers are borrowed.
 * Source:    Postfix MILTER_README (macros and their default stages). Pure; any thread. */
#ifndef RELAY_FILTER_FILTER_FACT_H
#define RELAY_FILTER_FILTER_FACT_H

#include "core/buf.h"
#include "milterproto/milterproto.h"

#define FILTER_FACT_STRINGS 24

struct filter_fact_path {    /* of MAIL or RCPT */
	const char *address; /* without brackets; "" is the null sender */
	const char *params[FILTER_FACT_STRINGS];
	unsigned count;
};

struct filter_fact { /* NULL: not known, or not so */
	const char *hostname, *version;
	const char *daemon, *daemon_addr; /* the listener: what it is for, and where */
	unsigned daemon_port;
	const char *client_addr;
	unsigned client_port;
	char family; /* '4', '6', 'L', 'U' */
	const char *helo;
	const char *tls_version, *cipher, *cert_subject, *cert_issuer;
	int cipher_bits;
	const char *auth_type, *auth_name;
	const char *id; /* of the message */
	struct filter_fact_path mail, rcpt;
};

/* Appends the macros of a stage ahead of command c; nothing if none has a value. asked: names that the filter wants
 * there, or n 0 and usual: the usual ones. Errors of buf. */
int filter_fact_macros(struct buf *out, const struct filter_fact *f, enum milterproto_command c,
		       enum milterproto_stage stage, struct span asked, int usual);
/* "[192.0.2.7]": the client's name as Sendmail gives one that it does not know. */
void filter_fact_client(const struct filter_fact *f, char dst[80]);

#endif
