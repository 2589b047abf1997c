// SPDX-License-Identifier: GPL-2.0
/*
 * Ethtool -i, -l, -g, -c, -S, --show-priv-flags
 *
 * The names of the counters and rings are the process's, as everywhere in
 * mytun: the rx ring carries what the net device transmits.
 */

#include <linux/ethtool.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>

#include "mytun.h"

const char *const mytun_counter_names[MYTUN_COUNTERS] = {
	[MYTUN_RX_FRAMES] = "rx_frames",
	[MYTUN_RX_BYTES] = "rx_bytes",
	[MYTUN_RX_RING_FULL] = "rx_ring_full",
	[MYTUN_RX_DROPPED] = "rx_dropped",
	[MYTUN_RX_DOORBELLS] = "rx_doorbells",
	[MYTUN_RX_DOORBELLS_SUPPRESSED] = "rx_doorbells_suppressed",
	[MYTUN_TX_FRAMES] = "tx_frames",
	[MYTUN_TX_BYTES] = "tx_bytes",
	[MYTUN_TX_REFUSED_LENGTH] = "tx_refused_length",
	[MYTUN_TX_REFUSED_FLAGS] = "tx_refused_flags",
	[MYTUN_TX_REFUSED_VNET] = "tx_refused_vnet",
	[MYTUN_TX_REFUSED_PROTOCOL] = "tx_refused_protocol",
	[MYTUN_TX_DROPPED_DOWN] = "tx_dropped_down",
	[MYTUN_TX_DROPPED_MEMORY] = "tx_dropped_memory",
	[MYTUN_TX_DOORBELLS] = "tx_doorbells",
	[MYTUN_TX_SPACE_SIGNALS] = "tx_space_signals",
	[MYTUN_TX_SPACE_SUPPRESSED] = "tx_space_suppressed",
	[MYTUN_KTHREAD_SLEEPS] = "kthread_sleeps",
	[MYTUN_RX_DIRECT] = "rx_direct",
	[MYTUN_RX_QUEUE_STOPS] = "rx_queue_stops",
	[MYTUN_TX_XDP] = "tx_xdp",
};

static void mytun_get_drvinfo(struct net_device *dev,
			      struct ethtool_drvinfo *info)
{
	struct mytun_device *device = netdev_priv(dev);

	strscpy(info->driver, "mytun", sizeof(info->driver));
	strscpy(info->version, THIS_MODULE->version, sizeof(info->version));
	strscpy(info->bus_info, device->flags & IFF_TAP ? "tap" : "tun",
		sizeof(info->bus_info));
}

/* Nothing depends on them but what others make of them, such as bonding */
static int mytun_get_link_ksettings(struct net_device *dev,
				    struct ethtool_link_ksettings *settings)
{
	struct mytun_device *device = netdev_priv(dev);

	*settings = device->link_settings;
	return 0;
}

static int mytun_set_link_ksettings(struct net_device *dev,
				    const struct ethtool_link_ksettings *settings)
{
	struct mytun_device *device = netdev_priv(dev);

	device->link_settings = *settings;
	return 0;
}

static void mytun_get_channels(struct net_device *dev,
			       struct ethtool_channels *channels)
{
	struct mytun_device *device = netdev_priv(dev);

	channels->max_combined = dev->num_tx_queues;
	channels->combined_count = device->attached;
}

/* In bytes, of the first queue: queues may differ, fdinfo tells each */
static void mytun_get_ringparam(struct net_device *dev,
				struct ethtool_ringparam *ring,
				struct kernel_ethtool_ringparam *kernel_ring,
				struct netlink_ext_ack *extack)
{
	struct mytun_device *device = netdev_priv(dev);
	struct mytun_queue *queue;

	ring->rx_max_pending = MYTUN_RING_SIZE_MAX;
	ring->tx_max_pending = MYTUN_RING_SIZE_MAX;
	if (!device->attached)
		return;
	queue = rtnl_dereference(device->queues[device->live[0]]);
	if (!mytun_queue_rings(queue))
		return;
	ring->rx_pending = queue->rx.size;
	ring->tx_pending = queue->tx.size;
}

const struct mytun_coalesce mytun_default_coalesce = {
	.poll_us = 50,
	.hold_us = 200,
	.hold_frames = 256,
};

/*
 * rx-usecs and rx-frames bound how long a doorbell is held in a stream;
 * tx-usecs, how long the kthread looks for more from the process before it
 * asks for doorbells.
 */
static void mytun_coalesce_to_ethtool(const struct mytun_coalesce *from,
				      struct ethtool_coalesce *to)
{
	to->rx_coalesce_usecs = READ_ONCE(from->hold_us);
	to->rx_max_coalesced_frames = READ_ONCE(from->hold_frames);
	to->tx_coalesce_usecs = READ_ONCE(from->poll_us);
}

static void mytun_coalesce_from_ethtool(struct mytun_coalesce *to,
					const struct ethtool_coalesce *from)
{
	WRITE_ONCE(to->hold_us, from->rx_coalesce_usecs);
	WRITE_ONCE(to->hold_frames, from->rx_max_coalesced_frames);
	WRITE_ONCE(to->poll_us, from->tx_coalesce_usecs);
}

static int mytun_check_coalesce(const struct ethtool_coalesce *coalesce,
				struct netlink_ext_ack *extack)
{
	if (coalesce->rx_coalesce_usecs <= MYTUN_POLL_MAX_USECS &&
	    coalesce->tx_coalesce_usecs <= MYTUN_POLL_MAX_USECS)
		return 0;
	BUILD_BUG_ON(MYTUN_POLL_MAX_USECS != 100000);
	NL_SET_ERR_MSG_MOD(extack,
			   "rx-usecs and tx-usecs are at most 100000");
	return -ERANGE;
}

static int mytun_get_coalesce(struct net_device *dev,
			      struct ethtool_coalesce *coalesce,
			      struct kernel_ethtool_coalesce *kernel_coalesce,
			      struct netlink_ext_ack *extack)
{
	struct mytun_device *device = netdev_priv(dev);

	mytun_coalesce_to_ethtool(&device->coalesce, coalesce);
	return 0;
}

/* For all queues, those that are still to come too */
static int mytun_set_coalesce(struct net_device *dev,
			      struct ethtool_coalesce *coalesce,
			      struct kernel_ethtool_coalesce *kernel_coalesce,
			      struct netlink_ext_ack *extack)
{
	struct mytun_device *device = netdev_priv(dev);
	struct mytun_queue *queue;
	unsigned int i;
	int err;

	err = mytun_check_coalesce(coalesce, extack);
	if (err)
		return err;
	mytun_coalesce_from_ethtool(&device->coalesce, coalesce);
	for (i = 0; i < dev->num_tx_queues; i++) {
		queue = rtnl_dereference(device->queues[i]);
		/* a parked one too: it sends, and may come back */
		if (queue)
			mytun_coalesce_from_ethtool(&queue->coalesce, coalesce);
	}
	return 0;
}

static struct mytun_queue *mytun_live_queue(struct net_device *dev, u32 index)
{
	struct mytun_device *device = netdev_priv(dev);

	if (index >= dev->num_tx_queues)
		return NULL;
	return rtnl_dereference(device->queues[index]);
}

static int mytun_get_per_queue_coalesce(struct net_device *dev, u32 index,
					struct ethtool_coalesce *coalesce)
{
	struct mytun_queue *queue = mytun_live_queue(dev, index);

	if (!queue)
		return -EINVAL;
	mytun_coalesce_to_ethtool(&queue->coalesce, coalesce);
	return 0;
}

static int mytun_set_per_queue_coalesce(struct net_device *dev, u32 index,
					struct ethtool_coalesce *coalesce)
{
	struct mytun_queue *queue = mytun_live_queue(dev, index);
	int err;

	if (!queue)
		return -EINVAL;
	err = mytun_check_coalesce(coalesce, NULL);
	if (err)
		return err;
	mytun_coalesce_from_ethtool(&queue->coalesce, coalesce);
	return 0;
}

/* --show-priv-flags, in the order of their bits */
static const char mytun_priv_flag_names[][ETH_GSTRING_LEN] = {
	"rx-by-thread",
};

static u32 mytun_get_priv_flags(struct net_device *dev)
{
	struct mytun_device *device = netdev_priv(dev);

	return device->rx_by_thread ? BIT(0) : 0;
}

static int mytun_set_priv_flags(struct net_device *dev, u32 flags)
{
	struct mytun_device *device = netdev_priv(dev);

	WRITE_ONCE(device->rx_by_thread, flags & BIT(0));
	return 0;
}

static int mytun_get_sset_count(struct net_device *dev, int sset)
{
	struct mytun_device *device = netdev_priv(dev);

	if (sset == ETH_SS_PRIV_FLAGS)
		return ARRAY_SIZE(mytun_priv_flag_names);
	/* the kernel warns of a set that is empty */
	if (sset != ETH_SS_STATS || !device->attached)
		return -EOPNOTSUPP;
	return device->attached * MYTUN_COUNTERS;
}

static void mytun_get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	struct mytun_device *device = netdev_priv(dev);
	unsigned int i, counter;

	if (sset == ETH_SS_PRIV_FLAGS)
		memcpy(data, mytun_priv_flag_names,
		       sizeof(mytun_priv_flag_names));
	if (sset != ETH_SS_STATS)
		return;
	for (i = 0; i < device->attached; i++)
		for (counter = 0; counter < MYTUN_COUNTERS; counter++)
			ethtool_sprintf(&data, "q%u_%s", device->live[i],
					mytun_counter_names[counter]);
}

static void mytun_get_ethtool_stats(struct net_device *dev,
				    struct ethtool_stats *stats, u64 *data)
{
	struct mytun_device *device = netdev_priv(dev);
	struct mytun_queue *queue;
	unsigned int i, counter;

	for (i = 0; i < device->attached; i++) {
		queue = rtnl_dereference(device->queues[device->live[i]]);
		for (counter = 0; counter < MYTUN_COUNTERS; counter++)
			*data++ = mytun_counted(queue, counter);
	}
}

const struct ethtool_ops mytun_ethtool_ops = {
	.supported_coalesce_params = ETHTOOL_COALESCE_RX_USECS |
				     ETHTOOL_COALESCE_RX_MAX_FRAMES |
				     ETHTOOL_COALESCE_TX_USECS,
	.get_drvinfo = mytun_get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_ts_info = ethtool_op_get_ts_info,
	.get_link_ksettings = mytun_get_link_ksettings,
	.set_link_ksettings = mytun_set_link_ksettings,
	.get_channels = mytun_get_channels,
	.get_ringparam = mytun_get_ringparam,
	.get_coalesce = mytun_get_coalesce,
	.set_coalesce = mytun_set_coalesce,
	.get_per_queue_coalesce = mytun_get_per_queue_coalesce,
	.set_per_queue_coalesce = mytun_set_per_queue_coalesce,
	.get_sset_count = mytun_get_sset_count,
	.get_strings = mytun_get_strings,
	.get_ethtool_stats = mytun_get_ethtool_stats,
	.get_priv_flags = mytun_get_priv_flags,
	.set_priv_flags = mytun_set_priv_flags,
};
