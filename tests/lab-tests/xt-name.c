// SPDX-License-Identifier: GPL-2.0-only
/* Names: one call, and the check of how it ends. */
#include "xt-name.h"
#include "xt.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* As much of it as one line of TAP can show. */
static const char *shown(const char *name)
{
	static char text[80];
	size_t i = 0;

	if (!name)
		return "(null)";
	for (; name[i] && i < sizeof(text) - 1; i++)
		text[i] = name[i] < ' ' || name[i] > '~' ? '?' : name[i];
	text[i] = '\0';
	return text;
}

xpmem_segid_t xt_name_looks_up(const char *name, int want)
{
	xpmem_segid_t segid;

	errno = 0;
	segid = xpmem_lookup(name);
	xt_ok(want ? segid == -1 && errno == want : segid > 0,
	      "p%d, user %d: \"%s\": %s (%#llx, errno %d)", xt_me, geteuid(),
	      shown(name), want ? strerrorname_np(want) : "found",
	      (long long)segid, errno);
	return segid;
}

void xt_name_finds(const char *name, xpmem_segid_t want)
{
	xpmem_segid_t segid = xt_name_looks_up(name, 0);

	xt_ok(segid == want, "it is the right one (%#llx)", (long long)want);
}

void xt_name_publishes(const char *name, xpmem_segid_t segid, int want)
{
	int ret;

	errno = 0;
	ret = xpmem_publish(name, segid);
	xt_ok(want ? ret == -1 && errno == want : !ret,
	      "p%d, user %d publishes \"%s\": %s (errno %d)", xt_me, geteuid(),
	      shown(name), want ? strerrorname_np(want) : "published", errno);
}
