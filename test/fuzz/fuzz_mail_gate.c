/* SPDX-License-Identifier: Apache-2.0 */
/* A message through the gate, strict or tolerant, in one piece and in others: the same comes out, parts
 * are numbered and nested as they should, text is UTF-8, and each source holds its octet. What a strict
 * gate lets pass, a tolerant one does. First octet: bit 0 tolerant, bit 1 text as data, the rest a size
 * of pieces. */
#include <stdint.h>
#include <stdlib.h>

#include "test/unit/gate_play.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gate_play whole, pieces;
	struct span message = span_of(data + 1, size ? size - 1 : 0);
	int tolerant, piece;

	if (!size)
		return 0;
	tolerant = data[0] & 1;
	piece = data[0] >> 2 ? data[0] >> 2 : GATE_PLAY_RANDOM;
	whole.as_data = pieces.as_data = data[0] >> 1 & 1;
	gate_play_seed(size);
	gate_play_run(&whole, message, tolerant, GATE_PLAY_WHOLE);
	gate_play_run(&pieces, message, tolerant, piece);
	gate_play_same(&whole, &pieces);
	gate_play_clear(&pieces);
	if (!tolerant && whole.rc == 0 && gate_play_run(&pieces, message, 1, GATE_PLAY_WHOLE) < 0)
		abort();
	gate_play_clear(&pieces);
	gate_play_clear(&whole);
	return 0;
}
