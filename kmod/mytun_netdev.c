// SPDX-License-Identifier: GPL-2.0
/* The net device and its creation */

#include <linux/etherdevice.h>
#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/security.h>
#include <net/ip_tunnels.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#include "mytun.h"

#define MYTUN_TX_QUEUE_LEN	1000
/* Many tunnels in one another; with all headers a frame has, in 32 KiB */
#define MYTUN_HEADROOM_MAX	1024

/*
 * Whoever sends past the stack's own checks leaves a tag where it is, so tags are
 * put into frames here in any case
 */
#define MYTUN_TAGS	(NETIF_F_HW_VLAN_CTAG_TX | NETIF_F_HW_VLAN_STAG_TX)

static int mytun_netdev_init(struct net_device *dev)
{
	struct mytun_device *device = netdev_priv(dev);
	int err;

	dev->tstats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	if (!dev->tstats)
		return -ENOMEM;
	err = -ENOMEM;
	if (device->flags & IFF_MULTI_QUEUE) {
		device->flows = mytun_flows_create();
		if (!device->flows)
			goto err_stats;
	}
	err = security_tun_dev_alloc_security(&device->security);
	if (err)
		goto err_flows;
	return 0;

err_flows:
	mytun_flows_destroy(device->flows);
err_stats:
	free_percpu(dev->tstats);
	return err;
}

/* After the last user of the device; also when it could not be registered */
static void mytun_netdev_destructor(struct net_device *dev)
{
	struct mytun_device *device = netdev_priv(dev);

	mytun_flows_destroy(device->flows);
	security_tun_dev_free_security(device->security);
	free_percpu(dev->tstats);
}

/* The device goes while files are still attached: they learn of it */
static void mytun_netdev_uninit(struct net_device *dev)
{
	struct mytun_device *device = netdev_priv(dev);

	mytun_queue_detach_all(device);
	mytun_filter_destroy(device);
	if (device->flags & IFF_PERSIST)
		module_put(THIS_MODULE);
}

/* Who met EIO, or polled, may write from now on */
static int mytun_netdev_open(struct net_device *dev)
{
	struct mytun_device *device = netdev_priv(dev);
	unsigned int i;

	netif_tx_start_all_queues(dev);
	for (i = 0; i < dev->num_tx_queues; i++) {
		struct mytun_queue *queue = rtnl_dereference(device->queues[i]);

		/* a parked one too: it may send */
		if (queue)
			mytun_wake_writer(queue);
	}
	return 0;
}

static int mytun_netdev_stop(struct net_device *dev)
{
	netif_tx_stop_all_queues(dev);
	return 0;
}

static void mytun_get_stats64(struct net_device *dev,
			      struct rtnl_link_stats64 *stats)
{
	struct mytun_device *device = netdev_priv(dev);

	dev_get_tstats64(dev, stats);
	stats->rx_errors += atomic64_read(&device->rx_errors);
}

/* The stack does for a process what the process did not ask to do itself */
static netdev_features_t mytun_fix_features(struct net_device *dev,
					    netdev_features_t features)
{
	struct mytun_device *device = netdev_priv(dev);

	return features & (device->offloads | ~MYTUN_OFFLOADS);
}

static const struct {
	unsigned long bits;
	netdev_features_t feature;
} mytun_offload_table[] = {
	{ TUN_F_CSUM, NETIF_F_HW_CSUM },
	{ TUN_F_TSO4, NETIF_F_TSO },
	{ TUN_F_TSO6, NETIF_F_TSO6 },
	{ TUN_F_TSO_ECN, NETIF_F_TSO_ECN },
	{ TUN_F_UFO, 0 }, /* a permission that is never made use of */
	{ TUN_F_USO4 | TUN_F_USO6, NETIF_F_GSO_UDP_L4 },
	{ TUN_F_UDP_TUNNEL_GSO, NETIF_F_GSO_UDP_TUNNEL },
	{ TUN_F_UDP_TUNNEL_GSO_CSUM, NETIF_F_GSO_UDP_TUNNEL_CSUM },
};

/* What is within a tunnel is a super-packet that could be one without it */
static bool mytun_tunnel_offloads_valid(unsigned long arg)
{
	if (!(arg & TUN_F_UDP_TUNNEL_GSO))
		return !(arg & TUN_F_UDP_TUNNEL_GSO_CSUM);
	return arg & (TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6);
}

/* Segments need checksums of their own, so nothing goes without TUN_F_CSUM */
static int mytun_parse_offloads(unsigned long arg, netdev_features_t *offloads)
{
	unsigned int i;

	if (arg && !(arg & TUN_F_CSUM))
		return -EINVAL;
	if (arg & TUN_F_TSO_ECN && !(arg & (TUN_F_TSO4 | TUN_F_TSO6)))
		return -EINVAL;
	if (!mytun_tunnel_offloads_valid(arg))
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(mytun_offload_table); i++) {
		if (~arg & mytun_offload_table[i].bits)
			continue;
		*offloads |= mytun_offload_table[i].feature;
		arg &= ~mytun_offload_table[i].bits;
	}
	return arg ? -EINVAL : 0;
}

/* Frames that wait for the process already are as they are */
int mytun_netdev_set_offloads(struct mytun_device *device, unsigned long arg)
{
	struct net_device *dev = device->dev;
	netdev_features_t offloads = 0;

	ASSERT_RTNL();
	/* what it would need to know of a frame would not reach the process */
	if (arg && !(device->flags & IFF_VNET_HDR))
		return -EINVAL;
	if (mytun_parse_offloads(arg, &offloads))
		return -EINVAL;

	device->offloads = offloads;
	dev->wanted_features &= ~MYTUN_OFFLOADS;
	dev->wanted_features |= offloads;
	netdev_update_features(dev);
	return 0;
}

/* Whoever is held up when it goes off is let go */
void mytun_netdev_set_backpressure(struct mytun_device *device, bool on)
{
	unsigned int i;

	ASSERT_RTNL();
	if (on) {
		WRITE_ONCE(device->flags, device->flags | IFF_BACKPRESSURE);
		return;
	}
	WRITE_ONCE(device->flags, device->flags & ~IFF_BACKPRESSURE);
	for (i = 0; i < device->attached; i++)
		mytun_waiting_let_senders(rtnl_dereference(device->queues[device->live[i]]));
}

/*
 * Multicast addresses can be joined, and what comes from the process is not
 * held against them: it knows what it sends
 */
static void mytun_set_rx_mode(struct net_device *dev)
{
}

/*
 * TUNSETLINK may have made addresses shorter than Ethernet's: the caller has
 * filled in no more, and what is behind that may be anything
 */
static int mytun_set_mac_address(struct net_device *dev, void *arg)
{
	const struct sockaddr *from = arg;
	struct sockaddr to = { .sa_family = from->sa_family };

	memcpy(to.sa_data, dev->dev_addr, ETH_ALEN);
	memcpy(to.sa_data, from->sa_data,
	       min_t(size_t, dev->addr_len, ETH_ALEN));
	return eth_mac_addr(dev, &to);
}

/* A bridge asks for what another of its ports puts in front of a packet */
static void mytun_set_rx_headroom(struct net_device *dev, int headroom)
{
	struct mytun_device *device = netdev_priv(dev);
	unsigned int i;

	ASSERT_RTNL();
	device->headroom = clamp(headroom, NET_SKB_PAD, MYTUN_HEADROOM_MAX);
	for (i = 0; i < dev->num_tx_queues; i++) {
		struct mytun_queue *queue = rtnl_dereference(device->queues[i]);

		if (queue)
			WRITE_ONCE(queue->headroom, device->headroom);
	}
}

/* A TUN device has no address that could be set or be wrong */
static const struct net_device_ops mytun_tun_ops = {
	.ndo_init = mytun_netdev_init,
	.ndo_uninit = mytun_netdev_uninit,
	.ndo_open = mytun_netdev_open,
	.ndo_stop = mytun_netdev_stop,
	.ndo_start_xmit = mytun_xmit,
	.ndo_select_queue = mytun_select_queue,
	.ndo_get_stats64 = mytun_get_stats64,
	.ndo_fix_features = mytun_fix_features,
	.ndo_change_carrier = mytun_link_change_carrier,
	.ndo_set_rx_headroom = mytun_set_rx_headroom,
};

static const struct net_device_ops mytun_tap_ops = {
	.ndo_init = mytun_netdev_init,
	.ndo_uninit = mytun_netdev_uninit,
	.ndo_open = mytun_netdev_open,
	.ndo_stop = mytun_netdev_stop,
	.ndo_start_xmit = mytun_xmit,
	.ndo_select_queue = mytun_select_queue,
	.ndo_get_stats64 = mytun_get_stats64,
	.ndo_fix_features = mytun_fix_features,
	.ndo_change_carrier = mytun_link_change_carrier,
	.ndo_set_rx_headroom = mytun_set_rx_headroom,
	.ndo_set_rx_mode = mytun_set_rx_mode,
	.ndo_set_mac_address = mytun_set_mac_address,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_bpf = mytun_xdp_bpf,
	.ndo_xdp_xmit = mytun_xdp_xmit,
};

static void mytun_setup_tun(struct net_device *dev)
{
	dev->netdev_ops = &mytun_tun_ops;
	dev->header_ops = &ip_tunnel_header_ops;
	dev->type = ARPHRD_NONE;
	dev->mtu = ETH_DATA_LEN;
	dev->flags = IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST;
}

static void mytun_setup_tap(struct net_device *dev)
{
	dev->netdev_ops = &mytun_tap_ops;
	ether_setup(dev);
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	eth_hw_addr_random(dev);
	mytun_set_xdp_features(dev);
}

static void mytun_link_settings_init(struct ethtool_link_ksettings *settings)
{
	settings->base.speed = SPEED_10000;
	settings->base.duplex = DUPLEX_FULL;
	settings->base.port = PORT_TP;
	settings->base.autoneg = AUTONEG_DISABLE;
}

void mytun_netdev_setup(struct net_device *dev)
{
	struct mytun_device *device = netdev_priv(dev);

	/* here and not later: with none at first, a device gets no qdisc */
	dev->tx_queue_len = MYTUN_TX_QUEUE_LEN;
	device->dev = dev;
	device->owner = INVALID_UID;
	device->group = INVALID_GID;
	device->coalesce = mytun_default_coalesce;
	device->headroom = NET_SKB_PAD;
	device->vnet_size = sizeof(struct virtio_net_hdr);
	mytun_link_settings_init(&device->link_settings);
	dev->ethtool_ops = &mytun_ethtool_ops;
	dev->needs_free_netdev = true;
	dev->priv_destructor = mytun_netdev_destructor;
}

static void mytun_setup_kind(struct net_device *dev, unsigned int flags)
{
	if (flags & IFF_TAP)
		mytun_setup_tap(dev);
	else
		mytun_setup_tun(dev);
	/* netpoll would take the NAPI instance from under the tasklet */
	dev->priv_flags |= IFF_DISABLE_NETPOLL;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = ETH_MAX_MTU;
	/* frames are copied, so it does not matter where their parts are */
	dev->hw_features = NETIF_F_SG | NETIF_F_FRAGLIST | MYTUN_OFFLOADS |
			   MYTUN_TAGS;
	/* of packets in tunnels too: before 7.2 stock tun has none of them there */
	dev->hw_enc_features = dev->hw_features;
	dev->features = dev->hw_features;
	dev->vlan_features = dev->features & ~MYTUN_TAGS;
	mytun_set_lockless_tx(dev);
}

/* The caller attaches a queue, or takes the device away again */
int mytun_netdev_create(struct mytun_queue *queue, const char *name,
			unsigned int flags, struct net_device **created)
{
	unsigned int queues = flags & IFF_MULTI_QUEUE ? MYTUN_QUEUES_MAX : 1;
	struct mytun_device *device;
	struct net_device *dev;
	int err;

	ASSERT_RTNL();
	if (!*name)
		name = flags & IFF_TAP ? "mytap%d" : "mytun%d";
	dev = alloc_netdev_mqs(sizeof(*device), name, NET_NAME_UNKNOWN,
			       mytun_netdev_setup, queues, queues);
	if (!dev)
		return -ENOMEM;

	dev_net_set(dev, sock_net(&queue->sk));
	dev->ifindex = queue->ifindex;
	dev->rtnl_link_ops = &mytun_link_ops;
	dev->sysfs_groups[0] = &mytun_attribute_group;
	device = netdev_priv(dev);
	device->flags = flags;
	mytun_setup_kind(dev, flags);

	err = netif_set_real_num_tx_queues(dev, 1);
	if (!err)
		err = netif_set_real_num_rx_queues(dev, 1);
	if (!err)
		err = register_netdevice(dev);
	if (err) {
		free_netdev(dev);
		return err;
	}
	*created = dev;
	return 0;
}

/* NULL if there is no such device, EINVAL if it is not ours */
struct mytun_device *mytun_netdev_find(struct net *net, const char *name)
{
	struct net_device *dev = __dev_get_by_name(net, name);

	ASSERT_RTNL();
	if (!dev)
		return NULL;
	if (dev->rtnl_link_ops != &mytun_link_ops)
		return ERR_PTR(-EINVAL);
	return netdev_priv(dev);
}
