// SPDX-License-Identifier: GPL-2.0
/*
 * A flow's hash
 *
 * Over addresses and ports, the same in both directions, and of nothing but the
 * frame's own bytes: what an skb says of its flow is its sender's, who may change
 * it in the life of a connection.
 *
 * The flow dissector can find these for any packet, but takes half as many
 * instructions for that as all else that an rx frame needs; so the two kinds that
 * nearly all are of are done here: ports right behind an IP header without
 * options. A flow's hash does not depend on which of the two found it.
 */

#include <linux/etherdevice.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/random.h>
#include <linux/skbuff.h>
#include <net/flow_dissector.h>

#include "mytun.h"

static u32 mytun_hash_seed __read_mostly;
static struct flow_dissector mytun_dissector __read_mostly;

/* What the flow dissector is asked for: no label, no tag, which may change */
struct mytun_flow_keys {
	struct flow_dissector_key_control control;
	struct flow_dissector_key_basic basic;
	struct flow_dissector_key_addrs addrs;
	struct flow_dissector_key_ports ports;
};

#define MYTUN_FLOW_KEY(id, member) \
	{ .key_id = FLOW_DISSECTOR_KEY_##id, \
	  .offset = offsetof(struct mytun_flow_keys, member) }

void mytun_hash_setup(void)
{
	static const struct flow_dissector_key keys[] = {
		MYTUN_FLOW_KEY(CONTROL, control),
		MYTUN_FLOW_KEY(BASIC, basic),
		MYTUN_FLOW_KEY(IPV4_ADDRS, addrs.v4addrs),
		MYTUN_FLOW_KEY(IPV6_ADDRS, addrs.v6addrs),
		MYTUN_FLOW_KEY(PORTS, ports),
	};

	mytun_hash_seed = get_random_u32();
	skb_flow_dissector_init(&mytun_dissector, keys, ARRAY_SIZE(keys));
}

/* What a hash is made of; @a and @b change places with the direction */
struct mytun_flow {
	u32 a;
	u32 b;
	u16 a_port;
	u16 b_port;
	u8 protocol;
};

/* Of either direction, in front of all else that the protocol's header has */
static bool mytun_has_ports(u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
	       protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP ||
	       protocol == IPPROTO_UDPLITE;
}

/* With the seed, so that nobody can know which addresses fold to the same */
static u32 mytun_fold_address(const struct in6_addr *address)
{
	return jhash2((__force const u32 *)address->s6_addr32, 4,
		      mytun_hash_seed);
}

static void mytun_set_ports(struct mytun_flow *flow, u8 protocol,
			    const __be16 *ports)
{
	flow->a_port = (__force u16)ports[0];
	flow->b_port = (__force u16)ports[1];
	flow->protocol = protocol;
}

static bool mytun_dissect_ipv4(const struct iphdr *ip, unsigned int length,
			       struct mytun_flow *flow)
{
	if (length < sizeof(*ip) + 2 * sizeof(__be16) || ip->version != 4 ||
	    ip->ihl != 5 || ip_is_fragment(ip) ||
	    (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP))
		return false;

	flow->a = (__force u32)ip->saddr;
	flow->b = (__force u32)ip->daddr;
	mytun_set_ports(flow, ip->protocol, (const __be16 *)(ip + 1));
	return true;
}

static bool mytun_dissect_ipv6(const struct ipv6hdr *ip, unsigned int length,
			       struct mytun_flow *flow)
{
	if (length < sizeof(*ip) + 2 * sizeof(__be16) || ip->version != 6 ||
	    (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP))
		return false;

	flow->a = mytun_fold_address(&ip->saddr);
	flow->b = mytun_fold_address(&ip->daddr);
	mytun_set_ports(flow, ip->nexthdr, (const __be16 *)(ip + 1));
	return true;
}

/* False also for one whose headers are not in the skb's linear part */
static bool mytun_dissect_plain(const struct sk_buff *skb, int offset,
				__be16 protocol, struct mytun_flow *flow)
{
	int length = skb_headlen(skb) - offset;

	if (unlikely(length < 0))
		return false;
	if (protocol == htons(ETH_P_IP))
		return mytun_dissect_ipv4((void *)skb->data + offset, length,
					  flow);
	if (protocol == htons(ETH_P_IPV6))
		return mytun_dissect_ipv6((void *)skb->data + offset, length,
					  flow);
	return false;
}

/*
 * Any packet; a part of what makes a flow is a flow too. Behind tags, as those are
 * of the link and not of the flow. Looks at skb->dev
 */
static noinline void mytun_dissect_any(const struct sk_buff *skb, int offset,
				       __be16 protocol, struct mytun_flow *flow)
{
	struct mytun_flow_keys keys = {};

	__skb_flow_dissect(NULL, skb, &mytun_dissector, &keys, skb->data,
			   protocol, offset, skb_headlen(skb), 0);
	*flow = (struct mytun_flow) { .protocol = keys.basic.ip_proto };
	if (keys.control.addr_type == FLOW_DISSECTOR_KEY_IPV4_ADDRS) {
		flow->a = (__force u32)keys.addrs.v4addrs.src;
		flow->b = (__force u32)keys.addrs.v4addrs.dst;
	} else if (keys.control.addr_type == FLOW_DISSECTOR_KEY_IPV6_ADDRS) {
		flow->a = mytun_fold_address(&keys.addrs.v6addrs.src);
		flow->b = mytun_fold_address(&keys.addrs.v6addrs.dst);
	} else if (eth_proto_is_802_3(keys.basic.n_proto)) {
		flow->a = (__force u16)keys.basic.n_proto;
		flow->b = flow->a;
	}
	/* the dissector takes other things for ports, too */
	if (!mytun_has_ports(flow->protocol))
		return;
	flow->a_port = (__force u16)keys.ports.src;
	flow->b_port = (__force u16)keys.ports.dst;
}

static void mytun_order(struct mytun_flow *flow)
{
	if (flow->a < flow->b ||
	    (flow->a == flow->b && flow->a_port < flow->b_port))
		return;
	swap(flow->a, flow->b);
	swap(flow->a_port, flow->b_port);
}

/* @protocol: of what is @offset bytes behind the skb's data; a tag, too */
static __always_inline u32 mytun_hash_at(const struct sk_buff *skb, int offset,
					 __be16 protocol)
{
	struct mytun_flow flow;

	if (!mytun_dissect_plain(skb, offset, protocol, &flow))
		mytun_dissect_any(skb, offset, protocol, &flow);
	mytun_order(&flow);
	return jhash_3words(flow.a, flow.b,
			    (u32)flow.a_port << 16 | flow.b_port,
			    mytun_hash_seed + flow.protocol);
}

/**
 * mytun_hash - which flow a frame belongs to
 * @skb:  a frame that the process sent, as the stack receives it: its data is the
 *        network header. Under RCU, with the device that it belongs to
 *
 * Return: the same for all frames of a flow, in both directions. Fragments of a
 * flow have one of their own: only the first has ports.
 */
u32 mytun_hash(const struct sk_buff *skb)
{
	return mytun_hash_at(skb, 0, skb->protocol);
}

/**
 * mytun_hash_link - mytun_hash() of a frame that the stack sends
 * @skb: a frame for the process: its data is the link header, if there is one.
 *       A tag may be beside it still, or in it
 * @tap: of a TAP device: there is one
 */
u32 mytun_hash_link(const struct sk_buff *skb, bool tap)
{
	const struct ethhdr *link = (void *)skb->data;

	if (!tap)
		return mytun_hash(skb);
	if (unlikely(skb_headlen(skb) < ETH_HLEN))
		return 0;
	return mytun_hash_at(skb, ETH_HLEN, link->h_proto);
}
