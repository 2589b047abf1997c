// SPDX-License-Identifier: GPL-2.0
/* verbs.c: what each operation does, one thread, an honest peer */

#include "pair.h"
#include "suites.h"

#define SIZE	MYTUN_RING_SIZE_MIN

static struct pair pair;

static void empty_peek(void)
{
	pair_open(&pair, SIZE, 0);
	CHECK(!mytun_ring_peek(&pair.consumer));
	CHECK(!mytun_ring_peek(&pair.consumer));
	CHECK(!mytun_ring_release(&pair.consumer));
	CHECK(!mytun_ring_publish(&pair.producer));
	CHECK(!pair.consumer.broken);
	CHECK(!pair.words.producer && !pair.words.consumer);
	pair_close(&pair);
}

static void footprint(void)
{
	u32 length;

	CHECK(mytun_ring_footprint(0) == 64);
	CHECK(mytun_ring_footprint(32) == 64);
	CHECK(mytun_ring_footprint(33) == 128);
	CHECK(mytun_ring_footprint(96) == 128);
	CHECK(mytun_ring_footprint(LARGEST) == 65600);
	for (length = 0; length <= LARGEST; length++) {
		u32 bytes = mytun_ring_footprint(length);

		CHECK(bytes % MYTUN_FRAME_ALIGN == 0);
		CHECK(bytes >= length + 32 && bytes < length + 32 + 64);
	}
}

static void one_frame(void)
{
	static const u32 lengths[] = { 0, 1, 31, 32, 33, 1514, LARGEST };
	size_t i;

	pair_open(&pair, SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		CHECK(pair_put(&pair, lengths[i], i));
		mytun_ring_publish(&pair.producer);
		pair_take(&pair, lengths[i], i);
		CHECK(!mytun_ring_peek(&pair.consumer));
		mytun_ring_release(&pair.consumer);
		CHECK(pair.words.consumer == pair.words.producer);
	}
	pair_close(&pair);
}

static void reserve_too_large(void)
{
	pair_open(&pair, SIZE, 0);
	CHECK(!mytun_ring_reserve(&pair.producer, SIZE - 31));
	CHECK(!mytun_ring_reserve(&pair.producer, SIZE));
	CHECK(!mytun_ring_reserve(&pair.producer, MYTUN_RING_SIZE_MAX));
	CHECK(!pair.producer.broken);
	CHECK(mytun_ring_reserve(&pair.producer, LARGEST));
	pair_close(&pair);
}

static void full(void)
{
	u32 count = SIZE / MYTUN_FRAME_ALIGN;
	u32 i;

	pair_open(&pair, SIZE, 0);
	CHECK(pair_fill_up(&pair) == count);
	CHECK(mytun_ring_used(&pair.producer) == SIZE);
	CHECK(!mytun_ring_room(&pair.producer));
	CHECK(!mytun_ring_reserve(&pair.producer, 0));
	CHECK(!pair.producer.broken);

	for (i = 0; i < count; i++)
		pair_take(&pair, SMALLEST, i);
	CHECK(!mytun_ring_peek(&pair.consumer));
	/* what was gone past is not room before it is released */
	CHECK(!mytun_ring_reserve(&pair.producer, 0));
	mytun_ring_release(&pair.consumer);
	CHECK(pair_fill_up(&pair) == count);
	pair_close(&pair);
}

/* A frame that takes all that is left, and one byte more */
static void exact_fit(void)
{
	u32 first = 1000;
	u32 left = SIZE - mytun_ring_footprint(first);
	u32 rest = left - (u32)sizeof(struct mytun_frame);

	pair_open(&pair, SIZE, 0);
	CHECK(pair_put(&pair, first, 1));
	CHECK(!mytun_ring_reserve(&pair.producer, rest + 1));
	CHECK(mytun_ring_reserve(&pair.producer, rest));
	mytun_ring_submit(&pair.producer, rest);
	CHECK(mytun_ring_used(&pair.producer) == SIZE);
	pair_reset(&pair, 0);

	CHECK(mytun_ring_reserve(&pair.producer, SIZE - 32));
	CHECK(!mytun_ring_reserve(&pair.producer, SIZE - 31));
	pair_close(&pair);
}

static void submit_twice_publish_once(void)
{
	pair_open(&pair, SIZE, 0);
	CHECK(!mytun_ring_wait_frames(&pair.consumer, 0));
	CHECK(pair_put(&pair, 100, 1));
	CHECK(pair_put(&pair, 200, 2));
	CHECK(mytun_ring_publish(&pair.producer));
	CHECK(!mytun_ring_publish(&pair.producer));
	pair_take(&pair, 100, 1);
	pair_take(&pair, 200, 2);
	CHECK(!mytun_ring_peek(&pair.consumer));
	pair_close(&pair);
}

static void nothing_visible_before_publish(void)
{
	pair_open(&pair, SIZE, 0);
	CHECK(pair_put(&pair, 100, 1));
	CHECK(!mytun_ring_peek(&pair.consumer));
	CHECK(!pair.words.producer);
	mytun_ring_publish(&pair.producer);
	CHECK(pair.words.producer == mytun_ring_footprint(100));

	CHECK(pair_put(&pair, 100, 2));
	pair_take(&pair, 100, 1);
	CHECK(!mytun_ring_peek(&pair.consumer));
	CHECK(!pair.words.consumer);
	mytun_ring_release(&pair.consumer);
	CHECK(pair.words.consumer == mytun_ring_footprint(100));
	pair_close(&pair);
}

static void reserve_without_submit_is_kept(void)
{
	struct mytun_frame *frame;

	pair_open(&pair, SIZE, 0);
	frame = mytun_ring_reserve(&pair.producer, 500);
	CHECK(frame);
	frame_fill(frame, 500, 7);
	CHECK(!mytun_ring_publish(&pair.producer));
	CHECK(!mytun_ring_peek(&pair.consumer));

	CHECK(mytun_ring_reserve(&pair.producer, 500) == frame);
	CHECK(mytun_ring_reserve(&pair.producer, 10) == frame);
	CHECK(!mytun_ring_used(&pair.producer));
	mytun_ring_submit(&pair.producer, 500);
	mytun_ring_publish(&pair.producer);
	pair_take(&pair, 500, 7);
	pair_close(&pair);
}

/* Looking does not move anything */
static void peek_twice(void)
{
	struct mytun_frame *frame;

	pair_open(&pair, SIZE, 0);
	CHECK(pair_put(&pair, 10, 1));
	CHECK(pair_put(&pair, 20, 2));
	mytun_ring_publish(&pair.producer);
	frame = mytun_ring_peek(&pair.consumer);
	CHECK(frame && mytun_ring_peek(&pair.consumer) == frame);
	CHECK(!mytun_ring_release(&pair.consumer));
	CHECK(!pair.words.consumer);
	pair_take(&pair, 10, 1);
	CHECK(mytun_ring_peek(&pair.consumer) != frame);
	pair_close(&pair);
}

/* Several frames gone past, one store of the index */
static void release_once(void)
{
	u32 i;

	pair_open(&pair, SIZE, 0);
	CHECK(pair_fill_up(&pair));
	for (i = 0; i < 5; i++) {
		pair_take(&pair, SMALLEST, i);
		CHECK(!pair.words.consumer);
	}
	mytun_ring_release(&pair.consumer);
	CHECK(pair.words.consumer == 5 * MYTUN_FRAME_ALIGN);
	CHECK(pair_fill_up(&pair) == 5);
	pair_close(&pair);
}

static const struct ktap_test tests[] = {
	{ "EmptyPeek", empty_peek },
	{ "Footprint", footprint },
	{ "OneFrame", one_frame },
	{ "ReserveTooLarge", reserve_too_large },
	{ "Full", full },
	{ "ExactFit", exact_fit },
	{ "SubmitTwicePublishOnce", submit_twice_publish_once },
	{ "NothingVisibleBeforePublish", nothing_visible_before_publish },
	{ "ReserveWithoutSubmitIsKept", reserve_without_submit_is_kept },
	{ "PeekTwice", peek_twice },
	{ "ReleaseOnce", release_once },
};

KTAP_SUITE(verbs, tests);
