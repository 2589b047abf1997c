// SPDX-License-Identifier: GPL-2.0
/* wrap.c: the end of the data area, and the end of the indices */

#include <string.h>

#include "pair.h"
#include "suites.h"

#define SIZE	MYTUN_RING_SIZE_MIN

static struct pair pair;

static void pass_one(u32 length, u32 number)
{
	CHECK(pair_put(&pair, length, number));
	mytun_ring_publish(&pair.producer);
	pair_take(&pair, length, number);
	mytun_ring_release(&pair.consumer);
}

/* The two mappings show the same bytes */
static void mapped_twice(void)
{
	pair_open(&pair, SIZE, 0);
	pair.producer.data[0] = 17;
	pair.producer.data[2 * SIZE - 1] = 18;
	CHECK(pair.producer.data[SIZE] == 17);
	CHECK(pair.producer.data[SIZE - 1] == 18);
	pair_close(&pair);
}

/* The largest frame from every place where a frame can begin */
static void wrap_in_middle(void)
{
	u32 start;

	pair_open(&pair, SIZE, 0);
	for (start = 0; start < SIZE; start += MYTUN_FRAME_ALIGN) {
		pair_reset(&pair, start);
		pass_one(LARGEST, start / MYTUN_FRAME_ALIGN);
		CHECK(pair.words.consumer == start + 65600);
	}
	pair_close(&pair);
}

/* What wraps is at the start of the area, and nothing else is touched */
static void wrapped_bytes(void)
{
	struct mytun_frame *frame;
	unsigned char *data;
	u32 i;

	pair_open(&pair, SIZE, SIZE - MYTUN_FRAME_ALIGN);
	data = pair.producer.data;
	frame = mytun_ring_reserve(&pair.producer, 32 + 100);
	CHECK((unsigned char *)frame == data + SIZE - MYTUN_FRAME_ALIGN);
	memset(frame + 1, 0xaa, 32 + 100);
	for (i = 0; i < SIZE; i++)
		CHECK(data[i] == (i < 100 || i >= SIZE - 32 ? 0xaa : 0));
	mytun_ring_submit(&pair.producer, 32 + 100);
	CHECK((unsigned char *)mytun_ring_reserve(&pair.producer, 0) ==
	      data + 128);
	pair_close(&pair);
}

/* All lengths around a multiple of the alignment, over several laps */
static void every_length(void)
{
	u32 length;

	pair_open(&pair, SIZE, 0);
	for (length = 0; length < 4096; length++)
		pass_one(length, length);
	pair_close(&pair);
}

static void cross_end_of_indices(u32 size, u32 before, u32 length)
{
	u32 start = -before;
	u32 number = 0;

	pair_open(&pair, size, start);
	while (pair.words.producer - start < before + 2 * size)
		pass_one(length, number++);
	CHECK(pair.words.producer < start);
	CHECK(!pair.producer.broken && !pair.consumer.broken);
	pair_close(&pair);
}

static void index_wrap(void)
{
	static const u32 lengths[] = { 1000, 32, 96, 1514, LARGEST };
	u32 before;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++)
		for (before = 64; before <= 4 * 64; before += 64)
			cross_end_of_indices(SIZE, before, lengths[i]);
	cross_end_of_indices(SIZE, SIZE, 1000);
	cross_end_of_indices(1 << 20, 3 << 20, LARGEST);
}

/* Full, with the producer past 2^32 and the consumer before it */
static void full_across_index_wrap(void)
{
	u32 before, count;

	pair_open(&pair, SIZE, 0);
	for (before = 64; before < SIZE; before += 960) {
		pair_reset(&pair, -before);
		count = pair_fill_up(&pair);
		CHECK(count == SIZE / MYTUN_FRAME_ALIGN);
		CHECK(pair.words.producer == SIZE - before);
		CHECK(!mytun_ring_reserve(&pair.producer, 0));
		pair_take(&pair, SMALLEST, 0);
		mytun_ring_release(&pair.consumer);
		CHECK(pair_fill_up(&pair) == 1);
	}
	CHECK(!pair.producer.broken && !pair.consumer.broken);
	pair_close(&pair);
}

static const struct ktap_test tests[] = {
	{ "MappedTwice", mapped_twice },
	{ "WrapInMiddle", wrap_in_middle },
	{ "WrappedBytes", wrapped_bytes },
	{ "EveryLength", every_length },
	{ "IndexWrapAt2^32", index_wrap },
	{ "FullAcrossIndexWrap", full_across_index_wrap },
};

KTAP_SUITE(wrap, tests);
