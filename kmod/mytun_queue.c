// SPDX-License-Identifier: GPL-2.0
/*
 * Life of a queue, from attach to detach
 *
 * A queue belongs to its open file. Attached to a device, it takes a transmit
 * queue index and keeps it until detach; indices are not compacted, so that
 * the name of the kthread and what ethtool shows stay true.
 *
 * Order of an end: dismiss and unpublish, wait for readers and for who works for
 * the queue, let held senders go, unhook the tx doorbell, cancel the timer, kill
 * the tasklet, end GRO, purge; later, with the file and without rtnl, wait for the
 * kthread, put the eventfds, free the rings.
 *
 * The kthread may have to wait for a CPU for as long as its cgroup likes. So rtnl
 * never waits for it: all that it does for the queue it does with bottom halves
 * off, and does nothing once the queue is stopping, so that a grace period is all
 * that it takes.
 */

#include <linux/cred.h>
#include <linux/eventfd.h>
#include <linux/rtnetlink.h>
#include <linux/security.h>

#include "mytun.h"

static struct proto mytun_proto = {
	.name = "mytun",
	.owner = THIS_MODULE,
	.obj_size = sizeof(struct mytun_queue),
};

/* The socket keeps @net and the module until mytun_queue_destroy() */
struct mytun_queue *mytun_queue_create(struct net *net)
{
	struct mytun_queue *queue;

	queue = (struct mytun_queue *)sk_alloc(net, AF_UNSPEC, GFP_KERNEL,
					       &mytun_proto, 0);
	if (!queue)
		return NULL;

	sock_init_data_uid(NULL, &queue->sk, current_fsuid());
	/* until TUNSETSNDBUF */
	queue->sk.sk_sndbuf = INT_MAX;
	queue->sk.sk_write_space = mytun_write_space;
	mutex_init(&queue->config);
	spin_lock_init(&queue->state_lock);
	spin_lock_init(&queue->rx_lock);
	init_waitqueue_head(&queue->poll_wait);
	skb_queue_head_init(&queue->backlog);
	queue->coalesce = mytun_default_coalesce;
	queue->left = get_completed_synchronize_rcu();
	mytun_rx_setup(queue);
	mytun_tasklet_setup(queue);
	return queue;
}

/* From the file's release, without locks: detached, unmapped, no other reference */
void mytun_queue_destroy(struct mytun_queue *queue)
{
	mytun_kthread_stop(queue);
	mytun_doorbell_put(queue);
	/* for mytun_deliver_stop() */
	cond_synchronize_rcu_expedited(queue->left);
	if (queue->rings)
		mytun_rings_destroy(queue->rings);
	skb_queue_purge(&queue->sk.sk_receive_queue);
	sock_put(&queue->sk);
}

static void mytun_steer(struct mytun_device *device)
{
	unsigned int live = 0, parked = 0;
	unsigned int i;

	ASSERT_RTNL();
	for (i = 0; i < device->dev->num_tx_queues; i++) {
		struct mytun_queue *queue = rtnl_dereference(device->queues[i]);

		if (queue && queue->parked)
			parked++;
		else if (queue)
			WRITE_ONCE(device->live[live++], i);
	}
	/* with none, frames meet a queue that is parked or has left, and go */
	if (!live)
		WRITE_ONCE(device->live[0], 0);
	WRITE_ONCE(device->attached, live);
	device->parked = parked;
	mytun_filter_screen(device);
}

static bool mytun_is_used(const struct mytun_device *device)
{
	return device->attached || device->parked;
}

static unsigned int mytun_first_free(const struct mytun_device *device)
{
	unsigned int i;

	for (i = 0; i < device->dev->num_tx_queues; i++)
		if (!rtnl_dereference(device->queues[i]))
			break;
	return i;
}

/* Of those in use: a parked queue sends on */
static unsigned int mytun_highest(const struct mytun_device *device)
{
	unsigned int i = device->dev->num_tx_queues;

	while (--i && !rtnl_dereference(device->queues[i]))
		;
	return i;
}

/* The stack may use indices up to the highest one in use */
static int mytun_set_real_queues(struct net_device *dev, unsigned int highest)
{
	int err;

	err = netif_set_real_num_tx_queues(dev, highest + 1);
	if (err)
		return err;
	return netif_set_real_num_rx_queues(dev, highest + 1);
}

static int mytun_queue_publish(struct mytun_queue *queue,
			       struct mytun_device *device, bool filtered)
{
	struct net_device *dev = device->dev;
	unsigned int index = mytun_first_free(device);
	int err;

	ASSERT_RTNL();
	if (index == dev->num_tx_queues)
		return device->flags & IFF_MULTI_QUEUE ? -E2BIG : -EBUSY;
	if (index >= dev->real_num_tx_queues) {
		err = mytun_set_real_queues(dev, index);
		if (err)
			return err;
	}

	/* for mytun_deliver_stop(), if it comes from another device */
	cond_synchronize_rcu_expedited(queue->left);
	queue->index = index;
	queue->device = device;
	queue->coalesce = device->coalesce;
	queue->headroom = device->headroom;
	err = mytun_xdp_start(queue);
	if (err) {
		queue->device = NULL;
		return err;
	}
	mytun_deliver_start(queue);
	mytun_filter_join(queue, filtered);
	rcu_assign_pointer(device->queues[index], queue);
	rcu_assign_pointer(queue->io_device, device);
	mytun_steer(device);
	return 0;
}

/* The caller checked that it may. @filtered: by TUNATTACHFILTER, if there is one */
int mytun_queue_attach(struct mytun_queue *queue, struct mytun_device *device,
		       bool filtered)
{
	int err;

	ASSERT_RTNL();
	err = security_tun_dev_attach(&queue->sk, device->security);
	if (err)
		return err;

	mutex_lock(&queue->config);
	if (queue->device)
		err = -EINVAL;
	else if (queue->rings || queue->state & ~MYTUN_STATE_DETACHED)
		err = -EBADFD;
	else
		err = mytun_queue_publish(queue, device, filtered);
	if (!err) {
		WRITE_ONCE(queue->state, 0);
		WRITE_ONCE(queue->stopping, false);
	}
	mutex_unlock(&queue->config);
	return err;
}

/*
 * From here on the queue gets no rings, and nobody begins to work for it; nor does
 * the stack find it. Who works for it, or found it, has done after a grace period
 */
static void mytun_queue_dismiss(struct mytun_queue *queue)
{
	struct mytun_device *device = queue->device;

	ASSERT_RTNL();
	mutex_lock(&queue->config);
	WRITE_ONCE(queue->stopping, true);
	mytun_kthread_dismiss(queue);
	mutex_unlock(&queue->config);

	RCU_INIT_POINTER(device->queues[queue->index], NULL);
	RCU_INIT_POINTER(queue->io_device, NULL);
	mytun_steer(device);
	WRITE_ONCE(queue->parked, false);
	WRITE_ONCE(queue->filtered, false);
	if (!mytun_is_used(device))
		netif_carrier_off(device->dev);
}

/*
 * After that grace period: what is still to run for the queue is called off.
 * Nobody stops its senders any more, and what they hold is to go elsewhere.
 */
static void mytun_queue_stop(struct mytun_queue *queue)
{
	ASSERT_RTNL();
	mutex_lock(&queue->config);
	mytun_waiting_let_senders(queue);
	mytun_doorbell_unhook(queue);
	mytun_moderate_stop(queue);
	mytun_tasklet_kill(queue);
	mytun_xdp_stop(queue);
	mytun_deliver_stop(queue);
	mytun_waiting_purge(queue);
	mytun_flows_forget(queue);
	queue->device = NULL;
	queue->left = get_state_synchronize_rcu();
	mytun_state_set(queue, MYTUN_STATE_DETACHED);
	mutex_unlock(&queue->config);
}

/*
 * One grace period, however many queues there are: rtnl is held, and by it the
 * queues, whose files need it to go. What comes in by ioctl before dismiss is
 * as if it had come before all of this.
 */
static void mytun_queues_detach(struct list_head *leaving)
{
	struct mytun_queue *queue, *next;

	list_for_each_entry(queue, leaving, leaving)
		mytun_queue_dismiss(queue);
	synchronize_net();
	list_for_each_entry_safe(queue, next, leaving, leaving) {
		list_del(&queue->leaving);
		mytun_queue_stop(queue);
	}
}

/* The device keeps no reference to the queue, and the reverse */
void mytun_queue_detach(struct mytun_queue *queue)
{
	struct mytun_device *device = queue->device;
	LIST_HEAD(leaving);

	ASSERT_RTNL();
	if (!device)
		return;

	list_add(&queue->leaving, &leaving);
	mytun_queues_detach(&leaving);
	/* not earlier: until here frames said that they came by this queue */
	if (mytun_is_used(device))
		mytun_set_real_queues(device->dev, mytun_highest(device));
}

/* The device goes. Many queues take hardly longer than one */
void mytun_queue_detach_all(struct mytun_device *device)
{
	LIST_HEAD(leaving);
	unsigned int i;

	ASSERT_RTNL();
	for (i = 0; i < device->dev->num_tx_queues; i++) {
		struct mytun_queue *queue = rtnl_dereference(device->queues[i]);

		if (queue)
			list_add_tail(&queue->leaving, &leaving);
	}
	if (!list_empty(&leaving))
		mytun_queues_detach(&leaving);
}

/* A device that is not persistent goes with its last queue */
void mytun_queue_leave(struct mytun_queue *queue)
{
	struct mytun_device *device = queue->device;

	ASSERT_RTNL();
	mytun_queue_detach(queue);
	if (!device)
		return;
	if (!mytun_is_used(device) && !(device->flags & IFF_PERSIST) &&
	    device->dev->reg_state == NETREG_REGISTERED)
		unregister_netdevice(device->dev);
	else
		netdev_state_change(device->dev);
}

/*
 * The queue keeps its index and all that it has, and the process
 * may send on; it gets no frames
 */
int mytun_queue_park(struct mytun_queue *queue)
{
	struct mytun_device *device = queue->device;

	ASSERT_RTNL();
	if (!device || !(device->flags & IFF_MULTI_QUEUE) || queue->parked)
		return -EINVAL;
	WRITE_ONCE(queue->parked, true);
	mytun_steer(device);
	synchronize_net();
	mytun_waiting_let_senders(queue);
	mytun_waiting_purge(queue);
	netdev_state_change(device->dev);
	return 0;
}

/* The opposite */
int mytun_queue_unpark(struct mytun_queue *queue)
{
	struct mytun_device *device = queue->device;
	int err;

	ASSERT_RTNL();
	if (!queue->parked)
		return -EINVAL;
	err = security_tun_dev_attach_queue(device->security);
	if (!err)
		err = security_tun_dev_attach(&queue->sk, device->security);
	if (err)
		return err;
	mytun_filter_join(queue, true);
	WRITE_ONCE(queue->parked, false);
	mytun_steer(device);
	netdev_state_change(device->dev);
	return 0;
}

static int __mytun_queue_check_rings(const struct mytun_queue *queue)
{
	lockdep_assert_held(&queue->config);
	/* no kthread begins when the others were told to end */
	if (!queue->device || queue->stopping)
		return -EBADFD;
	return queue->rings ? -EBUSY : 0;
}

/* Asked before anything is made, and once more afterwards */
static int mytun_queue_check_rings(struct mytun_queue *queue)
{
	int err;

	mutex_lock(&queue->config);
	err = __mytun_queue_check_rings(queue);
	mutex_unlock(&queue->config);
	return err;
}

/*
 * Connects the rings and starts the kthread. Both were made outside of config: it
 * may take long, and a device's end waits for config.
 */
static int mytun_queue_install(struct mytun_queue *queue,
			       struct mytun_rings *rings,
			       struct task_struct *kthread, bool hashed)
{
	int err;

	mutex_lock(&queue->config);
	err = __mytun_queue_check_rings(queue);
	if (!err) {
		mytun_rings_connect(rings, queue);
		queue->rx_hashed = hashed;
		mytun_kthread_start(queue, kthread);
		/* pairs with the acquire in mytun_queue_rings() */
		smp_store_release(&queue->rings, rings);
	}
	mutex_unlock(&queue->config);
	/* who waits in read() is to wait for the ring instead */
	if (!err)
		wake_up_interruptible_all(&queue->poll_wait);
	return err;
}

int mytun_queue_set_rings(struct mytun_queue *queue,
			  const struct mytun_ring_config *config)
{
	struct task_struct *kthread;
	struct mytun_rings *rings;
	int err;

	err = mytun_queue_check_rings(queue);
	if (err)
		return err;

	rings = mytun_rings_create(config);
	if (!rings)
		return -ENOMEM;
	kthread = mytun_kthread_create(queue);
	err = PTR_ERR_OR_ZERO(kthread);
	if (err)
		goto err_rings;
	err = mytun_queue_install(queue, rings, kthread,
				  config->flags & MYTUN_RINGS_HASH);
	if (err)
		goto err_kthread;
	return 0;

err_kthread:
	mytun_kthread_end(kthread);
err_rings:
	mytun_rings_destroy(rings);
	return err;
}
