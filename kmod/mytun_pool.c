// SPDX-License-Identifier: GPL-2.0
/*
 * Memory for the frames of the tx ring
 *
 * A kernel that clears what it allocates clears for each frame more than the frame
 * has. So a queue has pages of its own, which are cut up from front to back, one
 * after another, and used again when all that was cut from one has been freed. GRO
 * takes such frames together without a list of heads, too.
 *
 * Where the next page is still in use, the frame's memory comes from the allocator:
 * what waits long somewhere in the stack holds up nobody.
 *
 * Pages are charged to who sets up the rings, as those are. A page has one
 * reference for each piece that is in use, and those that no piece has taken yet:
 * so only to give a piece back takes a locked operation.
 */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/skbuff.h>

#include "mytun.h"

/* References that a page has for pieces to come */
#define MYTUN_POOL_REFERENCES	0x8000U

static void mytun_pool_free_page(struct mytun_pool_page *page)
{
	if (page->page)
		__page_frag_cache_drain(page->page, page->spare);
	page->page = NULL;
}

static int mytun_pool_alloc_page(struct mytun_pool_page *page)
{
	page->page = alloc_page(MYTUN_GFP);
	if (!page->page)
		return -ENOMEM;
	page_ref_add(page->page, MYTUN_POOL_REFERENCES - 1);
	page->spare = MYTUN_POOL_REFERENCES;
	return 0;
}

/* By who sets up rings, before anybody else has them */
int mytun_pool_fill(struct mytun_pool *pool)
{
	unsigned int i;

	for (i = 0; i < MYTUN_POOL_PAGES; i++)
		if (mytun_pool_alloc_page(&pool->pages[i]))
			return -ENOMEM;
	return 0;
}

/* Who has pieces keeps their pages */
void mytun_pool_empty(struct mytun_pool *pool)
{
	unsigned int i;

	for (i = 0; i < MYTUN_POOL_PAGES; i++)
		mytun_pool_free_page(&pool->pages[i]);
}

/* Has all that was cut from it been freed? Then it is as new */
static bool mytun_pool_renew(struct mytun_pool_page *page)
{
	if (page_ref_count(page->page) != page->spare)
		return false;
	if (unlikely(page->spare < MYTUN_POOL_REFERENCES / 2)) {
		page_ref_add(page->page, MYTUN_POOL_REFERENCES - page->spare);
		page->spare = MYTUN_POOL_REFERENCES;
	}
	return true;
}

/* The next page's turn. One that is in use is passed over until the next round */
static bool mytun_pool_turn(struct mytun_pool *pool)
{
	pool->current_page = (pool->current_page + 1) % MYTUN_POOL_PAGES;
	if (!mytun_pool_renew(&pool->pages[pool->current_page])) {
		pool->used = PAGE_SIZE;
		return false;
	}
	pool->used = 0;
	return true;
}

/**
 * mytun_pool_alloc - an skb with its data in a page of the pool
 * @pool:     the tasklet's own
 * @headroom: bytes to leave in front of the data
 * @length:   bytes of data
 *
 * Return: the skb, its data in place and not written, or NULL: take another.
 */
struct sk_buff *mytun_pool_alloc(struct mytun_pool *pool, unsigned int headroom,
				 unsigned int length)
{
	unsigned int size = SKB_DATA_ALIGN(headroom + length) +
			    SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	struct mytun_pool_page *page;
	struct sk_buff *skb;

	lockdep_assert_in_softirq();
	/* it sees no bounds within a page: half of the frames are for it to watch */
	if (IS_ENABLED(CONFIG_KASAN) && get_random_u8() & 1)
		return NULL;
	if (pool->used + size > PAGE_SIZE &&
	    (size > PAGE_SIZE || !mytun_pool_turn(pool)))
		return NULL;
	page = &pool->pages[pool->current_page];
	skb = napi_build_skb(page_address(page->page) + pool->used, size);
	if (unlikely(!skb))
		return NULL;
	page->spare--;
	pool->used += size;
	skb_reserve(skb, headroom);
	skb_put(skb, length);
	return skb;
}
