/* SPDX-License-Identifier: Apache-2.0 */
/* An inbound session with a fake host: whatever the client sends, and however it is cut into
 * pieces, the replies and what is stored must be the same. The first byte turns knobs of the host,
 * the second gives the size of the pieces. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "test/unit/in_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	UNTRUSTED = 1,
	TLS = 2,
	NARROW = 4,
	COMMIT_FAILS = 8,
	DISK_FULL = 16,
	NO_KEY = 32,
	SUBMISSION = 64
};

static struct in_fake whole, pieces;

static void must(int cond)
{
	if (!cond)
		abort();
}

static void ignore(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static void play(struct in_fake *f, unsigned knobs, size_t piece, struct span in)
{
	clock_set(CLOCK_SEC, INT64_C(1790000000) * CLOCK_SEC);
	in_fake_init(f);
	f->piece = piece;
	f->peer.trusted = !(knobs & UNTRUSTED);
	f->peer.mode = knobs & SUBMISSION ? RELAY_SUBMISSION : RELAY_SMARTHOST;
	f->tls = knobs & TLS ? 0 : ERR_UNSUPPORTED;
	if (knobs & NARROW) {
		f->conf.limits.message_size = 200;
		f->conf.limits.errors = 4;
		f->conf.limits.recipients = 2;
	}
	f->commit_err = knobs & COMMIT_FAILS ? ERR_IO : 0;
	f->body_err = knobs & DISK_FULL ? ERR_NOSPACE : 0;
	f->keys = knobs & NO_KEY ? ERR_BUSY : 0;
	in_fake_start(f);
	in_fake_send(f, in);
	in_fake_run(f);
}

/* Every line is CRLF-terminated and printable: nothing of the client's comes back raw. */
static void proper(struct span s)
{
	must(s.n >= 2 && s.p[s.n - 1] == '\n');
	for (size_t i = 0; i < s.n; i++) {
		must((s.p[i] == '\n') == (i > 0 && s.p[i - 1] == '\r'));
		must(s.p[i] == '\r' || s.p[i] == '\n' || (s.p[i] >= 32 && s.p[i] < 127));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in;

	if (size < 2)
		return 0;
	log_capture(ignore, NULL);
	in = span_of(data + 2, size - 2);
	play(&whole, data[0], 0, in);
	play(&pieces, data[0], 1u + data[1] % 64, in);
	proper(buf_span(&whole.replies));
	must(span_equal(buf_span(&whole.replies), buf_span(&pieces.replies)));
	must(whole.closed == pieces.closed && whole.committed == pieces.committed);
	must(whole.begun == pieces.begun);
	must(!strcmp(whole.sender, pieces.sender) && whole.flags == pieces.flags &&
	     whole.size == pieces.size);
	must(whole.recipient_count == pieces.recipient_count);
	if (whole.begun == whole.committed)
		must(span_equal(buf_span(&whole.body), buf_span(&pieces.body)));
	in_fake_clear(&whole);
	in_fake_clear(&pieces);
	return 0;
}
