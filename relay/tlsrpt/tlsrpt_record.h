/* SPDX-License-Identifier: Apache-2.0 */
/* tlsrpt_record - the TXT record by which a domain asks for TLS reports, and says where they go.
 *
 * Story:  "v=TLSRPTv1; rua=mailto:tls@example.org,https://reports.example.org/in", at _smtp._tls.DOMAIN. Of several TXT
 *         records those that do not begin with v=TLSRPTv1; are not counted; exactly one must be left, and be well-formed,
 *         or the domain wants no reports. Fields not known here are passed over. URIs of other schemes, and those that
 *         cannot be used (an address that is none, more than TLSRPT_RECORD_URIS), are passed over too: so count may be 0.
 * Errors: ERR_NOTFOUND: it is about something else; ERR_FORMAT; of choose: ERR_EXISTS: more than one.
 * Thread: pure; any.
 * Source: RFC 8460 3. */
#ifndef RELAY_TLSRPT_TLSRPT_RECORD_H
#define RELAY_TLSRPT_TLSRPT_RECORD_H

#include "core/span.h"

#define TLSRPT_RECORD_URIS 4
#define TLSRPT_RECORD_URI  1024

struct tlsrpt_record {
	unsigned count;
	unsigned passed_over; /* URIs that cannot be used */
	struct tlsrpt_record_uri {
		int mail;		     /* text is an address, local@domain; else an https: URL */
		char text[TLSRPT_RECORD_URI]; /* printable ASCII */
	} uris[TLSRPT_RECORD_URIS]; /* none twice */
};

/* One record, its strings joined. */
int tlsrpt_record_parse(struct span txt, struct tlsrpt_record *out);
/* The one that counts among those of a domain. */
int tlsrpt_record_choose(const struct span *txts, unsigned count, struct tlsrpt_record *out);

#endif
