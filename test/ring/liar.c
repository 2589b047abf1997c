// SPDX-License-Identifier: GPL-2.0
/*
 * liar.c: a peer that writes anything anywhere, at any moment
 *
 * Nothing is expected of the data. Every place that the ring returns is inside
 * the double mapping, as is the end of the frame there, and no side ever
 * believes that more is in the ring than fits.
 */

#include <pthread.h>

#include "pair.h"
#include "suites.h"

#define SIZE		MYTUN_RING_SIZE_MIN
#define PLACES		(SIZE / MYTUN_FRAME_ALIGN)
#define ITERATIONS	1000000

struct tally {
	u32 moved;
	u32 refused;
};

static struct pair pair;

static void check_place(const struct mytun_ring *ring, const void *place,
			u32 footprint)
{
	const unsigned char *frame = place;

	CHECK(frame >= ring->data && frame < ring->data + SIZE);
	CHECK((frame - ring->data) % MYTUN_FRAME_ALIGN == 0);
	CHECK(footprint <= SIZE);
	/* the mapping ends here or later: so says the guard page too */
	CHECK(frame + footprint <= ring->data + 2 * SIZE);
}

/* The first and the last byte; others may be writing there */
static void touch(struct mytun_frame *frame, u32 length)
{
	unsigned char *payload = (unsigned char *)(frame + 1);

	if (!length)
		return;
	WRITE_ONCE(payload[0], READ_ONCE(payload[length - 1]));
	WRITE_ONCE(payload[length - 1], 1);
}

static void check_ring(const struct mytun_ring *ring)
{
	CHECK(mytun_ring_used(ring) <= SIZE);
	CHECK(mytun_ring_room(ring) <= SIZE);
	CHECK(ring->producer % MYTUN_FRAME_ALIGN == 0);
	CHECK(ring->consumer % MYTUN_FRAME_ALIGN == 0);
}

/* As the kernel: each word of the header is read once */
static u32 read_length(const struct mytun_frame *frame)
{
	return READ_ONCE(frame->length);
}

static void consumer_turn(struct mytun_ring *ring, struct random *random,
			  struct tally *tally)
{
	struct mytun_frame *frame = mytun_ring_peek(ring);
	u32 length;

	if (frame) {
		check_place(ring, frame, sizeof(*frame));
		length = read_length(frame);
		if (mytun_ring_next(ring, length)) {
			check_place(ring, frame, mytun_ring_footprint(length));
			touch(frame, length);
			tally->moved++;
		}
	}
	if (!random_below(random, 4))
		mytun_ring_release(ring);
	if (!random_below(random, 16))
		mytun_ring_wait_frames(ring, ring->consumer);
	check_ring(ring);
}

static void producer_turn(struct mytun_ring *ring, struct random *random,
			  struct tally *tally)
{
	u32 length = random_below(random, LARGEST + 1);
	struct mytun_frame *frame = mytun_ring_reserve(ring, length);

	if (frame) {
		check_place(ring, frame, mytun_ring_footprint(length));
		touch(frame, length);
		mytun_ring_submit(ring, length);
		tally->moved++;
	}
	if (!random_below(random, 4))
		mytun_ring_publish(ring);
	if (!random_below(random, 16))
		mytun_ring_wait_space(ring, length);
	check_ring(ring);
}

/* Any word at all, or one near the truth: each is a lie of its own kind */
static u32 random_word(struct random *random, u32 truth)
{
	switch (random_below(random, 8)) {
	case 0:
		return random_next(random);
	case 1:
		return truth + random_below(random, 2 * SIZE);
	case 2:
		return truth - random_below(random, 2 * SIZE);
	default:
		return truth + random_below(random, PLACES + 3) *
		       MYTUN_FRAME_ALIGN;
	}
}

static u32 random_length(struct random *random)
{
	switch (random_below(random, 4)) {
	case 0:
		return random_next(random);
	case 1:
		return -random_below(random, 256);
	default:
		return random_below(random, SIZE);
	}
}

static void write_length(u32 place, u32 length)
{
	struct mytun_frame *frame = mytun_ring_at(&pair.producer, place);

	WRITE_ONCE(frame->length, length);
}

/* Once broken, always broken: start anew somewhere else */
static void restart(struct mytun_ring *ring, struct random *random,
		    struct tally *tally)
{
	if (!ring->broken)
		return;
	tally->refused++;
	pair_reset(&pair, random_next(random) & -MYTUN_FRAME_ALIGN);
}

static void check_tally(const struct tally *tally)
{
	ktap_say("%u frames, %u times broken", tally->moved, tally->refused);
	CHECK(tally->moved > ITERATIONS / 100);
	CHECK(tally->refused > ITERATIONS / 100);
}

static void lying_producer(void)
{
	struct random random = { .state = 0x11a4 };
	struct tally tally = {};
	u32 i;

	pair_open(&pair, SIZE, 0);
	for (i = 0; i < ITERATIONS; i++) {
		u32 place = pair.consumer.consumer;

		WRITE_ONCE(pair.words.producer, random_word(&random, place));
		WRITE_ONCE(pair.words.need_space, random_word(&random, place));
		write_length(place, random_length(&random));
		consumer_turn(&pair.consumer, &random, &tally);
		restart(&pair.consumer, &random, &tally);
	}
	check_tally(&tally);
	pair_close(&pair);
}

static void lying_consumer(void)
{
	struct random random = { .state = 0x11a5 };
	struct tally tally = {};
	u32 i;

	pair_open(&pair, SIZE, 0);
	for (i = 0; i < ITERATIONS; i++) {
		u32 place = pair.producer.consumer;

		WRITE_ONCE(pair.words.consumer, random_word(&random, place));
		WRITE_ONCE(pair.words.need_wakeup, random_word(&random, place));
		producer_turn(&pair.producer, &random, &tally);
		restart(&pair.producer, &random, &tally);
	}
	check_tally(&tally);
	pair_close(&pair);
}

/* A thread that scribbles over words and headers while they are being read */

static bool enough;

static void *scribble(void *unused)
{
	struct random random = { .state = 0x5c21bb1e };
	u32 near = 0;

	while (!__atomic_load_n(&enough, __ATOMIC_RELAXED)) {
		u32 *words[] = {
			&pair.words.producer, &pair.words.consumer,
			&pair.words.need_wakeup, &pair.words.need_space,
		};
		u32 *word = words[random_below(&random, 4)];

		/* follow the victim, so that some lies are believed */
		near = READ_ONCE(*word);
		WRITE_ONCE(*word, random_word(&random, near));
		write_length(random_next(&random) & -MYTUN_FRAME_ALIGN,
			     random_length(&random));
	}
	return unused;
}

/* Private halves only: the words are the scribbler's too */
static void revive(struct mytun_ring *ring, u32 index)
{
	ring->broken = false;
	ring->producer = index & -MYTUN_FRAME_ALIGN;
	ring->consumer = ring->producer;
	ring->posted = ring->producer;
}

static void scribbler(void)
{
	struct random random = { .state = 0x11a6 };
	struct tally tally = {};
	pthread_t thread;
	u32 i;

	pair_open(&pair, SIZE, 0);
	CHECK(!pthread_create(&thread, NULL, scribble, NULL));
	for (i = 0; i < ITERATIONS / 2; i++) {
		consumer_turn(&pair.consumer, &random, &tally);
		producer_turn(&pair.producer, &random, &tally);
		if (pair.consumer.broken)
			revive(&pair.consumer, READ_ONCE(pair.words.producer));
		if (pair.producer.broken)
			revive(&pair.producer, READ_ONCE(pair.words.consumer));
	}
	__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
	CHECK(!pthread_join(thread, NULL));
	ktap_say("%u frames", tally.moved);
	CHECK(tally.moved);
	pair_close(&pair);
}

static const struct ktap_test tests[] = {
	{ "LyingProducer", lying_producer },
	{ "LyingConsumer", lying_consumer },
	{ "Scribbler", scribbler },
};

KTAP_SUITE(liar, tests);
