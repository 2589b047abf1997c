/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pair.h: both sides of a ring, over memory mapped as the kernel maps it
 *
 * The data area is mapped twice back to back, with a page without access
 * before and after: what leaves the area ends the test.
 */
#ifndef _PAIR_H
#define _PAIR_H

#include "mytun_ring.h"

/* The longest payload, and the one that just fills the smallest footprint */
#define LARGEST		MYTUN_FRAME_MAX
#define SMALLEST	(MYTUN_FRAME_ALIGN - (u32)sizeof(struct mytun_frame))

/* The shared words, far apart as in the kernel */
struct words {
	u32 producer __aligned(128);
	u32 consumer __aligned(128);
	u32 need_wakeup __aligned(128);
	u32 need_space __aligned(128);
};

struct pair {
	struct words words;
	struct mytun_ring producer;
	struct mytun_ring consumer;
};

/* A ring whose indices start at @start */
void pair_open(struct pair *pair, u32 size, u32 start);
void pair_close(struct pair *pair);
/* As new, in the same memory */
void pair_reset(struct pair *pair, u32 start);

/* Fill a reserved frame: @number is in its hash and chooses its content */
void frame_fill(struct mytun_frame *frame, u32 length, u32 number);
/* That is what was filled in, byte by byte */
void frame_check(const struct mytun_frame *frame, u32 length, u32 number);

/* Reserve, fill, submit. False if there is no room */
bool pair_put(struct pair *pair, u32 length, u32 number);
/* Put smallest frames until there is no room, and publish. How many */
u32 pair_fill_up(struct pair *pair);
/* Peek, check, go past */
void pair_take(struct pair *pair, u32 length, u32 number);

/* Seeded and repeatable (xorshift64) */
struct random {
	u64 state;
};

u64 random_next(struct random *random);
/* From 0 to @end, without @end */
u32 random_below(struct random *random, u32 end);

#endif /* _PAIR_H */
