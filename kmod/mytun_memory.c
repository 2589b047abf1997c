// SPDX-License-Identifier: GPL-2.0
/*
 * The pages of the rings
 *
 * Ordinary pages, charged to the caller's memory cgroup, mapped by the kernel
 * with vmap() and by the process with vm_insert_pages(). A ring's data area is
 * mapped twice back to back on both sides, so that no frame ever wraps.
 *
 * The words that a process must not write are in a page of their own, which it
 * can map for reading only. Each word has its cache lines to itself, two of
 * them, as x86 fetches lines in pairs.
 */

#include <linux/gfp.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "mytun.h"

#define MYTUN_WORD_ALIGN	128

struct mytun_kernel_page {
	u32 rx_producer __aligned(MYTUN_WORD_ALIGN);
	u32 rx_need_space __aligned(MYTUN_WORD_ALIGN);
	u32 tx_consumer __aligned(MYTUN_WORD_ALIGN);
	u32 tx_need_wakeup __aligned(MYTUN_WORD_ALIGN);
	u32 state __aligned(MYTUN_WORD_ALIGN);
};

struct mytun_user_page {
	u32 rx_consumer __aligned(MYTUN_WORD_ALIGN);
	u32 rx_need_wakeup __aligned(MYTUN_WORD_ALIGN);
	u32 tx_producer __aligned(MYTUN_WORD_ALIGN);
	u32 tx_need_space __aligned(MYTUN_WORD_ALIGN);
};

/* Offsets for mmap(): far enough apart for the largest area mapped twice */
#define MYTUN_OFFSET_KERNEL_PAGE	0x00000000U
#define MYTUN_OFFSET_USER_PAGE		0x10000000U
#define MYTUN_OFFSET_RX_DATA		0x20000000U
#define MYTUN_OFFSET_TX_DATA		0x30000000U

/*
 * An index that no event passes before the process chose one: a first publish
 * moves from 0 to at most the size of a ring.
 */
#define MYTUN_EVENT_NEVER	0x80000000U

static void mytun_area_free(struct mytun_area *area)
{
	unsigned int i;

	vunmap(area->address);
	for (i = 0; i < area->owned; i++)
		put_page(area->pages[i]);
	kvfree(area->pages);
	memset(area, 0, sizeof(*area));
}

/*
 * @copies: how many times the pages stand in the mapping, one after another
 * @size: 0 for an area that there is not: the direction goes without a ring
 */
static int mytun_area_alloc(struct mytun_area *area, size_t size,
			    unsigned int copies)
{
	unsigned int count = size >> PAGE_SHIFT;
	unsigned int i;

	if (!count)
		return 0;

	area->pages = kvmalloc_array(count, copies * sizeof(*area->pages),
				     MYTUN_GFP);
	if (!area->pages)
		return -ENOMEM;

	for (; area->owned < count; area->owned++) {
		struct page *page = alloc_page(MYTUN_GFP | __GFP_ZERO);

		if (!page || fatal_signal_pending(current)) {
			if (page)
				put_page(page);
			goto err_free;
		}
		area->pages[area->owned] = page;
	}

	for (i = count; i < copies * count; i++)
		area->pages[i] = area->pages[i - count];
	area->mapped = copies * count;

	area->address = vmap(area->pages, area->mapped, VM_MAP, PAGE_KERNEL);
	if (!area->address)
		goto err_free;
	return 0;

err_free:
	mytun_area_free(area);
	return -ENOMEM;
}

static void mytun_rings_init_words(const struct mytun_rings *rings)
{
	struct mytun_kernel_page *kernel = rings->kernel_page.address;
	struct mytun_user_page *user = rings->user_page.address;

	kernel->rx_need_space = MYTUN_EVENT_NEVER;
	user->rx_need_wakeup = MYTUN_EVENT_NEVER;
	user->tx_need_space = MYTUN_EVENT_NEVER;
	/* tx_need_wakeup stays 0: the first tx frame rings, if nobody looks */
}

static int mytun_rings_create_pool(struct mytun_rings *rings)
{
	if (!rings->tx_size)
		return 0;
	rings->pool = kzalloc(sizeof(*rings->pool), GFP_KERNEL_ACCOUNT);
	return rings->pool ? mytun_pool_fill(rings->pool) : -ENOMEM;
}

struct mytun_rings *mytun_rings_create(const struct mytun_ring_config *config)
{
	struct mytun_rings *rings;

	rings = kzalloc(sizeof(*rings), GFP_KERNEL_ACCOUNT);
	if (!rings)
		return NULL;

	rings->rx_size = config->rx_size;
	rings->tx_size = config->tx_size;
	rings->rx_headroom = config->rx_headroom;
	rings->rx_tailroom = config->rx_tailroom;
	if (mytun_area_alloc(&rings->kernel_page, PAGE_SIZE, 1) ||
	    mytun_area_alloc(&rings->user_page, PAGE_SIZE, 1) ||
	    mytun_area_alloc(&rings->rx_data, rings->rx_size, 2) ||
	    mytun_area_alloc(&rings->tx_data, rings->tx_size, 2) ||
	    mytun_rings_create_pool(rings)) {
		mytun_rings_destroy(rings);
		return NULL;
	}
	mytun_rings_init_words(rings);
	return rings;
}

void mytun_rings_destroy(struct mytun_rings *rings)
{
	if (rings->pool)
		mytun_pool_empty(rings->pool);
	kfree(rings->pool);
	mytun_area_free(&rings->tx_data);
	mytun_area_free(&rings->rx_data);
	mytun_area_free(&rings->user_page);
	mytun_area_free(&rings->kernel_page);
	kfree(rings);
}

/* Fill in the queue's private halves of the two rings */
void mytun_rings_connect(const struct mytun_rings *rings,
			 struct mytun_queue *queue)
{
	struct mytun_kernel_page *kernel = rings->kernel_page.address;
	struct mytun_user_page *user = rings->user_page.address;

	queue->rx = (struct mytun_ring) {
		.data = rings->rx_data.address,
		.size = rings->rx_size,
		.shared_producer = &kernel->rx_producer,
		.shared_consumer = &user->rx_consumer,
		.need_wakeup = &user->rx_need_wakeup,
		.need_space = &kernel->rx_need_space,
	};
	queue->tx = (struct mytun_ring) {
		.data = rings->tx_data.address,
		.size = rings->tx_size,
		.shared_producer = &user->tx_producer,
		.shared_consumer = &kernel->tx_consumer,
		.need_wakeup = &kernel->tx_need_wakeup,
		.need_space = &user->tx_need_space,
	};
	queue->rx_headroom = rings->rx_headroom;
	queue->rx_room = rings->rx_headroom + rings->rx_tailroom;
	queue->tx_pool = rings->pool;
}

void mytun_rings_describe(const struct mytun_rings *rings,
			  struct mytun_info *info)
{
	info->kernel_page_offset = MYTUN_OFFSET_KERNEL_PAGE;
	info->user_page_offset = MYTUN_OFFSET_USER_PAGE;
	info->page_length = PAGE_SIZE;
	info->state = offsetof(struct mytun_kernel_page, state);
	info->rx = (struct mytun_ring_info) {
		.data_offset = MYTUN_OFFSET_RX_DATA,
		.data_length = 2ULL * rings->rx_size,
		.size = rings->rx_size,
		.producer = offsetof(struct mytun_kernel_page, rx_producer),
		.consumer = offsetof(struct mytun_user_page, rx_consumer),
		.need_wakeup = offsetof(struct mytun_user_page, rx_need_wakeup),
		.need_space = offsetof(struct mytun_kernel_page, rx_need_space),
		.headroom = rings->rx_headroom,
		.tailroom = rings->rx_tailroom,
	};
	info->tx = (struct mytun_ring_info) {
		.data_offset = MYTUN_OFFSET_TX_DATA,
		.data_length = 2ULL * rings->tx_size,
		.size = rings->tx_size,
		.producer = offsetof(struct mytun_user_page, tx_producer),
		.consumer = offsetof(struct mytun_kernel_page, tx_consumer),
		.need_wakeup =
			offsetof(struct mytun_kernel_page, tx_need_wakeup),
		.need_space = offsetof(struct mytun_user_page, tx_need_space),
	};
}

void mytun_rings_post_state(const struct mytun_rings *rings, u32 state)
{
	struct mytun_kernel_page *kernel = rings->kernel_page.address;

	WRITE_ONCE(kernel->state, state);
}

/* Bytes in the rx ring, as far as the words make sense: told to their writer */
u32 mytun_rings_waiting(const struct mytun_rings *rings)
{
	struct mytun_kernel_page *kernel = rings->kernel_page.address;
	struct mytun_user_page *user = rings->user_page.address;

	return READ_ONCE(kernel->rx_producer) - READ_ONCE(user->rx_consumer);
}

/* Bytes in the tx ring, on the same terms */
u32 mytun_rings_sent(const struct mytun_rings *rings)
{
	struct mytun_kernel_page *kernel = rings->kernel_page.address;
	struct mytun_user_page *user = rings->user_page.address;

	return READ_ONCE(user->tx_producer) - READ_ONCE(kernel->tx_consumer);
}

/* Only a hint for poll(): the words may be garbage, and no harm is done */
__poll_t mytun_rings_poll(const struct mytun_rings *rings)
{
	__poll_t events = 0;

	if (mytun_rings_waiting(rings))
		events |= EPOLLIN | EPOLLRDNORM;
	if (mytun_rings_sent(rings) <= rings->tx_size / 2)
		events |= EPOLLOUT | EPOLLWRNORM;
	return events;
}

static const struct mytun_area *
mytun_rings_area(const struct mytun_rings *rings, unsigned long page_offset)
{
	switch ((u64)page_offset << PAGE_SHIFT) {
	case MYTUN_OFFSET_KERNEL_PAGE:
		return &rings->kernel_page;
	case MYTUN_OFFSET_USER_PAGE:
		return &rings->user_page;
	case MYTUN_OFFSET_RX_DATA:
		return &rings->rx_data;
	case MYTUN_OFFSET_TX_DATA:
		return &rings->tx_data;
	}
	return NULL;
}

int mytun_rings_mmap(const struct mytun_rings *rings,
		     struct vm_area_struct *vma)
{
	const struct mytun_area *area = mytun_rings_area(rings, vma->vm_pgoff);
	unsigned long count;

	if (!area || !(vma->vm_flags & VM_SHARED) ||
	    vma_pages(vma) != area->mapped)
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	if (area == &rings->kernel_page) {
		if (vma->vm_flags & VM_WRITE)
			return -EPERM;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	vm_flags_clear(vma, VM_MAYEXEC);
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);

	count = area->mapped;
	return vm_insert_pages(vma, vma->vm_start, area->pages, &count);
}
