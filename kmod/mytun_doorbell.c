// SPDX-License-Identifier: GPL-2.0
/*
 * Eventfds, in both directions
 *
 * The kernel signals rx_doorbell and tx_space. For tx_doorbell it hangs an
 * entry on the eventfd's wait queue, as irqfd does, and so learns of a write
 * in the writer's context. It keeps a reference to the eventfd's context, not
 * to its file: the process may close the file, nothing rings then.
 */

#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/sched/clock.h>

#include "mytun.h"

/* Any context: the kthread, the tasklet, whoever changes the state */
void mytun_doorbell_ring(struct eventfd_ctx __rcu **eventfd)
{
	struct eventfd_ctx *context;

	rcu_read_lock();
	context = rcu_dereference(*eventfd);
	if (context)
		mytun_eventfd_signal(context);
	rcu_read_unlock();
}

/*
 * A doorbell that follows so soon when the ring was found empty is part of a stream:
 * then the kthread is to watch the ring, so that the process need not ring again. Not
 * by when it last rang: between two doorbells it may have spent its time in the stack,
 * below the first of them. So it is, too, when the kthread waits for room in the
 * rx ring, which the same doorbell announces.
 */
static bool mytun_doorbell_wakes_kthread(const struct mytun_queue *queue)
{
	s64 window = (s64)READ_ONCE(queue->coalesce.poll_us) * NSEC_PER_USEC;
	s64 since = local_clock() - READ_ONCE(queue->tx_empty_ns);

	/* less than nothing: a run on another CPU has just found it empty */
	return (window && since < window) ||
	       (queue->rx.size && !READ_ONCE(queue->asleep));
}

/*
 * In the context of the process's write(), under the wait queue's lock with
 * interrupts off. The frames are injected as soon as interrupts are on again,
 * in the softirq behind the irq_work: no other task need be scheduled for a
 * frame that comes alone. The entry is removed before the kthread is stopped,
 * so the kthread is there. A doorbell that the process itself closes rings no
 * more.
 */
static int mytun_doorbell_wake(wait_queue_entry_t *entry, unsigned int mode,
			       int sync, void *key)
{
	struct mytun_queue *queue =
		container_of(entry, struct mytun_queue, tx_doorbell_entry);

	if (!(key_to_poll(key) & EPOLLIN))
		return 0;
	mytun_count(queue, MYTUN_TX_DOORBELLS, 1);
	irq_work_queue(&queue->tx_work);
	if (mytun_doorbell_wakes_kthread(queue))
		wake_up_process(queue->kthread);
	return 0;
}

static void mytun_doorbell_hook(struct file *file, wait_queue_head_t *head,
				poll_table *table)
{
	struct mytun_queue *queue =
		container_of(table, struct mytun_queue, tx_doorbell_table);

	queue->tx_doorbell_head = head;
	add_wait_queue(head, &queue->tx_doorbell_entry);
}

/*
 * Afterwards no write to the tx doorbell reaches the queue; what one before has
 * set going may still be on its way
 */
void mytun_doorbell_unhook(struct mytun_queue *queue)
{
	lockdep_assert_held(&queue->config);
	if (!queue->tx_doorbell_head)
		return;
	remove_wait_queue(queue->tx_doorbell_head, &queue->tx_doorbell_entry);
	queue->tx_doorbell_head = NULL;
}

/* An eventfd that the process names: resolved once, both file and context */
struct mytun_eventfd {
	struct file *file;
	struct eventfd_ctx *context;
};

static int mytun_eventfd_get(struct mytun_eventfd *eventfd, int fd)
{
	if (fd == -1)
		return 0;
	if (fd < 0)
		return -EBADF;

	eventfd->file = eventfd_fget(fd);
	if (IS_ERR(eventfd->file)) {
		int err = PTR_ERR(eventfd->file);

		eventfd->file = NULL;
		return err;
	}
	eventfd->context = eventfd_ctx_fileget(eventfd->file);
	return 0;
}

static void mytun_eventfd_put(struct mytun_eventfd *eventfd)
{
	if (eventfd->context)
		eventfd_ctx_put(eventfd->context);
	if (eventfd->file)
		fput(eventfd->file);
}

static void mytun_eventfd_swap_rcu(struct mytun_queue *queue,
				   struct eventfd_ctx __rcu **published,
				   struct mytun_eventfd *eventfd)
{
	eventfd->context =
		rcu_replace_pointer(*published, eventfd->context,
				    lockdep_is_held(&queue->config));
}

static void mytun_eventfd_swap_tx(struct mytun_queue *queue,
				  struct mytun_eventfd *eventfd)
{
	mytun_doorbell_unhook(queue);
	swap(queue->tx_doorbell, eventfd->context);
	if (queue->tx_doorbell) {
		init_waitqueue_func_entry(&queue->tx_doorbell_entry,
					  mytun_doorbell_wake);
		init_poll_funcptr(&queue->tx_doorbell_table,
				  mytun_doorbell_hook);
		vfs_poll(eventfd->file, &queue->tx_doorbell_table);
	}
	/*
	 * Frames may have been announced on the old eventfd, or on none; room in
	 * the rx ring would have been, and is to be looked for without one
	 */
	if (queue->kthread)
		wake_up_process(queue->kthread);
}

/* All three, as the process names them */
struct mytun_doorbells {
	struct mytun_eventfd rx_doorbell;
	struct mytun_eventfd tx_doorbell;
	struct mytun_eventfd tx_space;
};

static int mytun_doorbells_get(struct mytun_doorbells *doorbells,
			       const struct mytun_eventfds *fds)
{
	int err;

	err = mytun_eventfd_get(&doorbells->rx_doorbell, fds->rx_doorbell);
	if (!err)
		err = mytun_eventfd_get(&doorbells->tx_doorbell,
					fds->tx_doorbell);
	if (!err)
		err = mytun_eventfd_get(&doorbells->tx_space, fds->tx_space);
	return err;
}

static void mytun_doorbells_put(struct mytun_doorbells *doorbells)
{
	mytun_eventfd_put(&doorbells->tx_space);
	mytun_eventfd_put(&doorbells->tx_doorbell);
	mytun_eventfd_put(&doorbells->rx_doorbell);
}

static int __mytun_doorbell_check(const struct mytun_queue *queue)
{
	lockdep_assert_held(&queue->config);
	if (!queue->device || queue->stopping)
		return -EBADFD;
	return queue->rings ? 0 : -EINVAL;
}

/* Asked before the descriptors are looked at, and once more afterwards */
static int mytun_doorbell_check(struct mytun_queue *queue)
{
	int err;

	mutex_lock(&queue->config);
	err = __mytun_doorbell_check(queue);
	mutex_unlock(&queue->config);
	return err;
}

/* On success @doorbells are those that were replaced, maybe still in use */
static int mytun_doorbell_swap(struct mytun_queue *queue,
			       struct mytun_doorbells *doorbells)
{
	int err;

	mutex_lock(&queue->config);
	err = __mytun_doorbell_check(queue);
	if (!err) {
		mytun_eventfd_swap_rcu(queue, &queue->rx_doorbell,
				       &doorbells->rx_doorbell);
		mytun_eventfd_swap_rcu(queue, &queue->tx_space,
				       &doorbells->tx_space);
		mytun_eventfd_swap_tx(queue, &doorbells->tx_doorbell);
	}
	mutex_unlock(&queue->config);
	return err;
}

/*
 * Replace all three, or none. Waits for who signals the old ones, and holds no
 * lock meanwhile: a device's end waits for config
 */
int mytun_doorbell_set(struct mytun_queue *queue,
		       const struct mytun_eventfds *fds)
{
	struct mytun_doorbells doorbells = {};
	int err;

	err = mytun_doorbell_check(queue);
	if (err)
		return err;
	err = mytun_doorbells_get(&doorbells, fds);
	if (!err)
		err = mytun_doorbell_swap(queue, &doorbells);
	if (!err)
		synchronize_rcu();
	mytun_doorbells_put(&doorbells);
	return err;
}

/* Last use of the queue: nothing signals and nothing rings any more */
void mytun_doorbell_put(struct mytun_queue *queue)
{
	struct mytun_doorbells doorbells = {};

	mutex_lock(&queue->config);
	mytun_eventfd_swap_rcu(queue, &queue->rx_doorbell,
			       &doorbells.rx_doorbell);
	mytun_eventfd_swap_rcu(queue, &queue->tx_space, &doorbells.tx_space);
	mytun_eventfd_swap_tx(queue, &doorbells.tx_doorbell);
	mutex_unlock(&queue->config);
	mytun_doorbells_put(&doorbells);
}
