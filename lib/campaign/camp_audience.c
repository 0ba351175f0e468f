/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_audience.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "seal/seal_kdf.h"
#include "smtp/smtp_addr.h"

#define MARK "\xef\xbb\xbf"

int camp_audience_hash(const uint8_t key[CAMP_AUDIENCE_KEY], struct span address, uint8_t out[CAMP_AUDIENCE])
{
	char normal[SMTP_ADDR_MAX];
	uint8_t digest[32];
	struct smtp_addr a;
	struct span text;
	int rc;

	if (smtp_addr_parse(address, SMTP_ADDR_UTF8_OK, &a) < 0 || address.n > sizeof(normal))
		return ERR_FORMAT;
	for (size_t i = 0; i < address.n; i++)
		normal[i] = (char)(address.p[i] >= 'A' && address.p[i] <= 'Z' ? address.p[i] | 0x20 : address.p[i]);
	text = span_of(normal, address.n);
	rc = seal_kdf_hmac(key, CAMP_AUDIENCE_KEY, &text, 1, digest);
	secret_wipe(normal, sizeof(normal));
	if (rc == 0)
		memcpy(out, digest, CAMP_AUDIENCE);
	return rc;
}

void camp_audience_init(struct camp_audience *a)
{
	memset(a, 0, sizeof(*a));
	buf_init(&a->hashes, (size_t)CAMP_AUDIENCE_MAX * CAMP_AUDIENCE);
}

void camp_audience_clear(struct camp_audience *a)
{
	buf_clear(&a->hashes);
}

static int blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct span trimmed(struct span s)
{
	while (s.n && blank(s.p[0]))
		s = span_sub(s, 1, s.n);
	while (s.n && blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

static int read_line(struct camp_audience *a, const uint8_t *key, struct span line, struct camp_findings *fs)
{
	uint8_t hash[CAMP_AUDIENCE];
	struct camp_finding *f;
	size_t before = fs->n;
	int rc;

	line = trimmed(line);
	if (!line.n || line.p[0] == '#')
		return 0;
	rc = camp_audience_hash(key, line, hash);
	if (rc == 0)
		return buf_put(&a->hashes, hash, sizeof(hash));
	if (rc != ERR_FORMAT)
		return rc;
	camp_finding_add(fs, CAMP_FINDING_ERROR, "audience-address", "audience", span_of(NULL, 0), 0,
			 "this line is no address");
	if (fs->n > before) {
		f = &fs->item[before];
		f->line = (unsigned)a->lines;
		f->column = 1;
	}
	return fs->failed ? ERR_NOMEM : 0;
}

int camp_audience_read(struct camp_audience *a, const uint8_t key[CAMP_AUDIENCE_KEY], struct span text,
		       struct camp_findings *fs)
{
	int rc = 0;

	if (!a->lines && text.n >= 3 && memcmp(text.p, MARK, 3) == 0)
		text = span_sub(text, 3, text.n);
	while (rc == 0 && text.n) {
		ptrdiff_t n = span_find(text, '\n');
		struct span line = n < 0 ? text : span_sub(text, 0, (size_t)n);

		a->lines++;
		rc = read_line(a, key, line, fs);
		text = span_sub(text, line.n + (n >= 0), text.n);
	}
	return rc;
}

static int compare(const void *x, const void *y)
{
	return memcmp(x, y, CAMP_AUDIENCE);
}

void camp_audience_close(struct camp_audience *a)
{
	uint64_t n = camp_audience_count(a), kept = 1;
	uint8_t *p;

	if (!n)
		return;
	p = a->hashes.data + a->hashes.off;
	qsort(p, n, CAMP_AUDIENCE, compare);
	for (uint64_t i = 1; i < n; i++) {
		if (memcmp(p + (kept - 1) * CAMP_AUDIENCE, p + i * CAMP_AUDIENCE, CAMP_AUDIENCE) == 0)
			continue;
		memmove(p + kept * CAMP_AUDIENCE, p + i * CAMP_AUDIENCE, CAMP_AUDIENCE);
		kept++;
	}
	a->doubles += n - kept;
	a->hashes.len = a->hashes.off + kept * CAMP_AUDIENCE;
}
