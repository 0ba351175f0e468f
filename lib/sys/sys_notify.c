/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys_notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "core/clock.h"

void sys_notify_ready(void)
{
	sd_notify(0, "READY=1");
}

void sys_notify_reloading(void)
{
	char text[80];

	/* systemd compares this time with its own: Type=notify-reload wants it. */
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono());
	sd_notify(0, text);
}

void sys_notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}
