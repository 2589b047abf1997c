// SPDX-License-Identifier: GPL-2.0
/*
 * model.c: random operations, against a queue that is plain to see
 *
 * The model counts in 64 bits, so its indices never wrap and an event that was
 * passed never comes again. The ring must do the same as long as less than
 * 2^31 bytes go by.
 */

#include "pair.h"
#include "suites.h"

#define OPERATIONS	200000
#define FRAMES_MAX	(MYTUN_RING_SIZE_MIN / MYTUN_FRAME_ALIGN)

struct model {
	u64 submitted;
	u64 published;
	u64 taken;
	u64 released;
	u64 wakeup;		/* ~0 when not set */
	u64 space;
	u32 lengths[FRAMES_MAX];
	u32 put;		/* frames */
	u32 got;
};

static struct pair pair;
static struct model model;
static struct random random_state = { .state = 0x30de1 };

static bool model_passed(u64 event, u64 new, u64 old)
{
	return old <= event && event < new;
}

static u64 model_room(void)
{
	return pair.producer.size - (model.submitted - model.released);
}

/* Mostly small, sometimes as long as can be, so that the ring is ever full */
static u32 random_length(void)
{
	switch (random_below(&random_state, 8)) {
	case 0:
		return random_below(&random_state, LARGEST + 1);
	case 1:
		return random_below(&random_state, 16384);
	default:
		return random_below(&random_state, 300);
	}
}

static void do_put(void)
{
	u32 length = random_length();
	bool fits = mytun_ring_footprint(length) <= model_room();

	CHECK(pair_put(&pair, length, model.put) == fits);
	if (!fits)
		return;
	model.lengths[model.put++ % FRAMES_MAX] = length;
	model.submitted += mytun_ring_footprint(length);
}

static void do_publish(void)
{
	bool signal = model_passed(model.wakeup, model.submitted,
				   model.published);

	CHECK(mytun_ring_publish(&pair.producer) == signal);
	model.published = model.submitted;
	CHECK(pair.words.producer == (u32)model.published);
}

static void do_take(void)
{
	u32 length = model.lengths[model.got % FRAMES_MAX];

	if (model.taken == model.published) {
		CHECK(!mytun_ring_peek(&pair.consumer));
		return;
	}
	pair_take(&pair, length, model.got++);
	model.taken += mytun_ring_footprint(length);
}

static void do_release(void)
{
	bool signal = model_passed(model.space, model.taken, model.released);

	CHECK(mytun_ring_release(&pair.consumer) == signal);
	model.released = model.taken;
	CHECK(pair.words.consumer == (u32)model.released);
}

/* A process may choose a threshold: the kernel's producer must honour it */
static void do_wait_frames(void)
{
	u32 more = random_below(&random_state, 4) * MYTUN_FRAME_ALIGN;

	model.wakeup = model.taken + more;
	CHECK(mytun_ring_wait_frames(&pair.consumer, model.wakeup) ==
	      (model.published != model.wakeup));
}

static void do_wait_space(void)
{
	u32 length = random_length();
	u32 wanted = max(pair.producer.size / 2, mytun_ring_footprint(length));

	model.space = model.submitted + wanted - pair.producer.size -
		      MYTUN_FRAME_ALIGN;
	CHECK(mytun_ring_wait_space(&pair.producer, length) ==
	      (model_room() >= wanted));
}

static void do_something(void)
{
	static void (*const operations[])(void) = {
		do_put, do_put, do_put, do_put, do_put, do_publish,
		do_take, do_take, do_take, do_take, do_take, do_release,
		do_wait_frames, do_wait_space,
	};

	operations[random_below(&random_state, 14)]();
	CHECK(!pair.producer.broken && !pair.consumer.broken);
	CHECK(mytun_ring_used(&pair.producer) <= pair.producer.size);
	CHECK(mytun_ring_used(&pair.consumer) <= pair.consumer.size);
}

static void against_model(u64 start)
{
	u32 i;

	pair_open(&pair, MYTUN_RING_SIZE_MIN, start);
	model = (struct model) {
		.submitted = start,
		.published = start,
		.taken = start,
		.released = start,
		.wakeup = ~0ULL,
		.space = ~0ULL,
	};
	for (i = 0; i < OPERATIONS; i++)
		do_something();
	ktap_say("%u frames, %llu bytes", model.got, model.released - start);
	CHECK(model.released - start > 16 * MYTUN_RING_SIZE_MIN);
	CHECK(model.released - start < 1ULL << 31);
	pair_close(&pair);
}

/* The ring's 0 is the model's 2^32: events may lie before it */
static void from_zero(void)
{
	against_model(1ULL << 32);
}

static void across_index_wrap(void)
{
	against_model((1ULL << 32) - (1 << 20));
}

static const struct ktap_test tests[] = {
	{ "AgainstModel", from_zero },
	{ "AgainstModelAcrossIndexWrap", across_index_wrap },
};

KTAP_SUITE(model, tests);
