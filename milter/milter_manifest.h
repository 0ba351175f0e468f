/* SPDX-License-Identifier: Apache-2.0 */
/* milter_manifest - one version of a campaign as relay gives it, checked and made ready for messages to be held against it.
 *
 * Story:     milter_manifest_load takes relay's answer apart, and believes nothing of it: the manifest's hash must be that of its
 *            canonical bytes, the blobs those that it names, and hash, names and persons must be what keyd signed at
 *            activation, by a key that keyd itself tells the public part of. Then the templates are compiled. An audience
 *            comes behind it in pieces (milter_manifest_add), and with the last one it must be what the manifest says; until
 *            then nobody is in it. Never changed after that, but for the allowance.
 * Ownership: counted.
 * Errors:    ERR_DAMAGED with the name of what does not hold in why; ERR_NOMEM; what keyd says (then it may be right, and is
 *            tried again).
 * Thread:    any. */
#ifndef MILTER_MILTER_MANIFEST_H
#define MILTER_MILTER_MANIFEST_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "campaign/camp_bundle.h"
#include "campaign/camp_template.h"
#include "milter/milter_keyd.h"

#define MILTER_MANIFEST_HASH CAMP_HASH

/* What relay's list says of a version. */
struct milter_manifest_item {
	char customer[65], campaign[65];
	uint32_t version, number;
	int active;
	uint8_t hash[MILTER_MANIFEST_HASH];
};

struct milter_manifest {
	atomic_int refs;
	struct milter_manifest_item item;
	struct camp_bundle bundle;
	struct camp_compiled *compiled;
	struct buf bytes, list; /* what bundle points into */
	/* milter_take's */
	pthread_mutex_t lock; /* over what follows */
	uint64_t left;	      /* messages granted by relay and not yet used */
	char grant[40];	      /* relay's name of that block; "": none */
	int over;	      /* nothing is taken of it any more */
};

/* answer: of POST /v1/milter/bundle. */
int milter_manifest_load(const struct milter_manifest_item *item, const json_t *answer, struct milter_keyd *keyd,
			 struct milter_manifest **out, const char **why);
/* How many octets of audience did not come with it, and have to be added before it is of use; 0: none. */
size_t milter_manifest_lacks(const struct milter_manifest *m);
/* answer: of POST /v1/milter/audience, the octets that come next. ERR_DAMAGED. */
int milter_manifest_add(struct milter_manifest *m, const json_t *answer);
struct milter_manifest *milter_manifest_ref(struct milter_manifest *m);
void milter_manifest_unref(struct milter_manifest *m);

const struct camp_manifest *milter_manifest_of(const struct milter_manifest *m);
/* 1 if the keyed hash of a recipient is in the audience. */
int milter_manifest_has(const struct milter_manifest *m, const uint8_t hash[CAMP_AUDIENCE]);

#endif
