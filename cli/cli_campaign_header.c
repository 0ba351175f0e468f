/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli_campaign.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"
#include "core/rand.h"
#include "mail/mail_campaign.h"

struct ask {
	const char *customer, *id, *version, *from, *to, *message_id;
};

/* Fills the MAC in: keyd computes it with the customer's key. */
static int authenticate(struct cli *c, const struct ask *a, struct mail_campaign *m)
{
	struct keyproto_client_sync *k;
	struct keyproto_mac req = {.customer = span_str(a->customer), .label = SPAN_LIT(MAIL_CAMPAIGN_LABEL)};
	struct span reply, mac;
	struct buf input;
	int rc;

	buf_init(&input, MAIL_CAMPAIGN_INPUT_MAX);
	rc = mail_campaign_input(&input, m, span_str(a->from), span_str(a->to), span_str(a->message_id));
	if (rc < 0) {
		buf_clear(&input);
		return cli_fail(EXIT_USAGE, "--from, --to or --message-id: %s", err_text(rc));
	}
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	req.data = buf_span(&input);
	rc = k ? keyproto_mac_put(keyproto_client_sync_begin(k), &req) : ERR_AWAY;
	if (rc == 0)
		rc = keyproto_client_sync_call(k, KEYPROTO_MAC, &reply);
	if (rc == 0)
		rc = keyproto_bytes_get(reply, &mac);
	if (rc == 0 && mac.n == MAIL_CAMPAIGN_MAC)
		memcpy(m->mac, mac.p, MAIL_CAMPAIGN_MAC);
	else if (k)
		rc = cli_keyd_failed(rc < 0 ? rc : ERR_FORMAT);
	else
		rc = EXIT_ENVIRONMENT;
	keyproto_client_sync_free(k);
	buf_clear(&input);
	return rc;
}

static int header(struct cli *c, const struct ask *a)
{
	struct mail_campaign m = {.id = span_str(a->id), .kid = SPAN_LIT("1"),
				  .time = clock_wall() / CLOCK_SEC}, check;
	char nonce[HEX_SIZE(8)];
	uint8_t random[8];
	uint64_t version;
	struct buf out;
	int rc;

	if (num_parse_u64(span_str(a->version), &version) < 0 || version > UINT32_MAX)
		return cli_fail(EXIT_USAGE, "--version: must be a whole number");
	m.version = (uint32_t)version;
	rand_bytes(random, sizeof(random));
	hex_encode(nonce, random, sizeof(random));
	m.nonce = span_str(nonce);
	rc = authenticate(c, a, &m);
	if (rc)
		return rc;
	buf_init(&out, MAIL_CAMPAIGN_INPUT_MAX);
	if (mail_campaign_format(&out, &m) < 0 || mail_campaign_parse(buf_span(&out), &check) < 0)
		rc = cli_fail(EXIT_USAGE, "--id: must be 1 to 64 of A-Z a-z 0-9 _ . -");
	else
		printf("%s: %.*s\n", MAIL_CAMPAIGN_HEADER, (int)buf_size(&out), buf_ptr(&out));
	buf_clear(&out);
	return rc;
}

int cli_campaign_header(struct cli *c, int argc, char **argv)
{
	static const struct option options[] = {{"customer", 1, NULL, 'c'}, {"id", 1, NULL, 'i'},
						{"version", 1, NULL, 'v'},  {"from", 1, NULL, 'f'},
						{"to", 1, NULL, 't'},	    {"message-id", 1, NULL, 'm'},
						{NULL, 0, NULL, 0}};
	struct ask a = {.customer = "default", .version = "1"};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		const char **slot = opt == 'c'	 ? &a.customer
				    : opt == 'i' ? &a.id
				    : opt == 'v' ? &a.version
				    : opt == 'f' ? &a.from
				    : opt == 't' ? &a.to
				    : opt == 'm' ? &a.message_id
						 : NULL;
		if (!slot)
			return cli_usage("campaign");
		*slot = optarg;
	}
	if (optind != argc || !a.id || !a.from || !a.to || !a.message_id)
		return cli_usage("campaign");
	return header(c, &a);
}
