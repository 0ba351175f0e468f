/* SPDX-License-Identifier: Apache-2.0 */
/* milter_links - what the policy links-only lets pass: hosts, text that becomes a link, files, header fields with links.
 *
 * Story:     milter_scan asks for each piece of a message. A rule's name is the answer, or NULL: nothing is broken.
 * Files:     are judged by their type and by their name, since programs open them by either: a name that ends as web pages,
 *            programs or the like needs the type of that ending to be listed. A type that can be active is listed by its
 *            whole name alone: "image" and a star is not image/svg+xml.
 * Ownership: borrows all.
 * Thread:    pure; any.
 * Source:    sealpost-milter.yaml(5), policy links-only; RFC 2369, RFC 5064 for the fields. */
#ifndef MILTER_MILTER_LINKS_H
#define MILTER_MILTER_LINKS_H

#include "mail/mail_gate.h"
#include "milter/milter_conf.h"

/* In place of a rule: there was no memory to say. */
extern const char milter_links_memory[];

int milter_links_host(const struct milter_stream *links, const char *host);
/* Text as it is shown (UTF-8). *at: where in it. "text-link", "text-control", "uuencode". */
const char *milter_links_text(const struct milter_stream *links, struct span text, size_t *at);
/* body: it is read as text of the message. "attachment-type", "attachment-name". */
const char *milter_links_file(const struct milter_stream *links, const struct mail_gate_part *part, int body);
/* "header-link": of List-Unsubscribe and the like, of which mail programs make a button. */
const char *milter_links_field(const struct milter_stream *links, struct span name, struct span value);

#endif
