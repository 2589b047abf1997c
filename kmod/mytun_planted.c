// SPDX-License-Identifier: GPL-2.0
/* Faults that the debug kernels must catch. Part of a build with MYTUN_PLANT=y
 * and of no other: the name of one, written to
 * /sys/module/mytun/parameters/planted_fault, commits it.
 */

#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "mytun.h"

#define MYTUN_PLANTED_SIZE	40
#define MYTUN_PLANTED_LEAKS	8
#define MYTUN_PLANTED_ROUNDS	2000000

/* Both orders are on purpose. Nobody else takes them, so there is no deadlock,
 * only the possibility of one.
 */
static DEFINE_MUTEX(mytun_planted_first);
static DEFINE_MUTEX(mytun_planted_second);

/* Written by two threads without any order between them */
static unsigned long mytun_planted_word;

static int mytun_planted_read(void)
{
	u8 *area = kzalloc(MYTUN_PLANTED_SIZE, GFP_KERNEL);
	size_t end = MYTUN_PLANTED_SIZE;

	if (!area)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(end);
	mytun_planted_word = READ_ONCE(area[end]);
	kfree(area);
	return 0;
}

/* Several: a stale copy on some stack may hide one of them from kmemleak */
static int mytun_planted_leak(void)
{
	void *lost;
	int i;

	for (i = 0; i < MYTUN_PLANTED_LEAKS; i++) {
		lost = kzalloc(MYTUN_PLANTED_SIZE, GFP_KERNEL);
		if (!lost)
			return -ENOMEM;
		OPTIMIZER_HIDE_VAR(lost);
	}
	return 0;
}

static int mytun_planted_locks(void)
{
	mutex_lock(&mytun_planted_first);
	mutex_lock(&mytun_planted_second);
	mutex_unlock(&mytun_planted_second);
	mutex_unlock(&mytun_planted_first);

	mutex_lock(&mytun_planted_second);
	mutex_lock(&mytun_planted_first);
	mutex_unlock(&mytun_planted_first);
	mutex_unlock(&mytun_planted_second);
	return 0;
}

static int mytun_planted_writer(void *unused)
{
	int i;

	for (i = 0; i < MYTUN_PLANTED_ROUNDS && !kthread_should_stop(); i++) {
		mytun_planted_word++;
		barrier();
		cond_resched();
	}
	/* kthread_stop() needs a thread to stop */
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 0;
}

/* The caller's own thread is the second writer */
static int mytun_planted_race(void)
{
	struct task_struct *other;
	int i;

	other = kthread_run(mytun_planted_writer, NULL, "mytun_planted");
	if (IS_ERR(other))
		return PTR_ERR(other);
	for (i = 0; i < MYTUN_PLANTED_ROUNDS; i++) {
		mytun_planted_word++;
		barrier();
		cond_resched();
	}
	return kthread_stop(other);
}

static const struct mytun_planted_fault {
	const char *name;
	int (*commit)(void);
} mytun_planted_faults[] = {
	{ "read", mytun_planted_read },
	{ "leak", mytun_planted_leak },
	{ "locks", mytun_planted_locks },
	{ "race", mytun_planted_race },
};

static int mytun_planted_set(const char *name, const struct kernel_param *param)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(mytun_planted_faults); i++)
		if (sysfs_streq(name, mytun_planted_faults[i].name))
			return mytun_planted_faults[i].commit();
	return -EINVAL;
}

static const struct kernel_param_ops mytun_planted_ops = {
	.set = mytun_planted_set,
};

module_param_cb(planted_fault, &mytun_planted_ops, NULL, 0200);
MODULE_PARM_DESC(planted_fault, "Commit a fault: read, leak, locks or race");
