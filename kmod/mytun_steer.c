// SPDX-License-Identifier: GPL-2.0
/*
 * To which queue a frame goes
 *
 * An eBPF program may choose (mytun_filter.c). Else a flow comes back on the
 * queue from which the process last sent a frame of it; and one that it has not
 * sent to goes by its hash.
 *
 * Where flows were sent from stands in one table a device, a word a flow, in sets
 * within a cache line that the hash selects. Nothing ages: a word does no harm until
 * its place or its queue is needed for others. A flow that finds its set full
 * takes a place at random, and the one that was there goes by its hash until the
 * process sends it again.
 */

#include <linux/netdevice.h>
#include <linux/random.h>

#include "mytun.h"

/* Twice as many flows as stock tun remembers, and few sets are full then */
#define MYTUN_FLOW_SETS		1024U
#define MYTUN_FLOWS_PER_SET	8

/*
 * A place is 0, or the flow's hash with the queue's index plus one in the bits
 * that select the set, which all flows of a set have in common. Written by
 * tasklets and writers, read by senders, all without a lock: each word that was
 * ever there is a valid answer, and none is wider than what a CPU writes at once
 */
struct mytun_flow_set {
	u32 places[MYTUN_FLOWS_PER_SET];
} __aligned(MYTUN_FLOWS_PER_SET * sizeof(u32));

struct mytun_flows {
	struct mytun_flow_set sets[MYTUN_FLOW_SETS];
};

static u32 mytun_flow_word(u32 hash, unsigned int index)
{
	BUILD_BUG_ON(MYTUN_QUEUES_MAX >= MYTUN_FLOW_SETS);
	return (hash & ~(MYTUN_FLOW_SETS - 1)) | (index + 1);
}

static u16 mytun_flow_index(u32 word)
{
	return word % MYTUN_FLOW_SETS - 1;
}

/* Both of the same set */
static bool mytun_flow_is(u32 word, u32 hash)
{
	return word && !((word ^ hash) & ~(MYTUN_FLOW_SETS - 1));
}

static struct mytun_flow_set *mytun_flow_set(struct mytun_flows *flows,
					     u32 hash)
{
	return &flows->sets[hash % MYTUN_FLOW_SETS];
}

/* For a device that can have many queues */
struct mytun_flows *mytun_flows_create(void)
{
	ASSERT_RTNL();
	return kvzalloc(sizeof(struct mytun_flows), MYTUN_GFP);
}

/* The device has gone */
void mytun_flows_destroy(struct mytun_flows *flows)
{
	kvfree(flows);
}

static void mytun_flow_set_forget(struct mytun_flow_set *set,
				  unsigned int index)
{
	unsigned int i;

	for (i = 0; i < MYTUN_FLOWS_PER_SET; i++)
		if (READ_ONCE(set->places[i]) % MYTUN_FLOW_SETS == index + 1)
			WRITE_ONCE(set->places[i], 0);
}

/* When the queue remembers none any more: the next has its index */
void mytun_flows_forget(struct mytun_queue *queue)
{
	struct mytun_flows *flows = queue->device->flows;
	unsigned int i;

	ASSERT_RTNL();
	if (!flows)
		return;
	for (i = 0; i < MYTUN_FLOW_SETS; i++)
		mytun_flow_set_forget(&flows->sets[i], queue->index);
}

/* Is anything to be remembered of frames that come by this queue? */
bool mytun_flows_wanted(const struct mytun_queue *queue,
			const struct mytun_device *device)
{
	return READ_ONCE(device->attached) > 1 && !READ_ONCE(queue->parked);
}

/* The flow's place; without @any only if it has one. NULL if there is none */
static u32 *mytun_flow_place(struct mytun_flow_set *set, u32 hash, bool any)
{
	u32 *empty = NULL;
	unsigned int i;

	for (i = 0; i < MYTUN_FLOWS_PER_SET; i++) {
		u32 word = READ_ONCE(set->places[i]);

		if (mytun_flow_is(word, hash))
			return &set->places[i];
		if (!word && !empty)
			empty = &set->places[i];
	}
	if (!any)
		return NULL;
	return empty ?: &set->places[get_random_u32() % MYTUN_FLOWS_PER_SET];
}

/*
 * Of a frame about to be received. A word is written only if it changes, so that
 * CPUs can share its cache line
 */
void mytun_flows_remember(struct mytun_queue *queue,
			  struct mytun_device *device,
			  const struct sk_buff *skb)
{
	u32 hash = mytun_hash(skb);
	u32 word = mytun_flow_word(hash, queue->index);
	u32 *place = mytun_flow_place(mytun_flow_set(device->flows, hash), hash,
				      true);

	if (READ_ONCE(*place) != word)
		WRITE_ONCE(*place, word);
}

/* Under RCU. False if the flow was not sent from a queue that takes frames */
static bool mytun_flows_find(struct mytun_device *device, u32 hash, u16 *index)
{
	u32 *place = mytun_flow_place(mytun_flow_set(device->flows, hash), hash,
				      false);
	const struct mytun_queue *queue;
	u32 word;

	if (!place)
		return false;
	/* it may have become another's meanwhile */
	word = READ_ONCE(*place);
	if (!mytun_flow_is(word, hash))
		return false;
	*index = mytun_flow_index(word);
	queue = rcu_dereference(device->queues[*index]);
	return queue && !READ_ONCE(queue->parked);
}

static u16 mytun_steer_flow(struct mytun_device *device,
			    const struct sk_buff *skb, unsigned int attached)
{
	bool found;
	u16 index;
	u32 hash;

	rcu_read_lock();
	hash = mytun_hash_link(skb, READ_ONCE(device->flags) & IFF_TAP);
	found = mytun_flows_find(device, hash, &index);
	rcu_read_unlock();
	if (found)
		return index;
	return READ_ONCE(device->live[reciprocal_scale(hash, attached)]);
}

/* By a sender. The answer may be a queue that has just left */
u16 mytun_select_queue(struct net_device *dev, struct sk_buff *skb,
		       struct net_device *sb_dev)
{
	struct mytun_device *device = netdev_priv(dev);
	unsigned int attached = READ_ONCE(device->attached);
	unsigned int choice;

	if (attached <= 1)
		return READ_ONCE(device->live[0]);
	if (unlikely(READ_ONCE(device->screened)) &&
	    mytun_filter_steer(device, skb, attached, &choice))
		return READ_ONCE(device->live[choice]);
	return mytun_steer_flow(device, skb, attached);
}
