// SPDX-License-Identifier: GPL-2.0
/* events.c: who is signalled, and when; from several places of the indices */

#include "pair.h"
#include "suites.h"

#define SIZE	MYTUN_RING_SIZE_MIN
#define ALIGNED	MYTUN_FRAME_ALIGN

static struct pair pair;

/* One smallest frame more. Does the consumer want a signal? */
static bool publish_one(void)
{
	CHECK(pair_put(&pair, SMALLEST, 0));
	return mytun_ring_publish(&pair.producer);
}

/* One smallest frame less. Does the producer want a signal? */
static bool release_one(void)
{
	CHECK(mytun_ring_peek(&pair.consumer));
	CHECK(mytun_ring_next(&pair.consumer, SMALLEST));
	return mytun_ring_release(&pair.consumer);
}

static void from_everywhere(void (*scenario)(u32 start))
{
	static const u32 starts[] = {
		0, ALIGNED, -ALIGNED, -2 * ALIGNED, -(SIZE / 2), -SIZE, SIZE,
		-SIZE - ALIGNED, 0x80000000, 0x80000000 - ALIGNED,
		0x80000000 - SIZE, 0x7fffff00, 0xfffe0040,
	};
	size_t i;

	pair_open(&pair, SIZE, 0);
	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		pair_reset(&pair, starts[i]);
		scenario(starts[i]);
		CHECK(!pair.producer.broken && !pair.consumer.broken);
	}
	pair_close(&pair);
}

/* The definition in the ABI, against 64-bit indices that never wrap */
static void passed(void)
{
	static const u64 bases[] = { 1ULL << 32, 1ULL << 33, 3ULL << 31 };
	int old, new, event;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bases); i++)
		for (old = -6; old <= 6; old++)
			for (new = old; new <= 6; new++)
				for (event = -9; event <= 9; event++)
					CHECK(mytun_ring_passed(bases[i] + event,
								bases[i] + new,
								bases[i] + old) ==
					      (old <= event && event < new));
}

static void only_sleeper(u32 start)
{
	CHECK(!publish_one());
	CHECK(!release_one());
	CHECK(!mytun_ring_wait_frames(&pair.consumer, start + ALIGNED));
	CHECK(pair.words.need_wakeup == start + ALIGNED);
	CHECK(publish_one());
	CHECK(!release_one());
}

static void publish_signals_only_sleeper(void)
{
	from_everywhere(only_sleeper);
}

static void one_signal(u32 start)
{
	int i;

	CHECK(!mytun_ring_wait_frames(&pair.consumer, start));
	CHECK(publish_one());
	for (i = 0; i < 100; i++)
		CHECK(!publish_one());
	CHECK(!mytun_ring_publish(&pair.producer));
}

static void one_sleep_one_signal(void)
{
	from_everywhere(one_signal);
}

/* A publish that came first: stay awake, and the event is stale already */
static void publish_came_first(u32 start)
{
	CHECK(!publish_one());
	CHECK(mytun_ring_wait_frames(&pair.consumer, start));
	CHECK(!publish_one());
}

static void wait_frames_sees_publish(void)
{
	from_everywhere(publish_came_first);
}

/* Four frames, please: the word is set past @start, as a process may do */
static void four_frames(u32 start)
{
	int i;

	WRITE_ONCE(pair.words.need_wakeup, start + 3 * ALIGNED);
	for (i = 0; i < 3; i++)
		CHECK(!publish_one());
	CHECK(publish_one());
	CHECK(!publish_one());
}

static void wakeup_threshold(void)
{
	from_everywhere(four_frames);
}

static void four_of_ten(u32 start)
{
	int i;

	WRITE_ONCE(pair.words.need_wakeup, start + 3 * ALIGNED);
	for (i = 0; i < 10; i++)
		CHECK(pair_put(&pair, SMALLEST, i));
	CHECK(mytun_ring_publish(&pair.producer));
	CHECK(!publish_one());
}

static void wakeup_threshold_in_batch(void)
{
	from_everywhere(four_of_ten);
}

static void half_empty(u32 start)
{
	u32 count = pair_fill_up(&pair);
	u32 i;

	CHECK(!mytun_ring_wait_space(&pair.producer, SMALLEST));
	for (i = 1; i < count / 2; i++)
		CHECK(!release_one());
	CHECK(release_one());
	CHECK(pair.words.consumer == start + SIZE / 2);
	for (; i < count; i++)
		CHECK(!release_one());
}

static void wait_space_half_empty(void)
{
	from_everywhere(half_empty);
}

/* Half of the smallest ring is less than the largest frame */
static void more_than_half(u32 start)
{
	pair_fill_up(&pair);
	CHECK(!mytun_ring_wait_space(&pair.producer, LARGEST));
	while (pair.words.consumer != start + 65600 - ALIGNED) {
		CHECK(!release_one());
		CHECK(!mytun_ring_reserve(&pair.producer, LARGEST));
	}
	CHECK(release_one());
	CHECK(pair_put(&pair, LARGEST, 1));
	CHECK(!mytun_ring_room(&pair.producer));
}

static void wait_space_more_than_half(void)
{
	from_everywhere(more_than_half);
}

/* Partly full: the event counts from the producer, not from a full ring */
static void partly_full(u32 start)
{
	u32 i;

	for (i = 0; i < SIZE / 2 / ALIGNED + 3; i++)
		CHECK(!publish_one());
	CHECK(!mytun_ring_wait_space(&pair.producer, SMALLEST));
	CHECK(!release_one());
	CHECK(!release_one());
	CHECK(release_one());
	CHECK(!release_one());
	CHECK(pair.words.consumer == start + 4 * ALIGNED);
}

static void wait_space_partly_full(void)
{
	from_everywhere(partly_full);
}

/* A release that came first: stay awake, and no signal comes any more */
static void release_came_first(u32 start)
{
	u32 count = pair_fill_up(&pair);
	u32 i;

	(void)start;
	for (i = 0; i < count / 2; i++)
		CHECK(!release_one());
	CHECK(mytun_ring_wait_space(&pair.producer, SMALLEST));
	CHECK(mytun_ring_room(&pair.producer) == SIZE / 2);
	for (; i < count; i++)
		CHECK(!release_one());
}

static void wait_space_sees_release(void)
{
	from_everywhere(release_came_first);
}

static void empty_has_space(u32 start)
{
	(void)start;
	CHECK(mytun_ring_wait_space(&pair.producer, SMALLEST));
	CHECK(mytun_ring_wait_space(&pair.producer, LARGEST));
	CHECK(!publish_one());
	CHECK(!release_one());
}

static void wait_space_when_empty(void)
{
	from_everywhere(empty_has_space);
}

/* Both events were passed; a lap and a half later nobody is signalled */
static void stale(u32 start)
{
	u32 i;

	CHECK(!mytun_ring_wait_frames(&pair.consumer, start));
	CHECK(publish_one());
	for (i = 1; i < SIZE / ALIGNED; i++)
		CHECK(!publish_one());
	CHECK(!mytun_ring_wait_space(&pair.producer, 0));
	for (i = 0; i < SIZE / ALIGNED; i++)
		CHECK(release_one() == (i == SIZE / 2 / ALIGNED - 1));
	for (i = 0; i < 3 * SIZE / 2 / ALIGNED; i++) {
		CHECK(!publish_one());
		CHECK(!release_one());
	}
}

static void stale_event_silent(void)
{
	from_everywhere(stale);
}

/* Events that nobody set, as the module initialises them */
static void never(u32 start)
{
	u32 i;

	(void)start;
	CHECK(pair_fill_up(&pair));
	for (i = 0; i < 4 * SIZE / ALIGNED; i++) {
		CHECK(!release_one());
		CHECK(!publish_one());
	}
}

static void event_never_set(void)
{
	from_everywhere(never);
}

static const struct ktap_test tests[] = {
	{ "Passed", passed },
	{ "PublishSignalsOnlySleeper", publish_signals_only_sleeper },
	{ "OneSleepOneSignal", one_sleep_one_signal },
	{ "WaitFramesSeesPublish", wait_frames_sees_publish },
	{ "WakeupThreshold", wakeup_threshold },
	{ "WakeupThresholdInBatch", wakeup_threshold_in_batch },
	{ "WaitSpaceHalfEmpty", wait_space_half_empty },
	{ "WaitSpaceMoreThanHalf", wait_space_more_than_half },
	{ "WaitSpacePartlyFull", wait_space_partly_full },
	{ "WaitSpaceSeesRelease", wait_space_sees_release },
	{ "WaitSpaceWhenEmpty", wait_space_when_empty },
	{ "StaleEventSilent", stale_event_silent },
	{ "EventNeverSet", event_never_set },
};

KTAP_SUITE(events, tests);
