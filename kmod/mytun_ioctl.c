// SPDX-License-Identifier: GPL-2.0
/*
 * One function a command
 *
 * Each copies its argument once, checks the copy, then changes everything or
 * nothing. The structures have no hole and are zeroed before they are filled.
 */

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/log2.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/security.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#include "mytun.h"

#define MYTUN_REQUEST_FLAGS	(MYTUN_DEVICE_FLAGS | IFF_TUN_EXCL)
#define MYTUN_FEATURES		(MYTUN_FEATURE_RX_HASH | MYTUN_FEATURE_TX_VNET | \
				 MYTUN_FEATURE_TX_HASH | MYTUN_FEATURE_OFFLOAD | \
				 MYTUN_FEATURE_BACKPRESSURE | \
				 MYTUN_FEATURE_RX_HOLD | \
				 MYTUN_FEATURE_READ_WRITE)

/*
 * What the TUN ioctls use of struct ifreq. The part is the same for 32-bit
 * programs, whose ifreq ends earlier.
 */
struct mytun_ifreq {
	char name[IFNAMSIZ];
	u16 flags;
};

/*
 * Owner and group are a permission: a device that has neither is for those who
 * could make one, and if it has both, both must match.
 */
static bool mytun_may_attach(const struct mytun_device *device)
{
	const struct cred *cred = current_cred();
	bool owned = uid_valid(device->owner);
	bool grouped = gid_valid(device->group);

	if ((owned || grouped) &&
	    (!owned || uid_eq(cred->euid, device->owner)) &&
	    (!grouped || in_egroup_p(device->group)))
		return true;
	return ns_capable(dev_net(device->dev)->user_ns, CAP_NET_ADMIN);
}

/* Flags are the device's: a second queue takes them as they are */
static int mytun_check_flags(const struct mytun_device *device,
			     unsigned int flags)
{
	if ((device->flags ^ flags) &
	    (IFF_TUN | IFF_TAP | IFF_MULTI_QUEUE))
		return -EINVAL;
	if (device->attached && (device->flags ^ flags) & MYTUN_DEVICE_FLAGS)
		return -EINVAL;
	return 0;
}

static int mytun_join(struct mytun_queue *queue, struct mytun_device *device,
		      unsigned int flags)
{
	int err;

	err = mytun_check_flags(device, flags);
	if (err)
		return err;
	if (!mytun_may_attach(device))
		return -EPERM;
	err = security_tun_dev_open(device->security);
	if (err)
		return err;

	err = mytun_queue_attach(queue, device);
	if (err)
		return err;
	/* unchanged, unless this is the first queue of a persistent device */
	WRITE_ONCE(device->flags, (device->flags & ~MYTUN_DEVICE_FLAGS) |
				  (flags & MYTUN_DEVICE_FLAGS));
	/* an earlier owner took super-packets: this one could not tell them */
	if (!(device->flags & IFF_VNET_HDR))
		mytun_netdev_set_offloads(device, 0);
	netdev_state_change(device->dev);
	return 0;
}

static int mytun_create(struct mytun_queue *queue, const char *name,
			unsigned int flags)
{
	struct net *net = sock_net(&queue->sk);
	struct net_device *dev;
	int err;

	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	err = security_tun_dev_create();
	if (err)
		return err;

	err = mytun_netdev_create(net, name, flags & MYTUN_DEVICE_FLAGS, &dev);
	if (err)
		return err;
	err = mytun_queue_attach(queue, netdev_priv(dev));
	if (err)
		unregister_netdevice(dev);
	return err;
}

static int mytun_check_request(const struct mytun_ifreq *request)
{
	unsigned int kind = request->flags & (IFF_TUN | IFF_TAP);

	if (request->flags & ~MYTUN_REQUEST_FLAGS)
		return -EINVAL;
	return kind == IFF_TUN || kind == IFF_TAP ? 0 : -EINVAL;
}

static int mytun_set_iff(struct mytun_queue *queue, struct mytun_ifreq *request)
{
	struct net *net = sock_net(&queue->sk);
	struct mytun_device *device;
	int err;

	if (queue->device)
		return -EEXIST;
	device = mytun_netdev_find(net, request->name);
	/* whatever kind of device has that name */
	if (device && request->flags & IFF_TUN_EXCL)
		return -EBUSY;
	if (IS_ERR(device))
		return PTR_ERR(device);
	if (device)
		err = mytun_join(queue, device, request->flags);
	else
		err = mytun_create(queue, request->name, request->flags);
	if (!err)
		strscpy_pad(request->name, queue->device->dev->name,
			    sizeof(request->name));
	return err;
}

static int mytun_ioc_setiff(struct mytun_queue *queue, void __user *arg)
{
	struct mytun_ifreq request;
	int err;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	request.name[IFNAMSIZ - 1] = '\0';
	err = mytun_check_request(&request);
	if (err)
		return err;

	rtnl_lock();
	err = mytun_set_iff(queue, &request);
	rtnl_unlock();
	/* a page may take its time: nobody else is to wait for it */
	if (err || !copy_to_user(arg, &request, sizeof(request)))
		return err;

	/* it could not learn the name */
	rtnl_lock();
	mytun_queue_leave(queue);
	rtnl_unlock();
	return -EFAULT;
}

static int mytun_ioc_getiff(struct mytun_queue *queue, void __user *arg)
{
	struct mytun_ifreq answer = {};
	int err = -EBADFD;

	rtnl_lock();
	if (queue->device) {
		strscpy_pad(answer.name, queue->device->dev->name,
			    sizeof(answer.name));
		answer.flags = queue->device->flags &
			       (MYTUN_DEVICE_FLAGS | IFF_PERSIST);
		err = 0;
	}
	rtnl_unlock();
	if (err)
		return err;
	return copy_to_user(arg, &answer, sizeof(answer)) ? -EFAULT : 0;
}

static int mytun_ioc_getfeatures(void __user *arg)
{
	return put_user((unsigned int)MYTUN_REQUEST_FLAGS & ~IFF_TUN_EXCL,
			(unsigned int __user *)arg);
}

static void mytun_set_persist(struct mytun_device *device, bool persist)
{
	if (persist == !!(device->flags & IFF_PERSIST))
		return;
	WRITE_ONCE(device->flags, device->flags ^ IFF_PERSIST);
	if (persist)
		__module_get(THIS_MODULE);
	else
		module_put(THIS_MODULE);
}

static int mytun_set_owner(struct mytun_device *device, unsigned long arg)
{
	kuid_t owner = make_kuid(current_user_ns(), arg);

	if (!uid_valid(owner))
		return -EINVAL;
	device->owner = owner;
	return 0;
}

static int mytun_set_group(struct mytun_device *device, unsigned long arg)
{
	kgid_t group = make_kgid(current_user_ns(), arg);

	if (!gid_valid(group))
		return -EINVAL;
	device->group = group;
	return 0;
}

static int mytun_device_set(struct mytun_device *device, unsigned int command,
			    unsigned long arg)
{
	switch (command) {
	case TUNSETPERSIST:
		mytun_set_persist(device, arg);
		return 0;
	case TUNSETOWNER:
		return mytun_set_owner(device, arg);
	case TUNSETOFFLOAD:
		return mytun_netdev_set_offloads(device, arg);
	default:
		return mytun_set_group(device, arg);
	}
}

static int mytun_ioc_device_set(struct mytun_queue *queue,
				unsigned int command, unsigned long arg)
{
	int err = -EBADFD;

	rtnl_lock();
	if (queue->device)
		err = mytun_device_set(queue->device, command, arg);
	if (!err)
		netdev_state_change(queue->device->dev);
	rtnl_unlock();
	return err;
}

static int mytun_set_vnet_size(struct mytun_device *device, int size)
{
	if (size < (int)sizeof(struct virtio_net_hdr))
		return -EINVAL;
	WRITE_ONCE(device->vnet_size, size);
	return 0;
}

/* Of all queues that are attached now */
static int mytun_set_sndbuf(struct mytun_device *device, int sndbuf)
{
	unsigned int i;

	if (sndbuf <= 0)
		return -EINVAL;
	for (i = 0; i < device->attached; i++) {
		struct mytun_queue *queue =
			rtnl_dereference(device->queues[device->live[i]]);

		WRITE_ONCE(queue->sk.sk_sndbuf, sndbuf);
		mytun_write_space(&queue->sk);
	}
	return 0;
}

static int mytun_device_set_int(struct mytun_device *device,
				unsigned int command, int value)
{
	switch (command) {
	case TUNSETSNDBUF:
		return mytun_set_sndbuf(device, value);
	case TUNSETVNETHDRSZ:
		return mytun_set_vnet_size(device, value);
	case TUNSETVNETLE:
		WRITE_ONCE(device->vnet_le, value);
		return 0;
	default:
		WRITE_ONCE(device->vnet_be, value);
		return 0;
	}
}

/* What is not attached is told before a bad address is, as by stock tun */
static int mytun_ioc_set_int(struct mytun_queue *queue, unsigned int command,
			     int __user *arg)
{
	int err = -EBADFD;
	int value;

	if (!rcu_access_pointer(queue->io_device))
		return -EBADFD;
	if (command == TUNSETVNETBE && !IS_ENABLED(CONFIG_TUN_VNET_CROSS_LE))
		return -EINVAL;
	if (get_user(value, arg))
		return -EFAULT;

	rtnl_lock();
	if (queue->device)
		err = mytun_device_set_int(queue->device, command, value);
	rtnl_unlock();
	return err;
}

static int mytun_device_get_int(const struct mytun_queue *queue,
				unsigned int command)
{
	switch (command) {
	case TUNGETSNDBUF:
		return READ_ONCE(queue->sk.sk_sndbuf);
	case TUNGETVNETHDRSZ:
		return queue->device->vnet_size;
	case TUNGETVNETLE:
		return queue->device->vnet_le;
	default:
		return queue->device->vnet_be;
	}
}

static int mytun_ioc_get_int(struct mytun_queue *queue, unsigned int command,
			     int __user *arg)
{
	bool attached;
	int value = 0;

	rtnl_lock();
	attached = queue->device;
	if (attached)
		value = mytun_device_get_int(queue, command);
	rtnl_unlock();
	if (!attached)
		return -EBADFD;
	if (command == TUNGETVNETBE && !IS_ENABLED(CONFIG_TUN_VNET_CROSS_LE))
		return -EINVAL;
	return put_user(value, arg);
}

static int mytun_ioc_get_info(struct mytun_queue *queue, void __user *arg)
{
	struct mytun_rings *rings = mytun_queue_rings(queue);
	struct mytun_info info = {
		.features = MYTUN_FEATURES,
		.frame_header = sizeof(struct mytun_frame),
		.frame_align = MYTUN_FRAME_ALIGN,
		.frame_max = MYTUN_FRAME_MAX,
		.ring_size_min = MYTUN_RING_SIZE_MIN,
		.ring_size_max = MYTUN_RING_SIZE_MAX,
	};

	mutex_lock(&queue->config);
	info.queue = queue->device ? queue->index : ~0U;
	info.poll_usecs = queue->coalesce.poll_us;
	mutex_unlock(&queue->config);
	if (rings)
		mytun_rings_describe(rings, &info);
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

/* 0: that direction goes by read or write */
static bool mytun_ring_size_valid(u32 size)
{
	if (!size)
		return true;

	return is_power_of_2(size) && size >= MYTUN_RING_SIZE_MIN &&
	       size <= MYTUN_RING_SIZE_MAX && PAGE_ALIGNED(size);
}

static int mytun_ioc_set_rings(struct mytun_queue *queue, void __user *arg)
{
	struct mytun_ring_config config;

	if (copy_from_user(&config, arg, sizeof(config)))
		return -EFAULT;
	if (memchr_inv(config.reserved, 0, sizeof(config.reserved)) ||
	    !(config.rx_size || config.tx_size) ||
	    !mytun_ring_size_valid(config.rx_size) ||
	    !mytun_ring_size_valid(config.tx_size))
		return -EINVAL;
	return mytun_queue_set_rings(queue, &config);
}

static int mytun_ioc_set_eventfds(struct mytun_queue *queue, void __user *arg)
{
	struct mytun_eventfds fds;
	int err;

	if (copy_from_user(&fds, arg, sizeof(fds)))
		return -EFAULT;
	if (memchr_inv(fds.reserved, 0, sizeof(fds.reserved)))
		return -EINVAL;

	mutex_lock(&queue->config);
	if (!queue->device)
		err = -EBADFD;
	else if (!queue->rings)
		err = -EINVAL;
	else
		err = mytun_doorbell_set(queue, &fds);
	mutex_unlock(&queue->config);
	return err;
}

static int mytun_ioc_set_poll(struct mytun_queue *queue, void __user *arg)
{
	u32 poll_us;
	int err = -EBADFD;

	if (get_user(poll_us, (u32 __user *)arg))
		return -EFAULT;
	if (poll_us > MYTUN_POLL_MAX_USECS)
		return -EINVAL;

	mutex_lock(&queue->config);
	if (queue->device) {
		WRITE_ONCE(queue->coalesce.poll_us, poll_us);
		err = 0;
	}
	mutex_unlock(&queue->config);
	return err;
}

static int mytun_ioc_set_backpressure(struct mytun_queue *queue,
				      void __user *arg)
{
	u32 on;
	int err = -EBADFD;

	if (get_user(on, (u32 __user *)arg))
		return -EFAULT;
	if (on > 1)
		return -EINVAL;

	rtnl_lock();
	if (queue->device) {
		mytun_netdev_set_backpressure(queue->device, on);
		err = 0;
	}
	rtnl_unlock();
	return err;
}

static int mytun_ioc_set_batch(struct mytun_queue *queue, void __user *arg)
{
	u32 batch;
	int err = -EBADFD;

	if (get_user(batch, (u32 __user *)arg))
		return -EFAULT;
	if (batch & ~(MYTUN_BATCH_READ | MYTUN_BATCH_WRITE))
		return -EINVAL;

	mutex_lock(&queue->config);
	if (queue->device) {
		WRITE_ONCE(queue->batch, batch);
		err = 0;
	}
	mutex_unlock(&queue->config);
	return err;
}

/* A turn of a process that lives by this: what it sent, then what came */
static int mytun_ioc_wait(struct mytun_queue *queue, bool nonblock)
{
	int err = 0;

	if (!rcu_access_pointer(queue->io_device))
		return -EBADFD;
	if (!mytun_has_rx_ring(queue))
		return -EINVAL;
	if (mytun_has_tx_ring(queue))
		err = mytun_write_flush(queue);
	return err ?: mytun_read_wait_ring(queue, nonblock);
}

static int mytun_ioc_get_stats(struct mytun_queue *queue, void __user *arg)
{
	struct mytun_stats stats = {};
	u64 *value = (u64 *)&stats;
	unsigned int i;

	BUILD_BUG_ON(offsetof(struct mytun_stats, reserved) !=
		     MYTUN_COUNTERS * sizeof(u64));
	for (i = 0; i < MYTUN_COUNTERS; i++)
		value[i] = atomic64_read(&queue->counters[i]);
	return copy_to_user(arg, &stats, sizeof(stats)) ? -EFAULT : 0;
}

long mytun_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct mytun_queue *queue = file->private_data;
	void __user *argp = (void __user *)arg;

	switch (command) {
	case TUNSETIFF:
		return mytun_ioc_setiff(queue, argp);
	case TUNGETIFF:
		return mytun_ioc_getiff(queue, argp);
	case TUNGETFEATURES:
		return mytun_ioc_getfeatures(argp);
	case TUNSETPERSIST:
	case TUNSETOWNER:
	case TUNSETGROUP:
	case TUNSETOFFLOAD:
		return mytun_ioc_device_set(queue, command, arg);
	case TUNSETSNDBUF:
	case TUNSETVNETHDRSZ:
	case TUNSETVNETLE:
	case TUNSETVNETBE:
		return mytun_ioc_set_int(queue, command, argp);
	case TUNGETSNDBUF:
	case TUNGETVNETHDRSZ:
	case TUNGETVNETLE:
	case TUNGETVNETBE:
		return mytun_ioc_get_int(queue, command, argp);
	case MYTUN_IOC_GET_INFO:
		return mytun_ioc_get_info(queue, argp);
	case MYTUN_IOC_SET_RINGS:
		return mytun_ioc_set_rings(queue, argp);
	case MYTUN_IOC_SET_EVENTFDS:
		return mytun_ioc_set_eventfds(queue, argp);
	case MYTUN_IOC_SET_POLL:
		return mytun_ioc_set_poll(queue, argp);
	case MYTUN_IOC_GET_STATS:
		return mytun_ioc_get_stats(queue, argp);
	case MYTUN_IOC_SET_BACKPRESSURE:
		return mytun_ioc_set_backpressure(queue, argp);
	case MYTUN_IOC_WAIT:
		return mytun_ioc_wait(queue, file->f_flags & O_NONBLOCK);
	case MYTUN_IOC_SET_BATCH:
		return mytun_ioc_set_batch(queue, argp);
	}
	return -ENOTTY;
}
