// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Names of segments: text in, the structure of one ioctl out.  What a name may
 * be is for the kernel to say; here it only has to fit.
 */
#include <errno.h>
#include <string.h>

#include <xpmem.h>

#define PARTID_MAX 32767

static int refuse(int error)
{
	errno = error;
	return -1;
}

/* Copies @length bytes of @text to @name, which is all zeros. */
static int name_copy(char *name, const char *text, size_t length)
{
	if (!length)
		return refuse(EINVAL);
	if (length >= XPMEM_NAME_SIZE)
		return refuse(ENAMETOOLONG);
	memcpy(name, text, length);
	return 0;
}

/* Reads the digits from @text to @end, and nothing else; 0 or -1 with EINVAL. */
static int number_read(const char *text, const char *end, __u32 max,
		       __u32 *number)
{
	unsigned long long value = 0;

	if (text == end)
		return refuse(EINVAL);
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return refuse(EINVAL);
		value = value * 10 + (unsigned int)(*text - '0');
		if (value > max)
			return refuse(EINVAL);
	}
	*number = (__u32)value;
	return 0;
}

/* [UID:]NAME[@PARTID] */
static int name_read(struct xpmem_cmd_lookup *cmd, const char *text)
{
	const char *colon = strchr(text, ':'), *at = strchr(text, '@');
	const char *end = text + strlen(text);

	if (at) {
		if (number_read(at + 1, end, PARTID_MAX, &cmd->partid))
			return -1;
		if (!cmd->partid)
			return refuse(EINVAL);
		end = at;
	}
	if (colon) {
		if (number_read(text, colon, XPMEM_ANYBODY - 1, &cmd->owner))
			return -1;
		text = colon + 1;
	}
	if (text > end)
		return refuse(EINVAL);
	return name_copy(cmd->name, text, (size_t)(end - text));
}

int xpmem_publish(const char *name, xpmem_segid_t segid)
{
	struct xpmem_cmd_publish cmd = { .segid = segid };

	if (!name)
		return refuse(EINVAL);
	if (name_copy(cmd.name, name, strlen(name)))
		return -1;
	return xpmem_ioctl(XPMEM_CMD_PUBLISH, &cmd);
}

int xpmem_unpublish(const char *name)
{
	struct xpmem_cmd_unpublish cmd = {};

	if (!name)
		return refuse(EINVAL);
	if (name_copy(cmd.name, name, strlen(name)))
		return -1;
	return xpmem_ioctl(XPMEM_CMD_UNPUBLISH, &cmd);
}

xpmem_segid_t xpmem_lookup(const char *name)
{
	struct xpmem_cmd_lookup cmd = { .owner = XPMEM_ANYBODY };

	if (!name)
		return refuse(EINVAL);
	if (name_read(&cmd, name))
		return -1;
	return xpmem_ioctl(XPMEM_CMD_LOOKUP, &cmd) < 0 ? -1 : cmd.segid;
}
