/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kernel_shim.h: what mytun_ring.h needs of the kernel, for user space
 *
 * READ_ONCE() and WRITE_ONCE() are relaxed atomics, not volatile: volatile
 * accesses are plain ones to ThreadSanitizer.
 *
 * With SHIM_INTERLEAVE every access to a shared word goes to three functions
 * of the includer, which decides what happens between them (interleave.c).
 */
#ifndef _KERNEL_SHIM_H
#define _KERNEL_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;

#define __aligned(x)	__attribute__((__aligned__(x)))

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

#define BUILD_BUG_ON(condition) \
	_Static_assert(!(condition), "BUILD_BUG_ON: " #condition)

#define ALIGN(x, a) (((x) + ((__typeof__(x))(a) - 1)) & \
		     ~((__typeof__(x))(a) - 1))

/* As the kernel's, refuses to compare two types */
#define max(a, b) ({							\
	__auto_type _a = (a);						\
	__auto_type _b = (b);						\
	BUILD_BUG_ON(!__builtin_types_compatible_p(__typeof__(_a),	\
						   __typeof__(_b)));	\
	_a > _b ? _a : _b; })

#ifdef SHIM_INTERLEAVE

u32 shim_load(const u32 *word);
void shim_store(u32 *word, u32 value);
void shim_fence(void);

#define READ_ONCE(x)		shim_load(&(x))
#define WRITE_ONCE(x, v)	shim_store(&(x), v)
#define smp_load_acquire(p)	shim_load(p)
#define smp_store_release(p, v)	shim_store(p, v)
#define smp_mb()		shim_fence()

#else

#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

/*
 * ThreadSanitizer executes the fence, but does not know that it orders
 * anything, and gcc says so. The warning is off here because the ring does not
 * lean on it for data: the fences only keep a store from passing a later load
 * (no wake-up is lost), while frames are ordered by acquire and release alone.
 * A fence that is not known can only add reports, never hide one. The other
 * way, an atomic read-modify-write of a common variable, may hide them: to
 * ThreadSanitizer it orders the two threads wherever both pass a barrier.
 */
#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif /* SHIM_INTERLEAVE */

#endif /* _KERNEL_SHIM_H */
