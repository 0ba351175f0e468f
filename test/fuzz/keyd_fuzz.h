/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_fuzz - the one store that fuzz_keyd_store believes in: its root and identity.
 *
 * Story: fuzz_keyd_store seals what it is given under this root; keyd_corpus plays a keyd with it, so that
 *        the wraps in its corpus open there. */
#ifndef TEST_FUZZ_KEYD_FUZZ_H
#define TEST_FUZZ_KEYD_FUZZ_H

#define KEYD_FUZZ_ID   "0123456789abcdef"		   /* 16 bytes */
#define KEYD_FUZZ_ROOT "the root of a fuzzer, 32 bytes.." /* 32 bytes */

/* First byte of an input of fuzz_keyd_store: what the rest is. */
#define KEYD_FUZZ_HEAD	   0 /* head of a snapshot, as it is */
#define KEYD_FUZZ_SNAPSHOT 1 /* records of a snapshot */
#define KEYD_FUZZ_JOURNAL  2 /* records of a journal, each: type, length u16, body */
#define KEYD_FUZZ_RAW	   3 /* a journal, as it is */
#define KEYD_FUZZ_EMPTY	   4 /* flag: the ring has no KEKs but those that come with the records */
/* In a type of KEYD_FUZZ_JOURNAL's first records: one that the snapshot before the journal had. */
#define KEYD_FUZZ_OLD 0x80

#endif
