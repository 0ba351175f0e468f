/* SPDX-License-Identifier: Apache-2.0 */
/* domain_own - what the files of relay/domain share. */
#ifndef RELAY_DOMAIN_DOMAIN_OWN_H
#define RELAY_DOMAIN_DOMAIN_OWN_H

#include "relay/domain/domain.h"

/* Notes in d, and in the store, what the DNS says now (checked, found, secure): a claim whose record was found is
 * verified then. ERR_EXISTS: so it is for another customer; that the DNS was asked is noted all the same. */
int domain_note(struct relay *r, struct domain *d);

#endif
