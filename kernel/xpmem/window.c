// SPDX-License-Identifier: GPL-2.0-only
/*
 * The window fabric: another partition's memory in our physical address space.
 * Its frame number n lies n pages behind the window's start.
 *
 * Here the window is a BAR of a shared-memory PCI device (QEMU's
 * ivshmem-plain); NUMAlink and CXL show memory in the same way.
 */
#include <linux/io.h>
#include <linux/netlink.h>
#include <linux/pci.h>

#include "xpmem.h"

#define IVSHMEM_VENDOR 0x1af4
#define IVSHMEM_DEVICE 0x1110
#define IVSHMEM_BAR 2

static struct pci_dev *find_device(const char *name)
{
	unsigned int domain, bus, slot, func;
	char rest;

	if (sscanf(name, "%x:%x:%x.%x%c", &domain, &bus, &slot, &func, &rest) !=
	    4)
		return NULL;
	if (domain > 0xffff || bus > 0xff || slot > 0x1f || func > 7)
		return NULL;
	return pci_get_domain_bus_and_slot(domain, bus, PCI_DEVFN(slot, func));
}

/**
 * xpmem_window_open - find a window and reserve its memory type
 * @window: filled in
 * @name:   PCI address, as 0000:00:05.0
 * @extack: says what is wrong
 *
 * Mapped write-back: the hardware keeps it coherent, so a remote load is a
 * load.  Without the reservation, frames that are not RAM map uncached.
 *
 * Context: process; may sleep.
 * Return: 0, -ENODEV, -EINVAL, or as of enabling the device.
 */
int xpmem_window_open(struct xpmem_window *window, const char *name,
		      struct netlink_ext_ack *extack)
{
	struct pci_dev *pdev = find_device(name);
	resource_size_t start, size;
	int err;

	if (!pdev) {
		NL_SET_ERR_MSG(extack, "no PCI device at the window's address");
		return -ENODEV;
	}
	if (pdev->vendor != IVSHMEM_VENDOR || pdev->device != IVSHMEM_DEVICE) {
		NL_SET_ERR_MSG(extack,
			       "the window's device is not shared memory");
		err = -EINVAL;
		goto put;
	}
	err = pci_enable_device_mem(pdev);
	if (err) {
		NL_SET_ERR_MSG(extack, "the window's device cannot be enabled");
		goto put;
	}
	start = pci_resource_start(pdev, IVSHMEM_BAR);
	size = pci_resource_len(pdev, IVSHMEM_BAR);
	err = -EINVAL;
	if (!start || size < PAGE_SIZE) {
		NL_SET_ERR_MSG(extack, "the window's device has no memory");
		goto disable;
	}
	window->map = memremap(start, size, MEMREMAP_WB);
	if (!window->map) {
		NL_SET_ERR_MSG(extack,
			       "the window cannot be mapped write-back");
		goto disable;
	}
	window->pdev = pdev;
	window->pfn = start >> PAGE_SHIFT;
	window->frames = size >> PAGE_SHIFT;
	return 0;

disable:
	pci_disable_device(pdev);
put:
	pci_dev_put(pdev);
	return err;
}

/**
 * xpmem_window_close - nothing maps the window any more
 * @window: opened before, or zero
 */
void xpmem_window_close(struct xpmem_window *window)
{
	if (!window->pdev)
		return;
	memunmap(window->map);
	pci_disable_device(window->pdev);
	pci_dev_put(window->pdev);
	window->pdev = NULL;
}
