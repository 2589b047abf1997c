// SPDX-License-Identifier: GPL-2.0
/* corruption.c: a peer whose words make no sense, case by case */

#include "pair.h"
#include "suites.h"

#define SIZE	MYTUN_RING_SIZE_MIN

static struct pair pair;

/* Where the indices start: also where they or the lie wrap */
static const u32 starts[] = {
	0, MYTUN_FRAME_ALIGN, -MYTUN_FRAME_ALIGN, -SIZE, -(SIZE / 2),
	0x80000000, 0x80000000 - SIZE, 0x12345 * MYTUN_FRAME_ALIGN,
};

/* A full ring; then the consumer's word is @start + @lie */
static void lie_about_consumer(u32 start, u32 lie)
{
	pair_reset(&pair, start);
	pair_fill_up(&pair);
	WRITE_ONCE(pair.words.consumer, start + lie);
}

static void bad_consumer(u32 lie)
{
	size_t i;

	pair_open(&pair, SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		lie_about_consumer(starts[i], lie);
		CHECK(!mytun_ring_reserve(&pair.producer, 0));
		CHECK(pair.producer.broken);
		CHECK(pair.producer.consumer == starts[i]);

		lie_about_consumer(starts[i], lie);
		CHECK(!mytun_ring_wait_space(&pair.producer, 0));
		CHECK(pair.producer.broken);
	}
	pair_close(&pair);
}

static void consumer_beyond(void)
{
	bad_consumer(SIZE + MYTUN_FRAME_ALIGN);
	bad_consumer(2 * SIZE);
	bad_consumer(0x80000000);
}

static void consumer_backwards(void)
{
	bad_consumer(-MYTUN_FRAME_ALIGN);
	bad_consumer(-SIZE);
}

static void consumer_unaligned(void)
{
	bad_consumer(1);
	bad_consumer(32);
	bad_consumer(MYTUN_FRAME_ALIGN + 8);
	bad_consumer(SIZE - 1);
}

/* The limits of what is believed */
static void consumer_plausible(void)
{
	size_t i;

	pair_open(&pair, SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		lie_about_consumer(starts[i], 0);
		CHECK(!mytun_ring_reserve(&pair.producer, 0));
		lie_about_consumer(starts[i], MYTUN_FRAME_ALIGN);
		CHECK(mytun_ring_reserve(&pair.producer, SMALLEST));
		CHECK(!mytun_ring_reserve(&pair.producer, SMALLEST + 1));
		lie_about_consumer(starts[i], SIZE);
		CHECK(mytun_ring_reserve(&pair.producer, LARGEST));
		CHECK(mytun_ring_room(&pair.producer) == SIZE);
		CHECK(!pair.producer.broken);
	}
	pair_close(&pair);
}

/* Over what was submitted but not published the consumer can't go in truth */
static void consumer_beyond_submitted(void)
{
	pair_open(&pair, SIZE, 0);
	CHECK(pair_put(&pair, LARGEST, 1));
	mytun_ring_publish(&pair.producer);
	WRITE_ONCE(pair.words.consumer, 65600 + MYTUN_FRAME_ALIGN);
	CHECK(!mytun_ring_reserve(&pair.producer, LARGEST));
	CHECK(pair.producer.broken);
	pair_close(&pair);
}

static void bad_producer(u32 lie)
{
	size_t i;

	pair_open(&pair, SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		pair_reset(&pair, starts[i]);
		WRITE_ONCE(pair.words.producer, starts[i] + lie);
		CHECK(!mytun_ring_peek(&pair.consumer));
		CHECK(pair.consumer.broken);
		CHECK(pair.consumer.producer == starts[i]);
	}
	pair_close(&pair);
}

static void producer_beyond(void)
{
	bad_producer(SIZE + MYTUN_FRAME_ALIGN);
	bad_producer(2 * SIZE);
	bad_producer(0x80000000);
}

static void producer_backwards(void)
{
	bad_producer(-MYTUN_FRAME_ALIGN);
	bad_producer(-SIZE);
}

static void producer_unaligned(void)
{
	bad_producer(1);
	bad_producer(32);
	bad_producer(MYTUN_FRAME_ALIGN + 8);
	bad_producer(SIZE - 1);
}

static void producer_plausible(void)
{
	size_t i;

	pair_open(&pair, SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		pair_reset(&pair, starts[i]);
		WRITE_ONCE(pair.words.producer, starts[i] + MYTUN_FRAME_ALIGN);
		CHECK(mytun_ring_peek(&pair.consumer));
		CHECK(mytun_ring_next(&pair.consumer, 0));
		CHECK(!mytun_ring_peek(&pair.consumer));
		WRITE_ONCE(pair.words.producer,
			   starts[i] + MYTUN_FRAME_ALIGN + SIZE);
		CHECK(mytun_ring_peek(&pair.consumer));
		CHECK(!pair.consumer.broken);
	}
	pair_close(&pair);
}

/* @frames of the smallest are there: does the first one end at @length? */
static bool next_of(u32 start, u32 frames, u32 length)
{
	u32 i;

	pair_reset(&pair, start);
	for (i = 0; i < frames; i++)
		CHECK(pair_put(&pair, SMALLEST, i));
	mytun_ring_publish(&pair.producer);
	CHECK(mytun_ring_peek(&pair.consumer));
	if (mytun_ring_next(&pair.consumer, length))
		return true;
	CHECK(pair.consumer.broken);
	CHECK(pair.consumer.consumer == start);
	CHECK(!mytun_ring_peek(&pair.consumer));
	return false;
}

static void length_past_producer(void)
{
	size_t i;

	pair_open(&pair, SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		CHECK(next_of(starts[i], 1, SMALLEST));
		CHECK(!next_of(starts[i], 1, SMALLEST + 1));
		CHECK(!next_of(starts[i], 1, LARGEST));
		/* within what is there a peer may cut frames as it likes */
		CHECK(next_of(starts[i], 2, 96));
		CHECK(!next_of(starts[i], 2, 97));
		CHECK(next_of(starts[i], SIZE / 64, SIZE - 32));
		CHECK(!next_of(starts[i], SIZE / 64, SIZE - 31));
	}
	pair_close(&pair);
}

static void length_near_the_end(void)
{
	u32 length;

	pair_open(&pair, SIZE, -SIZE);
	for (length = SIZE - 31; length < SIZE + 200; length++)
		CHECK(!next_of(-SIZE, 1, length));
	for (length = -200; length; length++)
		CHECK(!next_of(-SIZE, 1, length));
	CHECK(!next_of(0, 1, 0x80000000));
	CHECK(!next_of(0, 1, 0x7fffffff));
	CHECK(!next_of(0, 1, MYTUN_RING_SIZE_MAX));
	pair_close(&pair);
}

/* The word is right again, but nobody believes it any more */
static void nothing_moves_consumer(void)
{
	struct mytun_ring before;
	u32 honest;

	pair_open(&pair, SIZE, 0);
	CHECK(pair_put(&pair, 10, 1));
	mytun_ring_publish(&pair.producer);
	pair_take(&pair, 10, 1);
	CHECK(pair_put(&pair, 20, 2));
	mytun_ring_publish(&pair.producer);

	honest = pair.words.producer;
	WRITE_ONCE(pair.words.producer, honest + 1);
	CHECK(!mytun_ring_peek(&pair.consumer));
	before = pair.consumer;
	WRITE_ONCE(pair.words.producer, honest);
	CHECK(!mytun_ring_peek(&pair.consumer));
	CHECK(pair.consumer.producer == before.producer);
	CHECK(pair.consumer.consumer == before.consumer);

	/* what was gone past before may be given back, once */
	mytun_ring_release(&pair.consumer);
	CHECK(pair.words.consumer == mytun_ring_footprint(10));
	CHECK(!mytun_ring_release(&pair.consumer));
	CHECK(pair.words.consumer == mytun_ring_footprint(10));
	pair_close(&pair);
}

static void nothing_moves_producer(void)
{
	struct mytun_ring before;

	pair_open(&pair, SIZE, 0);
	lie_about_consumer(0, -MYTUN_FRAME_ALIGN);
	CHECK(!mytun_ring_reserve(&pair.producer, 0));
	before = pair.producer;
	WRITE_ONCE(pair.words.consumer, SIZE);
	CHECK(!mytun_ring_reserve(&pair.producer, 0));
	CHECK(!mytun_ring_publish(&pair.producer));
	CHECK(pair.producer.producer == before.producer);
	CHECK(pair.producer.consumer == before.consumer);
	CHECK(pair.words.producer == SIZE);
	pair_close(&pair);
}

/* A frame that ran too far, then an honest one: it is not taken */
static void nothing_moves_after_length(void)
{
	pair_open(&pair, SIZE, 0);
	CHECK(pair_put(&pair, SMALLEST, 1));
	CHECK(pair_put(&pair, SMALLEST, 2));
	mytun_ring_publish(&pair.producer);
	CHECK(!mytun_ring_next(&pair.consumer, LARGEST));
	CHECK(!mytun_ring_peek(&pair.consumer));
	CHECK(!mytun_ring_release(&pair.consumer));
	CHECK(!pair.words.consumer && !pair.consumer.consumer);
	pair_close(&pair);
}

/* The peer's events choose whether to signal, and nothing else */
static void any_event(void)
{
	struct random random = { .state = 0xe7e27 };
	u32 i;

	pair_open(&pair, SIZE, 0);
	for (i = 0; i < 10000; i++) {
		WRITE_ONCE(pair.words.need_wakeup, random_next(&random));
		WRITE_ONCE(pair.words.need_space, random_next(&random));
		CHECK(pair_put(&pair, 100, i));
		mytun_ring_publish(&pair.producer);
		pair_take(&pair, 100, i);
		mytun_ring_release(&pair.consumer);
	}
	CHECK(!pair.producer.broken && !pair.consumer.broken);
	pair_close(&pair);
}

static const struct ktap_test tests[] = {
	{ "ConsumerBeyond", consumer_beyond },
	{ "ConsumerBackwards", consumer_backwards },
	{ "ConsumerUnaligned", consumer_unaligned },
	{ "ConsumerPlausible", consumer_plausible },
	{ "ConsumerBeyondSubmitted", consumer_beyond_submitted },
	{ "ProducerBeyond", producer_beyond },
	{ "ProducerBackwards", producer_backwards },
	{ "ProducerUnaligned", producer_unaligned },
	{ "ProducerPlausible", producer_plausible },
	{ "LengthPastProducer", length_past_producer },
	{ "LengthNearTheEnd", length_near_the_end },
	{ "NothingMovesConsumer", nothing_moves_consumer },
	{ "NothingMovesProducer", nothing_moves_producer },
	{ "NothingMovesAfterLength", nothing_moves_after_length },
	{ "AnyEvent", any_event },
};

KTAP_SUITE(corruption, tests);
