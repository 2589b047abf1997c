// SPDX-License-Identifier: GPL-2.0
/* pair.c: memory, content and chance for the tests */

#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ktap.h"
#include "pair.h"

/* As MYTUN_EVENT_NEVER of the module: far from where the indices start */
#define NEVER		0x80000000U
/* Frames with different numbers begin at different places of one pattern */
#define PATTERN_PLACES	4093U

static unsigned char pattern[LARGEST + PATTERN_PLACES];

static void pattern_prepare(void)
{
	struct random random = { .state = 0x6d7974756eULL };
	size_t i;

	for (i = 0; i < sizeof(pattern); i++)
		pattern[i] = random_next(&random) >> 32;
}

static const unsigned char *pattern_of(u32 number)
{
	return pattern + number % PATTERN_PLACES;
}

static unsigned char *map_twice(u32 size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	int fd = memfd_create("ring", MFD_CLOEXEC);
	unsigned char *area;
	int i;

	CHECK(fd >= 0 && !ftruncate(fd, size));
	area = mmap(NULL, 2 * page + 2 * (size_t)size, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(area != MAP_FAILED);
	area += page;
	for (i = 0; i < 2; i++) {
		void *at = area + i * (size_t)size;

		CHECK(mmap(at, size, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, fd, 0) == at);
	}
	close(fd);
	return area;
}

void pair_reset(struct pair *pair, u32 start)
{
	struct mytun_ring side = {
		.data = pair->producer.data,
		.size = pair->producer.size,
		.producer = start,
		.consumer = start,
		.posted = start,
		.shared_producer = &pair->words.producer,
		.shared_consumer = &pair->words.consumer,
		.need_wakeup = &pair->words.need_wakeup,
		.need_space = &pair->words.need_space,
	};

	pair->producer = side;
	pair->consumer = side;
	WRITE_ONCE(pair->words.producer, start);
	WRITE_ONCE(pair->words.consumer, start);
	WRITE_ONCE(pair->words.need_wakeup, start + NEVER);
	WRITE_ONCE(pair->words.need_space, start + NEVER);
}

void pair_open(struct pair *pair, u32 size, u32 start)
{
	pattern_prepare();
	pair->producer.data = map_twice(size);
	pair->producer.size = size;
	pair_reset(pair, start);
}

void pair_close(struct pair *pair)
{
	size_t page = sysconf(_SC_PAGESIZE);

	munmap(pair->producer.data - page,
	       2 * page + 2 * (size_t)pair->producer.size);
}

void frame_fill(struct mytun_frame *frame, u32 length, u32 number)
{
	*frame = (struct mytun_frame) { .length = length, .hash = number };
	memcpy(frame + 1, pattern_of(number), length);
}

void frame_check(const struct mytun_frame *frame, u32 length, u32 number)
{
	CHECK(frame->length == length);
	CHECK(frame->hash == number);
	CHECK(!memcmp(frame + 1, pattern_of(number), length));
}

bool pair_put(struct pair *pair, u32 length, u32 number)
{
	struct mytun_frame *frame = mytun_ring_reserve(&pair->producer, length);

	if (!frame)
		return false;
	frame_fill(frame, length, number);
	mytun_ring_submit(&pair->producer, length);
	return true;
}

u32 pair_fill_up(struct pair *pair)
{
	u32 count = 0;

	while (pair_put(pair, SMALLEST, count))
		count++;
	mytun_ring_publish(&pair->producer);
	return count;
}

void pair_take(struct pair *pair, u32 length, u32 number)
{
	struct mytun_frame *frame = mytun_ring_peek(&pair->consumer);

	CHECK(frame);
	frame_check(frame, length, number);
	CHECK(mytun_ring_next(&pair->consumer, length));
}

u64 random_next(struct random *random)
{
	random->state ^= random->state << 13;
	random->state ^= random->state >> 7;
	random->state ^= random->state << 17;
	return random->state;
}

u32 random_below(struct random *random, u32 end)
{
	return (random_next(random) >> 16) % end;
}
