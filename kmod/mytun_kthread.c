// SPDX-License-Identifier: GPL-2.0
/*
 * The queue's kernel thread: both directions, while there is traffic
 *
 * It moves what waits for the process into the rx ring where its senders have not
 * done so (mytun_rx.c), and while it is awake it also watches the tx ring, so that
 * neither direction needs a doorbell in the steady state. When there is nothing
 * to do it looks on for a bounded time, then asks to be woken and sleeps.
 *
 * Who wakes it: a sender that leaves frames (mytun_waiting_wake_kthread), a tx
 * doorbell that comes soon after the ring was empty (mytun_doorbell.c), a tasklet with more to do
 * than it may, mytun_kthread_dismiss. It looks at the device only with bottom
 * halves off, and only if the queue is not stopping: the device's end does not
 * wait for it.
 */

#include <linux/cgroup.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/sched/task.h>

#include "mytun.h"

/* Below this an adaptive window is not worth the clock it is measured with */
#define MYTUN_POLL_FLOOR_NS	1000
#define MYTUN_NAP_MIN_US	20
#define MYTUN_NAP_MAX_US	50

/*
 * Frames in the tx ring are the tasklet's: new ones, and what a run has left.
 * True if there were any
 */
static bool mytun_tx_watch(struct mytun_queue *queue)
{
	u32 producer = READ_ONCE(*queue->tx.shared_producer);

	if (producer == queue->tx_seen && !READ_ONCE(queue->tx_more))
		return false;
	queue->tx_seen = producer;
	WRITE_ONCE(queue->tx_more, false);
	mytun_tasklet_schedule(queue);
	return true;
}

/* Both directions. True if there was anything to do */
static bool mytun_kthread_turn(struct mytun_queue *queue)
{
	bool busy = mytun_rx_drain(queue);

	return mytun_tx_watch(queue) || busy;
}

static bool mytun_is_dismissed(const struct mytun_queue *queue)
{
	return READ_ONCE(queue->stopping);
}

static bool mytun_is_broken(const struct mytun_queue *queue)
{
	return READ_ONCE(queue->state) != 0;
}

/*
 * Frames wait for room, and their senders take the kthread to know: a process
 * without a doorbell can't say that it made some, so look for it. Not by
 * rx_stalled, which a sender may have ended just now
 */
static long mytun_kthread_patience(const struct mytun_queue *queue)
{
	if (queue->rx.size && !READ_ONCE(queue->asleep) &&
	    !READ_ONCE(queue->tx_doorbell))
		return max(HZ / 200, 1);
	return MAX_SCHEDULE_TIMEOUT;
}

/*
 * The state is set before the conditions are looked at, so a wake-up between
 * the look and schedule() is not lost. From here on the tasklet asks for tx
 * doorbells: it must know before the process sees need_wakeup, for which
 * set_current_state() has the barrier.
 */
static void mytun_kthread_sleep(struct mytun_queue *queue)
{
	WRITE_ONCE(queue->tx_watched, false);
	set_current_state(TASK_INTERRUPTIBLE);
	if (!mytun_is_dismissed(queue) && !READ_ONCE(queue->tx_more) &&
	    mytun_rx_may_sleep(queue) &&
	    !mytun_ring_wait_frames(&queue->tx, queue->tx_seen)) {
		mytun_count(queue, MYTUN_KTHREAD_SLEEPS, 1);
		schedule_timeout(mytun_kthread_patience(queue));
	}
	__set_current_state(TASK_RUNNING);
	WRITE_ONCE(queue->tx_watched, true);
	/* a doorbell may have woken us: the stack need not wake us again */
	WRITE_ONCE(queue->asleep, false);
}

/*
 * Another task wants this CPU: leave it, for a bounded time and by a timer.
 * Nobody is asked for a wake-up, so the process goes on without a doorbell,
 * and what comes meanwhile is one batch.
 */
static void mytun_kthread_nap(void)
{
	usleep_range_state(MYTUN_NAP_MIN_US, MYTUN_NAP_MAX_US, TASK_IDLE);
}

/* Look on for up to the window. True if there was something to do */
static bool mytun_kthread_poll(struct mytun_queue *queue)
{
	u64 end = local_clock() + queue->poll_window_ns;

	do {
		if (need_resched() || !single_task_running())
			mytun_kthread_nap();
		else
			cpu_relax();
		if (mytun_kthread_turn(queue))
			return true;
	} while (local_clock() < end && !mytun_is_dismissed(queue));
	return false;
}

/*
 * Poll, then sleep. The window opens to its bound when polling found work or
 * would have, after a short sleep; it halves when polling was in vain.
 */
static void mytun_kthread_idle(struct mytun_queue *queue)
{
	u64 bound = (u64)READ_ONCE(queue->coalesce.poll_us) * NSEC_PER_USEC;
	u64 start;

	queue->poll_window_ns = min(queue->poll_window_ns, bound);
	if (queue->poll_window_ns >= MYTUN_POLL_FLOOR_NS) {
		if (mytun_kthread_poll(queue)) {
			queue->poll_window_ns = bound;
			return;
		}
		queue->poll_window_ns /= 2;
	}

	start = local_clock();
	mytun_kthread_sleep(queue);
	if (local_clock() - start < bound && mytun_kthread_turn(queue))
		queue->poll_window_ns = bound;
}

/* A ring makes no sense: nothing moves, but the file is still to be closed */
static void mytun_kthread_wait_for_stop(struct mytun_queue *queue)
{
	set_current_state(TASK_INTERRUPTIBLE);
	if (!mytun_is_dismissed(queue))
		schedule();
	__set_current_state(TASK_RUNNING);
}

static int mytun_kthread(void *data)
{
	struct mytun_queue *queue = data;

	while (!mytun_is_dismissed(queue)) {
		if (mytun_is_broken(queue)) {
			mytun_kthread_wait_for_stop(queue);
			continue;
		}
		if (!mytun_kthread_turn(queue))
			mytun_kthread_idle(queue);
		cond_resched();
	}
	return 0;
}

/* One that nobody has for a queue any more; it may not have run at all */
void mytun_kthread_end(struct task_struct *kthread)
{
	kthread_stop(kthread);
	put_task_struct(kthread);
}

/* To move a task takes a grace period: not for nothing */
static int mytun_kthread_join_cgroups(struct task_struct *kthread)
{
#ifdef CONFIG_CGROUPS
	if (rcu_access_pointer(kthread->cgroups) ==
	    rcu_access_pointer(current->cgroups))
		return 0;
#endif
	return cgroup_attach_task_all(current, kthread);
}

/*
 * By who sets the rings, without locks. What the thread does is done for a process:
 * in the cgroups that bind that process. A reference, or an error.
 */
struct task_struct *mytun_kthread_create(struct mytun_queue *queue)
{
	struct task_struct *kthread;
	char name[IFNAMSIZ] = "";
	unsigned int index;
	int err;

	mutex_lock(&queue->config);
	if (queue->device)
		strscpy(name, queue->device->dev->name, sizeof(name));
	index = queue->index;
	mutex_unlock(&queue->config);

	kthread = kthread_create(mytun_kthread, queue, "mytun/%s/%u", name,
				 index);
	if (IS_ERR(kthread))
		return kthread;
	/* dismissed, it ends before kthread_stop() */
	get_task_struct(kthread);
	err = mytun_kthread_join_cgroups(kthread);
	if (!err)
		return kthread;
	mytun_kthread_end(kthread);
	return ERR_PTR(err);
}

/* Attached, with the rings connected. Takes over the reference */
void mytun_kthread_start(struct mytun_queue *queue, struct task_struct *kthread)
{
	lockdep_assert_held(&queue->config);
	queue->kthread = kthread;
	queue->tx_watched = true;
	wake_up_process(kthread);
}

/* With @stopping set. It ends by itself; nobody waits for that under a lock */
void mytun_kthread_dismiss(struct mytun_queue *queue)
{
	lockdep_assert_held(&queue->config);
	if (queue->kthread)
		wake_up_process(queue->kthread);
}

/*
 * By the last user of the queue: nobody can wake the thread any more. To end, it
 * needs some CPU, and gets it as who waits for it does: that may be a worker of the
 * kernel, behind which the files of others wait. If it can't, it has its own.
 */
void mytun_kthread_stop(struct mytun_queue *queue)
{
	if (!queue->kthread)
		return;
	mytun_kthread_join_cgroups(queue->kthread);
	mytun_kthread_end(queue->kthread);
	queue->kthread = NULL;
}
