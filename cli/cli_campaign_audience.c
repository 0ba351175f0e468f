/* SPDX-License-Identifier: Apache-2.0 */
/* The list of a campaign's recipients: sent to relay in pieces of whole lines, before the source that it belongs to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli_campaign.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/secret.h"

#define PIECE (180u << 10) /* base64 of it goes into one request */

struct sending {
	struct cli_campaign *k;
	const char *customer;
	FILE *f;
	char *room, *text; /* PIECE octets, and base64 of them */
	size_t n;
	char id[64];
};

/* Sends the first n octets. */
static int send_piece(struct sending *s, size_t n)
{
	json_t *ask = json_object(), *answer = NULL;
	int rc;

	json_object_set_new(ask, "customer", json_string(s->customer));
	if (s->id[0])
		json_object_set_new(ask, "audience", json_string(s->id));
	json_object_set_new(ask, "lines", json_stringn(s->text, hex_b64_encode(s->text, (uint8_t *)s->room, n)));
	rc = cli_api_body(s->k->cli, "POST", "/v1/campaigns/audience", ask, 0, &answer);
	json_decref(ask);
	if (rc == 0)
		snprintf(s->id, sizeof(s->id), "%s", cli_text(answer, "audience"));
	json_decref(answer);
	memmove(s->room, s->room + n, s->n - n);
	s->n -= n;
	return rc;
}

/* Octets of whole lines in room; all of it at the end of the file. 0: one line that does not end. */
static size_t whole_lines(const struct sending *s, int last)
{
	size_t n = s->n;

	while (!last && n && s->room[n - 1] != '\n')
		n--;
	return n;
}

static int send_all(struct sending *s, const char *path)
{
	int rc = 0, last = 0;

	while (rc == 0 && !last) {
		size_t got = fread(s->room + s->n, 1, PIECE - s->n, s->f), n;

		s->n += got;
		last = s->n < PIECE;
		if (ferror(s->f))
			return cli_fail(EXIT_USAGE, "%s: %s", path, strerror(errno));
		n = whole_lines(s, last);
		if (!n && !last)
			return cli_fail(EXIT_USAGE, "%s: a line of more than %u octets: one address a line", path, PIECE);
		rc = send_piece(s, n);
	}
	return rc;
}

int cli_campaign_audience_send(struct cli_campaign *k, struct cli_campaign_source *source)
{
	struct sending s = {.k = k, .customer = cli_text(source->document, "customer")};
	int rc = 0;

	if (!s.customer[0])
		s.customer = "default";
	s.f = fopen(k->audience, "re");
	if (!s.f)
		return cli_fail(EXIT_USAGE, "%s: %s", k->audience, strerror(errno));
	s.room = malloc(PIECE);
	s.text = malloc(HEX_B64_SIZE(PIECE));
	setvbuf(s.f, NULL, _IONBF, 0); /* no copies of addresses that nobody wipes */
	rc = s.room && s.text ? send_all(&s, k->audience) : cli_fail(EXIT_ENVIRONMENT, "out of memory");
	if (rc == 0)
		json_object_set_new(source->document, "audience", json_string(s.id));
	if (s.room)
		secret_wipe(s.room, PIECE);
	if (s.text)
		secret_wipe(s.text, HEX_B64_SIZE(PIECE));
	free(s.room);
	free(s.text);
	fclose(s.f);
	source->audience = k->audience;
	return rc;
}

void cli_campaign_audience_print(const json_t *answer)
{
	const json_t *a = json_object_get(answer, "audience");
	json_int_t n = cli_number(a, "count"), doubles = cli_number(a, "doubles");

	if (!json_is_object(a)) {
		puts("Audience   anyone");
		return;
	}
	printf("Audience   %lld address%s", (long long)n, n == 1 ? "" : "es");
	if (doubles)
		printf(", %lld double%s dropped", (long long)doubles, doubles == 1 ? "" : "s");
	puts("");
}
