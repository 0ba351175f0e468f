/* SPDX-License-Identifier: Apache-2.0 */
/* Line 1 a sender, line 2 a recipient, line 3 a Message-ID, the rest the value of a campaign
 * header. What parses must be written and read back as the same campaign, its MAC input must have
 * exactly eight lines, and a header has one MAC input only. */
#include <stdint.h>
#include <stdlib.h>

#include "core/err.h"
#include "mail/mail_campaign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span line(struct span *rest)
{
	ptrdiff_t at = span_find(*rest, '\n');
	struct span s = span_sub(*rest, 0, at < 0 ? rest->n : (size_t)at);

	*rest = span_sub(*rest, s.n + 1, rest->n);
	return s;
}

static int same(const struct mail_campaign *a, const struct mail_campaign *b)
{
	return span_equal(a->id, b->id) && a->version == b->version && a->time == b->time &&
	       span_equal(a->nonce, b->nonce) && span_equal(a->kid, b->kid) &&
	       memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

static void check_input(const struct mail_campaign *c, const struct span part[3])
{
	struct buf b;
	unsigned lines = 1;

	buf_init(&b, MAIL_CAMPAIGN_INPUT_MAX);
	switch (mail_campaign_input(&b, c, part[0], part[1], part[2])) {
	case 0:
		for (size_t i = 0; i < buf_size(&b); i++)
			lines += buf_ptr(&b)[i] == '\n';
		if (lines != 8)
			abort();
		break;
	case ERR_FORMAT:
	case ERR_LIMIT:
		break;
	default:
		abort();
	}
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of(data, size), part[3];
	struct mail_campaign c, again;
	struct buf b;

	for (unsigned i = 0; i < 3; i++)
		part[i] = line(&rest);
	if (mail_campaign_parse(rest, &c) != 0)
		return 0;
	buf_init(&b, 1000);
	if (mail_campaign_format(&b, &c) != 0 || mail_campaign_parse(buf_span(&b), &again) != 0 ||
	    !same(&c, &again))
		abort();
	mail_campaign_fresh(&c, INT64_C(1767225600000000));
	check_input(&c, part);
	buf_clear(&b);
	return 0;
}
