// SPDX-License-Identifier: GPL-2.0
/* An open file of /dev/net/mytun is a queue */

#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/poll.h>
#include <linux/rtnetlink.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>

#include "mytun.h"

static int mytun_open(struct inode *inode, struct file *file)
{
	struct mytun_queue *queue;

	queue = mytun_queue_create(current->nsproxy->net_ns);
	if (!queue)
		return -ENOMEM;
	file->private_data = queue;
	file->f_mode |= FMODE_NOWAIT;
	return 0;
}

static int mytun_release(struct inode *inode, struct file *file)
{
	struct mytun_queue *queue = file->private_data;

	mytun_tasklet_drain(queue);
	rtnl_lock();
	mytun_queue_leave(queue);
	rtnl_unlock();
	mytun_queue_destroy(queue);
	return 0;
}

static int mytun_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mytun_queue *queue = file->private_data;
	struct mytun_rings *rings = mytun_queue_rings(queue);

	return rings ? mytun_rings_mmap(rings, vma) : -EINVAL;
}

/* A direction with a ring is the ring's; one without is as it is for stock tun */
static __poll_t mytun_poll_frames(struct mytun_queue *queue)
{
	struct mytun_rings *rings = mytun_queue_rings(queue);
	__poll_t events = rings ? mytun_rings_poll(rings) : 0;

	if (!mytun_has_rx_ring(queue)) {
		events &= ~(EPOLLIN | EPOLLRDNORM);
		if (!skb_queue_empty_lockless(&queue->sk.sk_receive_queue))
			events |= EPOLLIN | EPOLLRDNORM;
	}
	if (!mytun_has_tx_ring(queue)) {
		events &= ~(EPOLLOUT | EPOLLWRNORM);
		if (mytun_write_is_possible(queue))
			events |= EPOLLOUT | EPOLLWRNORM;
	}
	return events;
}

/* Arms first: whoever publishes or releases later wakes */
static void mytun_poll_arm(struct mytun_queue *queue, __poll_t requested)
{
	if (requested & (EPOLLIN | EPOLLRDNORM))
		WRITE_ONCE(queue->poll_frames, true);
	if (requested & (EPOLLOUT | EPOLLWRNORM))
		WRITE_ONCE(queue->poll_room, true);
	/* pairs with the barrier between a publish and mytun_wake_armed() */
	smp_mb();
}

static __poll_t mytun_poll(struct file *file, poll_table *wait)
{
	struct mytun_queue *queue = file->private_data;
	u32 state;

	poll_wait(file, &queue->poll_wait, wait);
	mytun_poll_arm(queue, poll_requested_events(wait));

	state = READ_ONCE(queue->state);
	if (state & MYTUN_STATE_DETACHED && mytun_queue_rings(queue))
		return EPOLLERR | EPOLLHUP;
	if (state || !rcu_access_pointer(queue->io_device))
		return EPOLLERR;
	return mytun_poll_frames(queue);
}

/* SIGIO, for frames that wait for read() and for room after a full buffer */
static int mytun_fasync(int fd, struct file *file, int on)
{
	struct mytun_queue *queue = file->private_data;
	int err = on ? mytun_allocate_owner(file) : 0;

	if (!err)
		err = fasync_helper(fd, file, on, &queue->fasync);
	if (err < 0)
		return err;
	if (on)
		__f_setown(file, task_pid(current), PIDTYPE_TGID, 0);
	return 0;
}

#ifdef CONFIG_PROC_FS
/* The device's name is unique within its namespace alone, which has a number */
static void mytun_show_device(struct seq_file *m, struct mytun_queue *queue)
{
	struct net_device *dev;

	rtnl_lock();
	if (queue->device) {
		dev = queue->device->dev;
		seq_printf(m, "iff:\t%s\nqueue:\t%u\nnetns:\t%u\n", dev->name,
			   queue->index, dev_net(dev)->ns.inum);
	} else {
		seq_puts(m, "iff:\n");
	}
	rtnl_unlock();
}

/* What the process's words say is in a ring may be more than goes into it */
static void mytun_show_rings(struct seq_file *m, struct mytun_rings *rings)
{
	seq_printf(m, "rx_size:\t%u\ntx_size:\t%u\n", rings->rx_size,
		   rings->tx_size);
	seq_printf(m, "rx_used:\t%u\ntx_used:\t%u\n",
		   min(mytun_rings_waiting(rings), rings->rx_size),
		   min(mytun_rings_sent(rings), rings->tx_size));
}

static void mytun_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mytun_queue *queue = file->private_data;
	struct mytun_rings *rings = mytun_queue_rings(queue);
	unsigned int i;

	mytun_show_device(m, queue);
	seq_printf(m, "state:\t%#x\npoll_us:\t%u\n", READ_ONCE(queue->state),
		   READ_ONCE(queue->coalesce.poll_us));
	seq_printf(m, "hold_us:\t%u\nhold_frames:\t%u\n",
		   READ_ONCE(queue->coalesce.hold_us),
		   READ_ONCE(queue->coalesce.hold_frames));
	if (!rings)
		return;
	mytun_show_rings(m, rings);
	for (i = 0; i < MYTUN_COUNTERS; i++)
		seq_printf(m, "%s:\t%lld\n", mytun_counter_names[i],
			   mytun_counted(queue, i));
}
#endif

const struct file_operations mytun_file_operations = {
	.owner = THIS_MODULE,
	.open = mytun_open,
	.release = mytun_release,
	.read_iter = mytun_read_iter,
	.write_iter = mytun_write_iter,
	.mmap = mytun_mmap,
	.poll = mytun_poll,
	.fasync = mytun_fasync,
	.unlocked_ioctl = mytun_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
#ifdef CONFIG_PROC_FS
	.show_fdinfo = mytun_show_fdinfo,
#endif
};
