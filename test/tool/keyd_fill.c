/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_fill - gives a store many customers at once: for benches and tests of large stores.
 *
 * usage: keyd_fill CONF COUNT
 *
 * Opens the store of keyd.yaml by its file slot while no keyd runs, makes customer-0, customer-1, ... by the ring's own
 * functions, and writes one snapshot. */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd.h"
#include "keyd/keyd_crypto.h"

static int fill(struct keyd *k, unsigned long count)
{
	struct buf body;
	char name[32];
	int rc = 0;

	buf_init(&body, KEYD_RECORD_BODY_MAX);
	for (unsigned long i = 0; rc == 0 && i < count; i++) {
		snprintf(name, sizeof(name), "customer-%lu", i);
		buf_reset(&body);
		rc = keyd_ring_make_customer(k->ring, span_str(name), keyd_generation(k), &body);
		if (rc == 0)
			rc = keyd_ring_apply(k->ring, KEYD_RECORD_DEK, buf_span(&body), 1);
	}
	buf_clear(&body);
	return rc == 0 ? keyd_store_snapshot(k->store, k->ring) : rc;
}

int main(int argc, char **argv)
{
	struct keyd_conf *conf;
	struct keyd *k;
	char err[CONF_ERR_MAX];
	int rc;

	log_open("keyd_fill");
	if (argc != 3) {
		fprintf(stderr, "usage: keyd_fill CONF COUNT\n");
		return EXIT_USAGE;
	}
	if (keyd_conf_load(argv[1], &conf, err) < 0) {
		fprintf(stderr, "keyd_fill: %s\n", err);
		return EXIT_CONFIG;
	}
	k = keyd_crypto_init() == 0 ? keyd_new(conf, NULL) : NULL;
	rc = k ? keyd_start(k) : ERR_NOMEM;
	if (rc == 0)
		rc = k->ring ? fill(k, strtoul(argv[2], NULL, 10)) : ERR_LOCKED;
	if (rc < 0)
		fprintf(stderr, "keyd_fill: %s\n", err_text(rc));
	keyd_free(k);
	return rc < 0 ? EXIT_ENVIRONMENT : 0;
}
