/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_mark.h"

void in_mark_init(struct in_mark *m)
{
	in_field_init(&m->field, "x-sealpost-trace");
	m->by_filter = 0;
}

void in_mark_feed(struct in_mark *m, struct span s)
{
	in_field_feed(&m->field, s);
}

int in_mark_get(const struct in_mark *m, struct mail_trace *t)
{
	struct span value;
	int err = in_field_value(&m->field, &value);

	return err < 0 ? err : mail_trace_parse(value, t);
}
