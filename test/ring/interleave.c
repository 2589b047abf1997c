// SPDX-License-Identifier: GPL-2.0
/*
 * interleave.c: no wake-up is lost, in all interleavings of two CPUs
 *
 * The barriers C, C', D and D' keep a store from being overtaken by a later
 * load. Two threads that race show a missing one seldom, and under
 * ThreadSanitizer never, so here every order of events is tried instead. Two
 * simulated CPUs execute the ring's own code. A store goes into the CPU's store
 * buffer, and from there to memory at any later time, in order (x86's model;
 * the weaker ones allow all of this too). A full barrier waits until the buffer
 * is empty.
 *
 * What a CPU does depends only on the values it loaded. So a CPU is a list of
 * those, and a step of it is: run its program from the start, with the loads of
 * the list, up to the first access that is not in it. No stacks to switch, and
 * a machine can be copied to try something else.
 */

#define SHIM_INTERLEAVE
#include "mytun_ring.h"

#include <setjmp.h>
#include <string.h>

#include "suites.h"

/* A ring of four frames */
#define SIZE		(4 * MYTUN_FRAME_ALIGN)
#define SMALLEST	(MYTUN_FRAME_ALIGN - (u32)sizeof(struct mytun_frame))
#define START		(-2 * MYTUN_FRAME_ALIGN)
#define NEVER		(START + 0x80000000U)
#define ACCESSES_MAX	64
#define BUFFER_MAX	8
#define STATES_MAX	(1U << 18)

enum { PRODUCER, CONSUMER, NEED_WAKEUP, NEED_SPACE, WORDS };

struct store {
	u32 word;
	u32 value;
};

/* How a program ended. No padding, here and below: states are hashed */
struct outcome {
	u32 asleep;
	u32 signals;
	u32 index;
};

struct cpu {
	u32 loaded[ACCESSES_MAX];
	u32 accesses;
	struct store buffer[BUFFER_MAX];
	u32 buffered;
	u32 done;
	struct outcome outcome;
};

struct machine {
	u32 memory[WORDS];
	struct cpu cpus[2];
};

struct scenario {
	u32 filled;
	struct outcome (*programs[2])(struct mytun_ring *ring);
	void (*check)(const struct machine *machine);
};

/* What the programs see as shared words: only their addresses matter */
static u32 words[WORDS];
static const struct scenario *scenario;

/* The step that is being made */
static struct machine *machine;
static struct cpu *cpu;
static u32 replayed;
static bool fresh;
static bool blocked;
static jmp_buf step_end;

/* States from which everything was tried already, by their hash */
static u64 visited[STATES_MAX];
static u32 states;

/* The final states that were reached */
static u32 ends;
static u32 ends_asleep;

/* True if this access is to be made; false if it was made in an earlier step */
static bool access_is_fresh(void)
{
	if (replayed < cpu->accesses) {
		replayed++;
		return false;
	}
	if (fresh)
		longjmp(step_end, 1);
	fresh = true;
	CHECK(cpu->accesses < ACCESSES_MAX);
	replayed++;
	cpu->accesses++;
	return true;
}

/* A CPU sees its own stores before the other does */
static u32 load_now(u32 word)
{
	u32 i;

	for (i = cpu->buffered; i > 0; i--)
		if (cpu->buffer[i - 1].word == word)
			return cpu->buffer[i - 1].value;
	return machine->memory[word];
}

u32 shim_load(const u32 *word)
{
	if (access_is_fresh())
		cpu->loaded[replayed - 1] = load_now(word - words);
	return cpu->loaded[replayed - 1];
}

void shim_store(u32 *word, u32 value)
{
	if (!access_is_fresh())
		return;
	CHECK(cpu->buffered < BUFFER_MAX);
	cpu->buffer[cpu->buffered++] = (struct store) { word - words, value };
}

void shim_fence(void)
{
	if (!access_is_fresh() || !cpu->buffered)
		return;
	cpu->accesses--;
	blocked = true;
	longjmp(step_end, 1);
}

static struct mytun_ring ring_of(u32 side)
{
	static unsigned char data[2 * SIZE];
	struct mytun_ring ring = {
		.data = data,
		.size = SIZE,
		.producer = START,
		.consumer = START,
		.posted = START,
		.shared_producer = &words[PRODUCER],
		.shared_consumer = &words[CONSUMER],
		.need_wakeup = &words[NEED_WAKEUP],
		.need_space = &words[NEED_SPACE],
	};

	if (side == PRODUCER) {
		ring.producer += scenario->filled;
		ring.posted = ring.producer;
	}
	return ring;
}

/* One access more by CPU @side, or its end. False if it can't go on now */
static bool cpu_step(u32 side)
{
	struct mytun_ring ring = ring_of(side);

	cpu = &machine->cpus[side];
	replayed = 0;
	fresh = false;
	blocked = false;
	if (cpu->done)
		return false;
	if (setjmp(step_end))
		return !blocked;
	cpu->outcome = scenario->programs[side](&ring);
	cpu->outcome.index = side == PRODUCER ? ring.producer : ring.consumer;
	cpu->done = true;
	return true;
}

static bool cpu_flush(u32 side)
{
	u32 i;

	cpu = &machine->cpus[side];
	if (!cpu->buffered)
		return false;
	machine->memory[cpu->buffer[0].word] = cpu->buffer[0].value;
	cpu->buffered--;
	for (i = 0; i < cpu->buffered; i++)
		cpu->buffer[i] = cpu->buffer[i + 1];
	cpu->buffer[i] = (struct store) {};
	return true;
}

static u64 hash_of(const struct machine *what)
{
	const u32 *from = (const u32 *)what;
	u64 hash = 0xcbf29ce484222325ULL;
	size_t i;

	_Static_assert(sizeof(*what) % sizeof(*from) == 0, "only whole words");
	for (i = 0; i < sizeof(*what) / sizeof(*from); i++) {
		hash = (hash ^ from[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
	}
	return hash;
}

/* True the first time that it is asked for a state */
static bool visit(const struct machine *what)
{
	u64 hash = hash_of(what);
	u32 slot = hash % STATES_MAX;

	while (visited[slot] && visited[slot] != hash)
		slot = (slot + 1) % STATES_MAX;
	if (visited[slot])
		return false;
	visited[slot] = hash;
	CHECK(++states < STATES_MAX / 2);
	return true;
}

static void explore(const struct machine *from)
{
	struct machine next = *from;
	bool final = true;
	u32 side;

	if (!visit(from))
		return;
	for (side = 0; side < 2; side++) {
		machine = &next;
		if (cpu_step(side)) {
			final = false;
			explore(&next);
		}
		next = *from;
		machine = &next;
		if (cpu_flush(side)) {
			final = false;
			explore(&next);
			next = *from;
		}
	}
	if (final) {
		CHECK(from->cpus[PRODUCER].done && from->cpus[CONSUMER].done);
		scenario->check(from);
	}
}

static void explore_scenario(const struct scenario *what)
{
	struct machine start = {
		.memory = { START + what->filled, START, NEVER, NEVER },
	};

	scenario = what;
	states = 0;
	ends = 0;
	ends_asleep = 0;
	memset(visited, 0, sizeof(visited));
	explore(&start);
	ktap_say("%u states, %u ends, %u with a sleeper", states, ends,
		 ends_asleep);
	CHECK(ends_asleep && ends_asleep < ends);
}

/* Programs: each is one side of the ring, as the kernel's threads use it */

static struct outcome produce(struct mytun_ring *ring, u32 frames)
{
	struct outcome outcome = {};

	while (frames--) {
		CHECK(mytun_ring_reserve(ring, SMALLEST));
		mytun_ring_submit(ring, SMALLEST);
		outcome.signals += mytun_ring_publish(ring);
	}
	return outcome;
}

static struct outcome produce_two(struct mytun_ring *ring)
{
	return produce(ring, 2);
}

static struct outcome wait_for_room(struct mytun_ring *ring)
{
	return (struct outcome) {
		.asleep = !mytun_ring_wait_space(ring, SMALLEST),
	};
}

static u32 take_all(struct mytun_ring *ring)
{
	u32 signals = 0;

	while (mytun_ring_peek(ring)) {
		CHECK(mytun_ring_next(ring, SMALLEST));
		signals += mytun_ring_release(ring);
	}
	return signals;
}

static struct outcome consume(struct mytun_ring *ring)
{
	return (struct outcome) { .signals = take_all(ring) };
}

/* Take what is there; asleep if there is no more */
static struct outcome consume_and_sleep(struct mytun_ring *ring)
{
	struct outcome outcome = {};

	do {
		outcome.signals += take_all(ring);
		outcome.asleep = !mytun_ring_wait_frames(ring, ring->consumer);
	} while (!outcome.asleep);
	return outcome;
}

/* The look before the sleep, and nothing else */
static struct outcome look_once_and_sleep(struct mytun_ring *ring)
{
	return (struct outcome) {
		.asleep = !mytun_ring_wait_frames(ring, ring->consumer),
	};
}

/* Checks of a final state */

static void count_end(bool asleep)
{
	ends++;
	ends_asleep += asleep;
}

/* A consumer may sleep on frames only if it was signalled */
static void check_consumer(const struct machine *end)
{
	const struct outcome *producer = &end->cpus[PRODUCER].outcome;
	const struct outcome *consumer = &end->cpus[CONSUMER].outcome;
	bool frames = end->memory[PRODUCER] != consumer->index;

	CHECK(end->memory[PRODUCER] == producer->index);
	if (consumer->asleep && frames)
		CHECK(producer->signals);
	count_end(consumer->asleep && frames);
}

static void check_one_signal(const struct machine *end)
{
	CHECK(end->cpus[PRODUCER].outcome.signals <= 1);
	check_consumer(end);
}

/* In the end the ring is empty, so a producer that sleeps was signalled */
static void check_producer(const struct machine *end)
{
	const struct outcome *producer = &end->cpus[PRODUCER].outcome;
	const struct outcome *consumer = &end->cpus[CONSUMER].outcome;

	CHECK(end->memory[CONSUMER] == end->memory[PRODUCER]);
	CHECK(consumer->signals <= 1);
	if (producer->asleep)
		CHECK(consumer->signals == 1);
	count_end(producer->asleep);
}

static void sleep_on_empty(void)
{
	static const struct scenario what = {
		.programs = { produce_two, look_once_and_sleep },
		.check = check_one_signal,
	};

	explore_scenario(&what);
}

static void sleep_after_frames(void)
{
	static const struct scenario what = {
		.filled = MYTUN_FRAME_ALIGN,
		.programs = { produce_two, consume_and_sleep },
		.check = check_consumer,
	};

	explore_scenario(&what);
}

static void sleep_on_full(void)
{
	static const struct scenario what = {
		.filled = SIZE,
		.programs = { wait_for_room, consume },
		.check = check_producer,
	};

	explore_scenario(&what);
}

static const struct ktap_test tests[] = {
	{ "SleepOnEmpty", sleep_on_empty },
	{ "SleepAfterFrames", sleep_after_frames },
	{ "SleepOnFull", sleep_on_full },
};

KTAP_SUITE(interleave, tests);
