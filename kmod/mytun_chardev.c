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
	return nonseekable_open(inode, file);
}

static int mytun_release(struct inode *inode, struct file *file)
{
	struct mytun_queue *queue = file->private_data;

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

static __poll_t mytun_poll(struct file *file, poll_table *wait)
{
	struct mytun_queue *queue = file->private_data;
	struct mytun_rings *rings = mytun_queue_rings(queue);
	u32 state;

	poll_wait(file, &queue->poll_wait, wait);
	WRITE_ONCE(queue->poll_armed, true);
	/* pairs with the barrier between a publish and mytun_poll_wake() */
	smp_mb();

	state = READ_ONCE(queue->state);
	if (state & MYTUN_STATE_DETACHED)
		return EPOLLERR | EPOLLHUP;
	if (state || !READ_ONCE(queue->device))
		return EPOLLERR;
	return rings ? mytun_rings_poll(rings) : 0;
}

#ifdef CONFIG_PROC_FS
static void mytun_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct mytun_queue *queue = file->private_data;
	unsigned int i;

	rtnl_lock();
	if (queue->device)
		seq_printf(m, "iff:\t%s\nqueue:\t%u\n",
			   queue->device->dev->name, queue->index);
	else
		seq_puts(m, "iff:\n");
	rtnl_unlock();

	seq_printf(m, "state:\t%#x\npoll_us:\t%u\n", READ_ONCE(queue->state),
		   READ_ONCE(queue->coalesce.poll_us));
	seq_printf(m, "hold_us:\t%u\nhold_frames:\t%u\n",
		   READ_ONCE(queue->coalesce.hold_us),
		   READ_ONCE(queue->coalesce.hold_frames));
	if (!mytun_queue_rings(queue))
		return;
	seq_printf(m, "rx_size:\t%u\ntx_size:\t%u\n", queue->rx.size,
		   queue->tx.size);
	for (i = 0; i < MYTUN_COUNTERS; i++)
		seq_printf(m, "%s:\t%lld\n", mytun_counter_names[i],
			   atomic64_read(&queue->counters[i]));
}
#endif

const struct file_operations mytun_file_operations = {
	.owner = THIS_MODULE,
	.open = mytun_open,
	.release = mytun_release,
	.mmap = mytun_mmap,
	.poll = mytun_poll,
	.unlocked_ioctl = mytun_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
#ifdef CONFIG_PROC_FS
	.show_fdinfo = mytun_show_fdinfo,
#endif
};
