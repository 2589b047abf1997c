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
#include <linux/sockios.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#include "mytun.h"

#define MYTUN_REQUEST_FLAGS	(MYTUN_DEVICE_FLAGS | IFF_TUN_EXCL | \
				 IFF_NO_CARRIER)
#define MYTUN_FEATURES		(MYTUN_FEATURE_RINGS_HASH | \
				 MYTUN_FEATURE_TX_VNET | \
				 MYTUN_FEATURE_TX_HASH | MYTUN_FEATURE_OFFLOAD | \
				 MYTUN_FEATURE_BACKPRESSURE | \
				 MYTUN_FEATURE_RX_HOLD | \
				 MYTUN_FEATURE_READ_WRITE | \
				 MYTUN_FEATURE_UDP_TUNNEL | \
				 MYTUN_FEATURE_RX_ROOM)

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

static bool mytun_is_first(const struct mytun_device *device)
{
	return !device->attached && !device->parked;
}

/* How frames look is the device's: a further queue takes it as it is */
static int mytun_check_framing(const struct mytun_device *device,
			       unsigned int flags)
{
	if (device->flags & IFF_MULTI_QUEUE && !mytun_is_first(device) &&
	    (device->flags ^ flags) & (IFF_NO_PI | IFF_VNET_HDR))
		return -EINVAL;
	return 0;
}

static void mytun_set_carrier(struct net_device *dev, unsigned int flags)
{
	if (flags & IFF_NO_CARRIER)
		netif_carrier_off(dev);
	else
		netif_carrier_on(dev);
}

/* With its first queue a persistent device begins anew */
static void mytun_renew(struct mytun_device *device, unsigned int flags)
{
	/* an ioctl may have asked for it, to stay until it is changed */
	flags |= device->flags & IFF_BACKPRESSURE;
	WRITE_ONCE(device->flags, (device->flags & ~MYTUN_DEVICE_FLAGS) |
				  (flags & MYTUN_DEVICE_FLAGS));
	/* an earlier owner took super-packets: this one could not tell them */
	if (!(device->flags & IFF_VNET_HDR))
		mytun_netdev_set_offloads(device, 0);
	mytun_set_carrier(device->dev, flags);
}

static int mytun_join(struct mytun_queue *queue, struct mytun_device *device,
		      unsigned int flags)
{
	bool first = mytun_is_first(device);
	int err;

	if ((device->flags ^ flags) & (IFF_TUN | IFF_TAP | IFF_MULTI_QUEUE))
		return -EINVAL;
	if (!mytun_may_attach(device))
		return -EPERM;
	err = security_tun_dev_open(device->security);
	if (err)
		return err;
	err = mytun_check_framing(device, flags);
	if (err)
		return err;

	err = mytun_queue_attach(queue, device, !(flags & IFF_NOFILTER));
	if (err)
		return err;
	if (first)
		mytun_renew(device, flags);
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
	if (!(flags & (IFF_TUN | IFF_TAP)))
		return -EINVAL;

	err = mytun_netdev_create(queue, name, flags & MYTUN_DEVICE_FLAGS, &dev);
	if (err)
		return err;
	err = mytun_queue_attach(queue, netdev_priv(dev), false);
	if (err)
		unregister_netdevice(dev);
	else
		mytun_set_carrier(dev, flags);
	return err;
}

/* What would be ignored is refused */
static bool mytun_request_valid(const struct mytun_ifreq *request)
{
	return !(request->flags & ~MYTUN_REQUEST_FLAGS) &&
	       (request->flags & (IFF_TUN | IFF_TAP)) != (IFF_TUN | IFF_TAP);
}

static int mytun_set_iff(struct mytun_queue *queue, struct mytun_ifreq *request)
{
	struct net *net = sock_net(&queue->sk);
	struct mytun_device *device;
	int err;

	if (queue->device)
		return -EEXIST;
	if (!mytun_request_valid(request))
		return -EINVAL;
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
	if (err)
		return err;
	WRITE_ONCE(queue->write_gro, request->flags & IFF_NAPI);
	strscpy_pad(request->name, queue->device->dev->name,
		    sizeof(request->name));
	return 0;
}

static int mytun_ioc_setiff(struct mytun_queue *queue, void __user *arg)
{
	struct mytun_ifreq request;
	int err;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	request.name[IFNAMSIZ - 1] = '\0';

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

/* IFF_NOFILTER is IFF_NO_PI too: a program cannot tell the two apart */
static unsigned int mytun_flags(const struct mytun_queue *queue)
{
	unsigned int flags = queue->device->flags &
			     (MYTUN_DEVICE_FLAGS | IFF_PERSIST);

	if (queue->parked)
		flags |= IFF_DETACH_QUEUE;
	if (!queue->filtered)
		flags |= IFF_NOFILTER;
	return flags;
}

static int mytun_ioc_getiff(struct mytun_queue *queue, void __user *arg)
{
	struct ifreq answer = {};
	int err = -EBADFD;

	rtnl_lock();
	if (queue->device) {
		strscpy_pad(answer.ifr_name, queue->device->dev->name,
			    sizeof(answer.ifr_name));
		answer.ifr_flags = mytun_flags(queue);
		err = 0;
	}
	rtnl_unlock();
	if (err)
		return err;
	return copy_to_user(arg, &answer, mytun_ifreq_size()) ? -EFAULT : 0;
}

/* TUNSETQUEUE. What else is in the argument does not matter */
static int mytun_ioc_set_queue(struct mytun_queue *queue, void __user *arg)
{
	struct ifreq request;
	int err = -EINVAL;

	if (copy_from_user(&request, arg, mytun_ifreq_size()))
		return -EFAULT;
	rtnl_lock();
	if (request.ifr_flags & IFF_ATTACH_QUEUE)
		err = mytun_queue_unpark(queue);
	else if (request.ifr_flags & IFF_DETACH_QUEUE)
		err = mytun_queue_park(queue);
	rtnl_unlock();
	return err;
}

/* The next device that the file makes gets this index */
static int mytun_ioc_set_ifindex(struct mytun_queue *queue, void __user *arg)
{
	int ifindex;
	int err = -EPERM;

	if (READ_ONCE(queue->device))
		return -EPERM;
	if (get_user(ifindex, (int __user *)arg))
		return -EFAULT;
	if (ifindex < 0)
		return -EINVAL;
	rtnl_lock();
	if (!queue->device) {
		queue->ifindex = ifindex;
		err = 0;
	}
	rtnl_unlock();
	return err;
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
	netdev_state_change(device->dev);
}

static int mytun_set_owner(struct mytun_device *device, unsigned long arg)
{
	kuid_t owner = make_kuid(current_user_ns(), arg);

	if (!uid_valid(owner))
		return -EINVAL;
	device->owner = owner;
	netdev_state_change(device->dev);
	return 0;
}

static int mytun_set_group(struct mytun_device *device, unsigned long arg)
{
	kgid_t group = make_kgid(current_user_ns(), arg);

	if (!gid_valid(group))
		return -EINVAL;
	device->group = group;
	netdev_state_change(device->dev);
	return 0;
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

static int mytun_device_set(struct mytun_device *device, unsigned int command,
			    unsigned long arg)
{
	switch (command) {
	case TUNSETPERSIST:
		mytun_set_persist(device, arg);
		return 0;
	case TUNSETOWNER:
		return mytun_set_owner(device, arg);
	case TUNSETGROUP:
		return mytun_set_group(device, arg);
	case TUNSETOFFLOAD:
		return mytun_netdev_set_offloads(device, arg);
	case TUNSETLINK:
		return mytun_link_set_type(device->dev, arg);
	case TUNSETCARRIER:
		return mytun_link_change_carrier(device->dev, arg);
	case TUNDETACHFILTER:
		return mytun_filter_detach(device);
	case TUNSETSTEERINGEBPF:
	case TUNSETFILTEREBPF:
		return mytun_filter_set_ebpf(device, command, arg);
	case TUNSETSNDBUF:
		return mytun_set_sndbuf(device, arg);
	case TUNSETVNETHDRSZ:
		return mytun_set_vnet_size(device, arg);
	case TUNSETVNETLE:
		WRITE_ONCE(device->vnet_le, arg);
		return 0;
	case TUNSETVNETBE:
		WRITE_ONCE(device->vnet_be, arg);
		return 0;
	case TUNSETNOCSUM: /* a permission that is never made use of */
		return 0;
	default:
		return -EINVAL;
	}
}

static int mytun_ioc_device_set(struct mytun_queue *queue,
				unsigned int command, unsigned long arg)
{
	int err = -EBADFD;

	rtnl_lock();
	if (queue->device)
		err = mytun_device_set(queue->device, command, arg);
	rtnl_unlock();
	return err;
}

/* The same for an argument in memory: looked at after the device */
static int mytun_ioc_device_set_int(struct mytun_queue *queue,
				    unsigned int command, void __user *arg)
{
	int value;

	if (!READ_ONCE(queue->device))
		return -EBADFD;
	if (command == TUNSETVNETBE && !IS_ENABLED(CONFIG_TUN_VNET_CROSS_LE))
		return -EINVAL;
	if (get_user(value, (int __user *)arg))
		return -EFAULT;
	return mytun_ioc_device_set(queue, command, value);
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

/* Frames that read() hands out have none */
static bool mytun_rx_room_valid(const struct mytun_ring_config *config)
{
	u32 most = config->rx_size ? MYTUN_RX_ROOM_MAX : 0;

	return config->rx_headroom <= most && config->rx_tailroom <= most;
}

static int mytun_ioc_set_rings(struct mytun_queue *queue, void __user *arg)
{
	struct mytun_ring_config config;

	if (copy_from_user(&config, arg, sizeof(config)))
		return -EFAULT;
	if (memchr_inv(config.reserved, 0, sizeof(config.reserved)) ||
	    config.flags & ~MYTUN_RINGS_HASH ||
	    !(config.rx_size || config.tx_size) ||
	    !mytun_ring_size_valid(config.rx_size) ||
	    !mytun_ring_size_valid(config.tx_size) ||
	    !mytun_rx_room_valid(&config))
		return -EINVAL;
	return mytun_queue_set_rings(queue, &config);
}

static int mytun_ioc_set_eventfds(struct mytun_queue *queue, void __user *arg)
{
	struct mytun_eventfds fds;

	if (copy_from_user(&fds, arg, sizeof(fds)))
		return -EFAULT;
	if (memchr_inv(fds.reserved, 0, sizeof(fds.reserved)))
		return -EINVAL;
	return mytun_doorbell_set(queue, &fds);
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
		value[i] = mytun_counted(queue, i);
	return copy_to_user(arg, &stats, sizeof(stats)) ? -EFAULT : 0;
}

/* Of linux/if_tun.h: as stock tun, an unknown one included */
static long mytun_ioctl_tun(struct mytun_queue *queue, unsigned int command,
			    unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (command) {
	case TUNSETIFF:
		return mytun_ioc_setiff(queue, argp);
	case TUNGETIFF:
		return mytun_ioc_getiff(queue, argp);
	case TUNGETFEATURES:
		return mytun_ioc_getfeatures(argp);
	case TUNGETSNDBUF:
	case TUNGETVNETHDRSZ:
	case TUNGETVNETLE:
	case TUNGETVNETBE:
		return mytun_ioc_get_int(queue, command, argp);
	case TUNSETQUEUE:
		return mytun_ioc_set_queue(queue, argp);
	case TUNSETIFINDEX:
		return mytun_ioc_set_ifindex(queue, argp);
	case TUNSETTXFILTER:
		return mytun_filter_set_addresses(queue, argp);
	case TUNATTACHFILTER:
		return mytun_filter_attach(queue, argp);
	case TUNGETFILTER:
		return mytun_filter_get(queue, argp);
	case TUNGETDEVNETNS:
		return mytun_link_device_namespace(queue);
	case TUNSETSNDBUF:
	case TUNSETVNETHDRSZ:
	case TUNSETVNETLE:
	case TUNSETVNETBE:
	case TUNSETCARRIER:
	case TUNSETSTEERINGEBPF:
	case TUNSETFILTEREBPF:
		return mytun_ioc_device_set_int(queue, command, argp);
	}
	return mytun_ioc_device_set(queue, command, arg);
}

static long mytun_ioctl_mytun(struct file *file, unsigned int command,
			      void __user *argp)
{
	struct mytun_queue *queue = file->private_data;

	switch (command) {
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

long mytun_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct mytun_queue *queue = file->private_data;
	void __user *argp = (void __user *)arg;

	if (_IOC_TYPE(command) == MYTUN_IOC_MAGIC)
		return mytun_ioctl_mytun(file, command, argp);
	if (command == SIOCGSKNS)
		return mytun_link_own_namespace(queue);
	if (_IOC_TYPE(command) == SOCK_IOC_TYPE)
		return mytun_link_address(queue, command, argp);
	return mytun_ioctl_tun(queue, command, arg);
}
