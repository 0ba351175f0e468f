/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track.h"

#include "core/err.h"

static const struct {
	unsigned number;
	const char *name;
} consents[] = {
#define TRACK_X(sym, num, name) {num, name},
    TRACK_CONSENTS(TRACK_X)
#undef TRACK_X
};

const char *track_consent_name(unsigned consent)
{
	for (size_t i = 0; i < sizeof(consents) / sizeof(consents[0]); i++)
		if (consents[i].number == consent)
			return consents[i].name;
	return "unknown";
}

int track_consent_of(struct span name)
{
	for (size_t i = 0; i < sizeof(consents) / sizeof(consents[0]); i++)
		if (span_equal(name, span_str(consents[i].name)))
			return (int)consents[i].number;
	return ERR_NOTFOUND;
}

void track_note_sent(struct relay *r, const struct track_sent *s)
{
	(void)r;
	(void)s;
}

void track_note_delivered(struct relay *r, uint64_t tid, int64_t at)
{
	(void)r;
	(void)tid;
	(void)at;
}

int64_t track_oldest_sealed(struct relay *r)
{
	(void)r;
	return 0;
}

const struct relay_control_part track_part = {.open = NULL};
