// SPDX-License-Identifier: GPL-2.0
/*
 * concurrency.c: two threads, that sleep by event index and eventfd
 *
 * Frames are written and read with plain accesses, so ThreadSanitizer reports
 * any that the ring does not order. There is no timeout in poll(): a wake-up
 * that is lost hangs the test until its alarm.
 */

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "pair.h"
#include "suites.h"

/* What one thread counts */
struct side {
	struct random random;
	u32 waits;
	u32 sleeps;
	u32 signals;
};

static struct pair pair;
static int doorbell, space;
static u32 frames, longest;
static struct side producer, consumer;

static void bell_ring(int fd)
{
	u64 one = 1;

	CHECK(write(fd, &one, sizeof(one)) == sizeof(one));
}

static void bell_wait(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	u64 count;

	CHECK(poll(&pollfd, 1, -1) == 1);
	CHECK(read(fd, &count, sizeof(count)) == sizeof(count));
}

/* Both threads know how long the frame with a number is: from 1 to longest */
static u32 length_of(u32 number)
{
	struct random random = { .state = number + 0x9e3779b97f4a7c15ULL };

	random_next(&random);
	return 1 + random_below(&random, longest);
}

static void publish(void)
{
	if (mytun_ring_publish(&pair.producer)) {
		producer.signals++;
		bell_ring(doorbell);
	}
}

static void release(void)
{
	if (mytun_ring_release(&pair.consumer)) {
		consumer.signals++;
		bell_ring(space);
	}
}

static void wait_space(u32 length)
{
	publish();
	producer.waits++;
	if (!mytun_ring_wait_space(&pair.producer, length)) {
		CHECK(!pair.producer.broken);
		producer.sleeps++;
		bell_wait(space);
	}
}

static void wait_frames(void)
{
	release();
	consumer.waits++;
	if (!mytun_ring_wait_frames(&pair.consumer, pair.consumer.consumer)) {
		consumer.sleeps++;
		bell_wait(doorbell);
	}
}

static void *produce(void *unused)
{
	u32 number;

	for (number = 0; number < frames; number++) {
		while (!pair_put(&pair, length_of(number), number))
			wait_space(length_of(number));
		if (!random_below(&producer.random, 8))
			publish();
	}
	publish();
	return unused;
}

static void consume(void)
{
	u32 number;

	for (number = 0; number < frames; number++) {
		while (!mytun_ring_peek(&pair.consumer)) {
			CHECK(!pair.consumer.broken);
			wait_frames();
		}
		pair_take(&pair, length_of(number), number);
		if (!random_below(&consumer.random, 8))
			release();
	}
	release();
}

/* An event that is set is passed once at most */
static void check_sides(void)
{
	ktap_say("consumer slept %u times of %u, %u signals; producer %u of %u, %u",
		 consumer.sleeps, consumer.waits, producer.signals,
		 producer.sleeps, producer.waits, consumer.signals);
	CHECK(producer.signals <= consumer.waits);
	CHECK(consumer.signals <= producer.waits);
	CHECK(pair.words.producer == pair.words.consumer);
}

static void two_threads(u32 size, u32 count, u32 length)
{
	pthread_t thread;

	/* the indices wrap on the way, and bytes in all stay below 2^31 */
	pair_open(&pair, size, -2 * size);
	frames = count;
	longest = length;
	producer = (struct side) { .random = { .state = 0xb0b } };
	consumer = (struct side) { .random = { .state = 0xa11ce } };
	doorbell = eventfd(0, EFD_CLOEXEC);
	space = eventfd(0, EFD_CLOEXEC);
	CHECK(doorbell >= 0 && space >= 0);

	CHECK(!pthread_create(&thread, NULL, produce, NULL));
	consume();
	CHECK(!pthread_join(thread, NULL));
	check_sides();
	close(doorbell);
	close(space);
	pair_close(&pair);
}

static void small_frames_smallest_ring(void)
{
	two_threads(MYTUN_RING_SIZE_MIN, 250000, 200);
}

static void small_frames_large_ring(void)
{
	two_threads(1 << 20, 250000, 200);
}

static void all_sizes_smallest_ring(void)
{
	two_threads(MYTUN_RING_SIZE_MIN, 10000, LARGEST);
}

static void all_sizes_large_ring(void)
{
	two_threads(1 << 20, 10000, LARGEST);
}

/* Less room than a ring of the module has: both sides wait all the time */
static void little_room(void)
{
	static const u32 size = 65536;

	two_threads(size, 8000, size - 32);
}

static const struct ktap_test tests[] = {
	{ "ConcurrentReaderWriterSmallest", small_frames_smallest_ring },
	{ "ConcurrentReaderWriter1MiB", small_frames_large_ring },
	{ "ConcurrentAllSizesSmallest", all_sizes_smallest_ring },
	{ "ConcurrentAllSizes1MiB", all_sizes_large_ring },
	{ "ConcurrentLittleRoom", little_room },
};

KTAP_SUITE(concurrency, tests);
