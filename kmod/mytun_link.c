// SPDX-License-Identifier: GPL-2.0
/* Commands that are about the net device and not about frames */

#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/if_arp.h>
#include <linux/if_fc.h>
#include <linux/if_fddi.h>
#include <linux/if_hippi.h>
#include <linux/if_ltalk.h>
#include <linux/ieee802154.h>
#include <linux/in6.h>
#include <linux/proc_fs.h>
#include <linux/rtnetlink.h>
#include <linux/uaccess.h>
#include <net/ax25.h>
#include <net/net_namespace.h>
#include <net/rose.h>

#include "mytun.h"

/* Bytes of an address; kinds that are not here have none */
static const struct {
	unsigned short type;
	unsigned char length;
} mytun_address_lengths[] = {
	{ ARPHRD_ETHER, ETH_ALEN },
	{ ARPHRD_TUNNEL, sizeof(__be32) },
	{ ARPHRD_SIT, sizeof(__be32) },
	{ ARPHRD_IPGRE, sizeof(__be32) },
	{ ARPHRD_TUNNEL6, sizeof(struct in6_addr) },
	{ ARPHRD_IP6GRE, sizeof(struct in6_addr) },
	{ ARPHRD_IEEE802154_MONITOR, IEEE802154_EXTENDED_ADDR_LEN },
	{ ARPHRD_FDDI, FDDI_K_ALEN },
	{ ARPHRD_HIPPI, HIPPI_ALEN },
	{ ARPHRD_IEEE802, FC_ALEN },
	{ ARPHRD_ROSE, ROSE_ADDR_LEN },
	{ ARPHRD_NETROM, AX25_ADDR_LEN },
	{ ARPHRD_LOCALTLK, LTALK_ALEN },
};

static unsigned char mytun_address_length(unsigned short type)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mytun_address_lengths); i++)
		if (mytun_address_lengths[i].type == type)
			return mytun_address_lengths[i].length;
	return 0;
}

/* The kernel takes the private part of a device of these kinds for its own */
static bool mytun_type_is_foreign(unsigned short type)
{
	return type == ARPHRD_6LOWPAN || type == ARPHRD_IEEE802154;
}

/* TUNSETLINK; under rtnl */
int mytun_link_set_type(struct net_device *dev, unsigned short type)
{
	int err;

	if (dev->flags & IFF_UP)
		return -EBUSY;
	if (mytun_type_is_foreign(type))
		return -EINVAL;
	err = notifier_to_errno(call_netdevice_notifiers(NETDEV_PRE_TYPE_CHANGE,
							 dev));
	if (err)
		return err;
	dev->type = type;
	dev->addr_len = mytun_address_length(type);
	call_netdevice_notifiers(NETDEV_POST_TYPE_CHANGE, dev);
	return 0;
}

/* TUNSETCARRIER and ip link set carrier; under rtnl */
int mytun_link_change_carrier(struct net_device *dev, bool on)
{
	struct mytun_device *device = netdev_priv(dev);

	if (on && !device->attached)
		return -EPERM;
	if (on)
		netif_carrier_on(dev);
	else
		netif_carrier_off(dev);
	return 0;
}

/* A 32-bit program's ends earlier; what is used of it is the same */
size_t mytun_ifreq_size(void)
{
#ifdef CONFIG_COMPAT
	if (in_compat_syscall())
		return sizeof(struct compat_ifreq);
#endif
	return sizeof(struct ifreq);
}

/*
 * SIOCGIFHWADDR and SIOCSIFHWADDR. Other socket ioctls are no commands, but
 * have their argument looked at all the same
 */
int mytun_link_address(struct mytun_queue *queue, unsigned int command,
		       void __user *arg)
{
	struct ifreq request = {};
	int err = -EBADFD;
	struct net_device *dev;

	if (copy_from_user(&request, arg, mytun_ifreq_size()))
		return -EFAULT;
	rtnl_lock();
	if (!queue->device)
		goto unlock;
	dev = queue->device->dev;
	if (command == SIOCSIFHWADDR)
		err = dev_set_mac_address_user(dev, &request.ifr_hwaddr, NULL);
	else if (command == SIOCGIFHWADDR)
		err = dev_get_mac_address(&request.ifr_hwaddr, dev_net(dev),
					  dev->name);
	else
		err = -EINVAL;
unlock:
	rtnl_unlock();
	if (err || command == SIOCSIFHWADDR)
		return err;
	return copy_to_user(arg, &request, mytun_ifreq_size()) ? -EFAULT : 0;
}

static int mytun_link_open_namespace(struct net *net)
{
	if (!ns_capable(net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	return open_related_ns(&net->ns, get_net_ns);
}

/* SIOCGSKNS: where the file was opened. A descriptor */
int mytun_link_own_namespace(struct mytun_queue *queue)
{
	return mytun_link_open_namespace(sock_net(&queue->sk));
}

/* TUNGETDEVNETNS: where the device is. A descriptor; EINVAL if it is ending */
int mytun_link_device_namespace(struct mytun_queue *queue)
{
	struct net *net = NULL;
	int fd = -EBADFD;

	rtnl_lock();
	if (queue->device) {
		net = maybe_get_net(dev_net(queue->device->dev));
		fd = -EINVAL;
	}
	rtnl_unlock();
	if (!net)
		return fd;
	fd = mytun_link_open_namespace(net);
	put_net(net);
	return fd;
}
