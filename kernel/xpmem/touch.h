/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An importer's side, on any partition: attachments, and what a fault maps.
 * Before: xpmem.h.  Next: home.h, import.h.  Part of xpmem.h.
 */
#ifndef XPMEM_TOUCH_H
#define XPMEM_TOUCH_H

/* --- attach.c ---------------------------------------------------------- */

extern const struct file_operations xpmem_attach_fops;

/**
 * struct xpmem_attachment - one mapping of (part of) a segment
 * @ref:    one per VMA (an munmap in the middle makes two); a fault that waits
 * @permit: what it was made with; a reference
 * @tables: page tables and huge pages of it are made one at a time: who makes a
 *          table must not find a huge page in its place
 * @start:  its first address, when it was made; it never moves
 * @end:    behind its last one
 * @first:  page number at @start
 * @mm:     where it is, held by mmgrab()
 * @node:   among its segment's or image's users
 * @failed: a fault that had to drop its lock before it failed; the same task's
 *          next fault at the same page delivers it; protected by permit->lock
 * @work:   ends one of a remote segment, once the last VMA is closed
 */
struct xpmem_attachment {
	struct kref ref;
	struct xpmem_permit *permit;
	struct mutex tables;
	unsigned long start;
	unsigned long end;
	unsigned long first;
	struct mm_struct *mm;
	struct list_head node;
	struct {
		const struct task_struct *task;
		unsigned long addr;
		vm_fault_t ret;
		unsigned long until;
	} failed;
	struct work_struct work;
};

int xpmem_attachment_create(struct xpmem_permit *permit, u64 offset,
			    size_t size, unsigned long vaddr,
			    unsigned long *at);
int xpmem_attachment_detach(unsigned long vaddr);
int xpmem_attachment_detach_all(struct xpmem_permit *permit);
void xpmem_attachment_get(struct xpmem_attachment *att);
void xpmem_attachment_put(struct xpmem_attachment *att);
int xpmem_attach_init(void);
void xpmem_attach_exit(void);

/* --- vma.c --------------------------------------------------------------- */

extern const struct vm_operations_struct xpmem_vm_ops;
void xpmem_attachment_fail(struct xpmem_attachment *att, unsigned long addr,
			   vm_fault_t ret);

/* --- access.c ------------------------------------------------------------ */

int xpmem_vma_access(struct vm_area_struct *vma, unsigned long addr, void *buf,
		     int len, int write);

/* --- populate.c ---------------------------------------------------------- */

void xpmem_populate(unsigned long start, size_t size);
int xpmem_populate_advised(struct file *file, loff_t offset, loff_t len,
			   int advice);

/* --- inode.c ------------------------------------------------------------- */

int xpmem_inode_init(void);
void xpmem_inode_exit(void);
struct inode *xpmem_inode_create(u64 segid);
void xpmem_inode_name(struct inode *inode, u64 segid);
struct file *xpmem_inode_open(struct inode *inode,
			      const struct file_operations *fops, void *data);

/* --- fault.c, map.c ---------------------------------------------------- */

/* What a page lookup says of one page: a frame number and these. */
#define XPMEM_PAGE_VALID 0x1ul /* there is one */
#define XPMEM_PAGE_WRITE 0x2ul /* it may be mapped writable */
#define XPMEM_PAGE_SWAPPED \
	0x4ul /* there is none now, but the contents are kept */
#define XPMEM_PAGE_SHIFT 3

/**
 * struct xpmem_span - consecutive pages of an attachment, found or to be found
 * @addr:   first address in the importer
 * @index:  its page number in the segment
 * @count:  pages
 * @target: which of them was touched
 * @pages:  frame << XPMEM_PAGE_SHIFT | XPMEM_PAGE_*, or 0
 */
struct xpmem_span {
	unsigned long addr;
	unsigned long index;
	unsigned int count;
	unsigned int target;
	unsigned long *pages;
};

void xpmem_span_around(struct xpmem_span *span, const struct vm_fault *vmf);
int xpmem_span_populate(const struct xpmem_span *span, struct vm_fault *vmf,
			struct xpmem_attachment *att);
void xpmem_span_map(const struct xpmem_span *span, struct vm_fault *vmf);

/* mapped.c */
int xpmem_mapped_reserve(struct xpmem_segment *seg, unsigned long first,
			 unsigned long last);
void xpmem_mapped_set(struct xpmem_segment *seg, unsigned long first,
		      unsigned long last);
bool xpmem_mapped_in(struct xpmem_segment *seg, unsigned long *first,
		     unsigned long *last);
void xpmem_mapped_clear(struct xpmem_segment *seg, unsigned long first,
			unsigned long last);
void xpmem_mapped_clear_all(struct xpmem_segment *seg, long mappings);

/* huge.c */
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
vm_fault_t xpmem_fault_huge(struct vm_fault *vmf, unsigned int order);
unsigned long xpmem_huge_area(struct file *file, unsigned long addr,
			      unsigned long len, unsigned long pgoff,
			      unsigned long flags);
#else
static inline vm_fault_t xpmem_fault_huge(struct vm_fault *vmf,
					  unsigned int order)
{
	return VM_FAULT_FALLBACK;
}
#endif

vm_fault_t xpmem_fault_local(struct vm_fault *vmf, struct xpmem_attachment *att,
			     bool write);
vm_fault_t xpmem_fault_remote(struct vm_fault *vmf,
			      struct xpmem_attachment *att, bool write);
vm_fault_t xpmem_fault_error(int err);
vm_fault_t xpmem_fault_unlock(struct vm_fault *vmf,
			      struct xpmem_attachment *att);
vm_fault_t xpmem_fault_retry(struct xpmem_attachment *att, unsigned long addr,
			     int err);
int xpmem_fault_in(struct xpmem_segment *seg, unsigned long index, bool write);

/* lookup.c */
pte_t *xpmem_lookup_table(struct mm_struct *mm, unsigned long addr,
			  pmd_t **leaf);
int xpmem_lookup(struct xpmem_segment *seg, const struct xpmem_span *span,
		 unsigned int around, bool write);
int xpmem_lookup_huge(struct xpmem_segment *seg, unsigned long index,
		      bool write, unsigned long *page);
#define XPMEM_LOOKUP_UNLOCKED 1
unsigned long xpmem_lookup_absent(struct mm_struct *mm, unsigned long addr,
				  unsigned long end);
int xpmem_lookup_fault_in(struct mm_struct *mm, unsigned long addr,
			  unsigned int flags);

#endif
