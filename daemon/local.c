// SPDX-License-Identifier: GPL-2.0-only
/*
 * What this side is: handshake.c tells it to every peer.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <unistd.h>

#include "handshake.h"
#include "log.h"

/* Our own ELF header; the linker knows where it is. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static int read_boot_id(uint8_t *boot_id)
{
	unsigned int i, n = 0;
	char text[64];
	ssize_t size;
	int fd;

	fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size < 0)
		return -1;
	text[size] = '\0';
	for (i = 0; n < XPMEM_BOOT_ID_LEN && text[i]; n++) {
		i += text[i] == '-';
		if (sscanf(text + i, "%2hhx", &boot_id[n]) != 1)
			return -1;
		i += 2;
	}
	return n == XPMEM_BOOT_ID_LEN ? 0 : -1;
}

/**
 * handshake_local_init - find out what this side is
 * @local:  filled in
 * @partid: this partition
 *
 * Return: 0, or -1 after logging why.
 */
int handshake_local_init(struct handshake_local *local, uint16_t partid)
{
	*local = (struct handshake_local){
		.partid = partid,
		.version_min = MESSAGE_VERSION_MIN,
		.version_max = MESSAGE_VERSION_MAX,
		.page_size = (uint32_t)sysconf(_SC_PAGESIZE),
		.machine = __ehdr_start.e_machine,
	};
	if (read_boot_id(local->boot_id)) {
		log_error("no boot id in /proc/sys/kernel/random; mount /proc");
		return -1;
	}
	return 0;
}
