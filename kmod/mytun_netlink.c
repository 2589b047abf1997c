// SPDX-License-Identifier: GPL-2.0
/* What rtnetlink says of a device, and that it makes none */

#include <linux/cred.h>
#include <linux/if_link.h>
#include <net/netlink.h>
#include <net/rtnetlink.h>

#include "mytun.h"

static int mytun_link_validate(struct nlattr *tb[], struct nlattr *data[],
			       struct netlink_ext_ack *extack)
{
	NL_SET_ERR_MSG(extack,
		       "mytun devices are created through /dev/net/mytun");
	return -EOPNOTSUPP;
}

static size_t mytun_link_size(const struct net_device *dev)
{
	return 4 * nla_total_size(sizeof(u32)) + /* ids, numbers of queues */
	       5 * nla_total_size(sizeof(u8));	 /* kind, four flags */
}

static int mytun_link_fill_ids(struct sk_buff *skb,
			       const struct mytun_device *device)
{
	struct user_namespace *ns = current_user_ns();

	if (uid_valid(device->owner) &&
	    nla_put_u32(skb, IFLA_TUN_OWNER,
			from_kuid_munged(ns, device->owner)))
		return -EMSGSIZE;
	if (gid_valid(device->group) &&
	    nla_put_u32(skb, IFLA_TUN_GROUP,
			from_kgid_munged(ns, device->group)))
		return -EMSGSIZE;
	return 0;
}

static int mytun_link_fill_flags(struct sk_buff *skb, unsigned int flags)
{
	if (nla_put_u8(skb, IFLA_TUN_TYPE, flags & (IFF_TUN | IFF_TAP)) ||
	    nla_put_u8(skb, IFLA_TUN_PI, !(flags & IFF_NO_PI)) ||
	    nla_put_u8(skb, IFLA_TUN_VNET_HDR, !!(flags & IFF_VNET_HDR)) ||
	    nla_put_u8(skb, IFLA_TUN_PERSIST, !!(flags & IFF_PERSIST)) ||
	    nla_put_u8(skb, IFLA_TUN_MULTI_QUEUE, !!(flags & IFF_MULTI_QUEUE)))
		return -EMSGSIZE;
	return 0;
}

static int mytun_link_fill_queues(struct sk_buff *skb,
				  const struct mytun_device *device)
{
	if (!(device->flags & IFF_MULTI_QUEUE))
		return 0;
	if (nla_put_u32(skb, IFLA_TUN_NUM_QUEUES, device->attached) ||
	    nla_put_u32(skb, IFLA_TUN_NUM_DISABLED_QUEUES, device->parked))
		return -EMSGSIZE;
	return 0;
}

/* Under rtnl */
static int mytun_link_fill(struct sk_buff *skb, const struct net_device *dev)
{
	const struct mytun_device *device = netdev_priv(dev);
	int err;

	err = mytun_link_fill_flags(skb, device->flags);
	if (!err)
		err = mytun_link_fill_ids(skb, device);
	if (!err)
		err = mytun_link_fill_queues(skb, device);
	return err;
}

struct rtnl_link_ops mytun_link_ops __read_mostly = {
	.kind = "mytun",
	.priv_size = sizeof(struct mytun_device),
	.setup = mytun_netdev_setup,
	.validate = mytun_link_validate,
	.get_size = mytun_link_size,
	.fill_info = mytun_link_fill,
};
