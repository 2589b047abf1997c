// SPDX-License-Identifier: GPL-2.0
/* Commands that are about the net device and not about frames */

#include <linux/capability.h>
#include <linux/compat.h>
#include <linux/if_arp.h>
#include <linux/if_fc.h>
#include <linux/if_fddi.h>
#include <linux/if_hippi.h>
#include <linux/ieee802154.h>
#include <linux/in6.h>
#include <linux/proc_fs.h>
#include <linux/rtnetlink.h>
#include <linux/uaccess.h>
#include <net/ax25.h>
#include <net/net_namespace.h>
#include <net/rose.h>

#include "mytun.h"

/*
 * Types that a process may give its device, and the bytes of an address. Code of
 * the kernel that serves a type may take the device for one of its own drivers',
 * and netdev_priv(), ml_priv or an operation for what it is there: these were
 * looked through, and do not. Not here for that reason: ARPHRD_CAIF, 6LOWPAN,
 * IEEE802154, INFINIBAND, CAN, ATM, LOCALTLK
 */
static const struct {
	unsigned short type;
	unsigned char length;
} mytun_types[] = {
	{ ARPHRD_NETROM, AX25_ADDR_LEN },
	{ ARPHRD_ETHER, ETH_ALEN },
	{ ARPHRD_AX25, 0 },
	{ ARPHRD_IEEE802, FC_ALEN },
	{ ARPHRD_SLIP, 0 },
	{ ARPHRD_CSLIP, 0 },
	{ ARPHRD_SLIP6, 0 },
	{ ARPHRD_CSLIP6, 0 },
	{ ARPHRD_ROSE, ROSE_ADDR_LEN },
	{ ARPHRD_X25, 0 },
	{ ARPHRD_PPP, 0 },
	{ ARPHRD_HDLC, 0 },
	{ ARPHRD_LAPB, 0 },
	{ ARPHRD_RAWHDLC, 0 },
	{ ARPHRD_RAWIP, 0 },
	{ ARPHRD_TUNNEL, sizeof(__be32) },
	{ ARPHRD_TUNNEL6, sizeof(struct in6_addr) },
	{ ARPHRD_LOOPBACK, 0 },
	{ ARPHRD_FDDI, FDDI_K_ALEN },
	{ ARPHRD_SIT, sizeof(__be32) },
	{ ARPHRD_IPGRE, sizeof(__be32) },
	{ ARPHRD_HIPPI, HIPPI_ALEN },
	{ ARPHRD_IEEE80211, 0 },
	{ ARPHRD_IEEE80211_PRISM, 0 },
	{ ARPHRD_IEEE80211_RADIOTAP, 0 },
	{ ARPHRD_IEEE802154_MONITOR, IEEE802154_EXTENDED_ADDR_LEN },
	{ ARPHRD_PHONET, 0 },
	{ ARPHRD_PHONET_PIPE, 0 },
	{ ARPHRD_IP6GRE, sizeof(struct in6_addr) },
	{ ARPHRD_NETLINK, 0 },
	{ ARPHRD_VSOCKMON, 0 },
	{ ARPHRD_NONE, 0 },
	{ ARPHRD_VOID, 0 },
};

/* Bytes of an address; EINVAL for a type that may not be had */
static int mytun_address_length(const struct net_device *dev,
				unsigned short type)
{
	unsigned int i;

	/* AppleTalk calls an operation that is not there, but on such links */
	if (type == ARPHRD_PPP && !(dev->flags & IFF_POINTOPOINT))
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(mytun_types); i++)
		if (mytun_types[i].type == type)
			return mytun_types[i].length;
	return -EINVAL;
}

/* TUNSETLINK */
int mytun_link_set_type(struct net_device *dev, unsigned short type)
{
	int length = mytun_address_length(dev, type);
	int err;

	ASSERT_RTNL();
	if (dev->flags & IFF_UP)
		return -EBUSY;
	if (length < 0)
		return length;
	err = notifier_to_errno(call_netdevice_notifiers(NETDEV_PRE_TYPE_CHANGE,
							 dev));
	if (err)
		return err;
	/* each has as many bytes as were asked for, and would be shown with more */
	if (length != dev->addr_len) {
		dev_uc_flush(dev);
		dev_mc_flush(dev);
	}
	dev->type = type;
	dev->addr_len = length;
	call_netdevice_notifiers(NETDEV_POST_TYPE_CHANGE, dev);
	return 0;
}

/* TUNSETCARRIER and ip link set carrier */
int mytun_link_change_carrier(struct net_device *dev, bool on)
{
	struct mytun_device *device = netdev_priv(dev);

	ASSERT_RTNL();
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

/* What there is of the device's address, as much as fits */
static void mytun_link_get_address(const struct net_device *dev,
				   struct sockaddr *address)
{
	size_t room = sizeof(*address) - offsetof(struct sockaddr, sa_data);

	ASSERT_RTNL();
	memset(address, 0, sizeof(*address));
	address->sa_family = dev->type;
	memcpy((u8 *)address + offsetof(struct sockaddr, sa_data),
	       dev->dev_addr, min_t(size_t, room, dev->addr_len));
}

/*
 * SIOCGIFHWADDR and SIOCSIFHWADDR. Other socket ioctls are no commands, but
 * have their argument looked at all the same
 */
int mytun_link_address(struct mytun_queue *queue, unsigned int command,
		       void __user *arg)
{
	struct ifreq request = {};
	int err = 0;

	if (copy_from_user(&request, arg, mytun_ifreq_size()))
		return -EFAULT;
	rtnl_lock();
	if (!queue->device)
		err = -EBADFD;
	else if (command == SIOCSIFHWADDR)
		err = mytun_set_address(queue->device->dev,
					&request.ifr_hwaddr);
	else if (command == SIOCGIFHWADDR)
		mytun_link_get_address(queue->device->dev,
				       &request.ifr_hwaddr);
	else
		err = -EINVAL;
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
