// SPDX-License-Identifier: GPL-2.0
/*
 * Which frames the process gets, and on which queue
 *
 * A device has none of this until it is asked for: device->screened is all that
 * the data path looks at then. What there is stands in one structure, which is
 * never changed: a new one takes its place, under RCU.
 */

#include <linux/crc32.h>
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <linux/uaccess.h>

#include "mytun.h"

#define MYTUN_EXACT_MAX	8

enum mytun_program {
	MYTUN_PROGRAM_CLASSIC,	/* TUNATTACHFILTER */
	MYTUN_PROGRAM_FILTER,	/* TUNSETFILTEREBPF */
	MYTUN_PROGRAM_STEERING,	/* TUNSETSTEERINGEBPF */
	MYTUN_PROGRAMS
};

/**
 * struct mytun_addresses - destinations that pass (TUNSETTXFILTER)
 * @exact:   entries of @address; 0: all pass
 * @hashed:  a bit for each hash of further multicast addresses
 * @address: addresses of either kind
 */
struct mytun_addresses {
	unsigned int exact;
	u32 hashed[2];
	u8 address[MYTUN_EXACT_MAX][ETH_ALEN];
};

/**
 * struct mytun_filter - what a device screens its frames with
 * @addresses: of frames to the process
 * @programs:  NULL where there is none. The references are the device's, and go
 *             on to what takes this structure's place
 * @ended:     those of them that do not
 * @rcu:       this structure's end
 */
struct mytun_filter {
	struct mytun_addresses addresses;
	struct bpf_prog *programs[MYTUN_PROGRAMS];
	struct bpf_prog *ended[MYTUN_PROGRAMS];
	struct rcu_head rcu;
};

static bool mytun_filter_is_empty(const struct mytun_filter *filter)
{
	return !filter->addresses.exact &&
	       !memchr_inv(filter->programs, 0, sizeof(filter->programs));
}

/* For one to change before it is published */
static struct mytun_filter *mytun_filter_copy(struct mytun_device *device)
{
	struct mytun_filter *old = rtnl_dereference(device->filter);

	ASSERT_RTNL();
	if (!old)
		return kzalloc(sizeof(*old), MYTUN_GFP);
	return kmemdup(old, sizeof(*old), MYTUN_GFP);
}

/* In softirq context. Nobody uses it any more */
static void mytun_filter_free(struct rcu_head *rcu)
{
	struct mytun_filter *filter =
		container_of(rcu, struct mytun_filter, rcu);
	unsigned int i;

	for (i = 0; i < MYTUN_PROGRAMS; i++)
		if (filter->ended[i])
			bpf_prog_destroy(filter->ended[i]);
	kfree(filter);
}

/*
 * Whoever sends sees @filter from now on, or nothing if it is empty. Who has
 * begun before may go on with the one before: nobody waits for that under rtnl.
 * @ended: a bit for each slot whose old program ends
 */
static void mytun_filter_publish(struct mytun_device *device,
				 struct mytun_filter *filter,
				 unsigned int ended)
{
	struct mytun_filter *old = rtnl_dereference(device->filter);
	unsigned int i;

	for (i = 0; old && i < MYTUN_PROGRAMS; i++)
		if (ended & BIT(i))
			old->ended[i] = old->programs[i];
	if (filter && mytun_filter_is_empty(filter)) {
		kfree(filter);
		filter = NULL;
	}
	rcu_assign_pointer(device->filter, filter);
	mytun_filter_screen(device);
	if (old)
		call_rcu(&old->rcu, mytun_filter_free);
}

/* When a filter or the number of parked queues has changed */
void mytun_filter_screen(struct mytun_device *device)
{
	ASSERT_RTNL();
	WRITE_ONCE(device->screened,
		   rcu_access_pointer(device->filter) || device->parked);
}

/* Takes over the reference to @program, also if it fails */
static int mytun_filter_set(struct mytun_device *device,
			    enum mytun_program slot, struct bpf_prog *program)
{
	struct mytun_filter *filter = mytun_filter_copy(device);

	if (!filter) {
		if (program)
			bpf_prog_destroy(program);
		return -ENOMEM;
	}
	filter->programs[slot] = program;
	mytun_filter_publish(device, filter, BIT(slot));
	return 0;
}

static bool mytun_filter_has(const struct mytun_device *device,
			     enum mytun_program slot)
{
	const struct mytun_filter *filter = rtnl_dereference(device->filter);

	return filter && filter->programs[slot];
}

/* The device goes, and has no queue any more that could set another */
void mytun_filter_destroy(struct mytun_device *device)
{
	mytun_filter_publish(device, NULL, GENMASK(MYTUN_PROGRAMS - 1, 0));
}

/* A queue of the device, new or no longer parked */
void mytun_filter_join(struct mytun_queue *queue, bool filtered)
{
	ASSERT_RTNL();
	WRITE_ONCE(queue->filtered,
		   filtered && mytun_filter_has(queue->device,
						MYTUN_PROGRAM_CLASSIC));
}

static void mytun_filter_all(struct mytun_device *device, bool filtered)
{
	unsigned int i;

	ASSERT_RTNL();
	for (i = 0; i < device->dev->num_tx_queues; i++) {
		struct mytun_queue *queue = rtnl_dereference(device->queues[i]);

		/* a parked one is, when it comes back */
		if (queue)
			WRITE_ONCE(queue->filtered, filtered && !queue->parked);
	}
}

static unsigned int mytun_address_hash(const u8 *address)
{
	return ether_crc(ETH_ALEN, address) >> 26;
}

/*
 * Further multicast addresses are hashed, a further unicast address makes all
 * pass: as stock tun, whose answers its programs know
 */
static void mytun_addresses_parse(struct mytun_addresses *to,
				  const struct tun_filter *from,
				  const u8 (*list)[ETH_ALEN])
{
	unsigned int exact = min_t(unsigned int, from->count, MYTUN_EXACT_MAX);
	unsigned int i, hash;

	memset(to, 0, sizeof(*to));
	memcpy(to->address, list, exact * ETH_ALEN);
	for (i = exact; i < from->count; i++) {
		if (!is_multicast_ether_addr(list[i]))
			return;
		hash = mytun_address_hash(list[i]);
		to->hashed[hash / 32] |= BIT(hash % 32);
	}
	if (from->flags & TUN_FLT_ALLMULTI)
		memset(to->hashed, 0xff, sizeof(to->hashed));
	to->exact = exact;
}

/* Attached, and to a TAP device? */
static int __mytun_filter_check(const struct mytun_queue *queue)
{
	ASSERT_RTNL();
	if (!queue->device)
		return -EBADFD;
	return queue->device->flags & IFF_TAP ? 0 : -EINVAL;
}

/* Asked before the argument is looked at, and once more afterwards */
static int mytun_filter_check(const struct mytun_queue *queue)
{
	int err;

	rtnl_lock();
	err = __mytun_filter_check(queue);
	rtnl_unlock();
	return err;
}

static int mytun_addresses_set(struct mytun_queue *queue,
			       const struct mytun_addresses *addresses)
{
	struct mytun_filter *filter;
	int err;

	rtnl_lock();
	err = __mytun_filter_check(queue);
	if (err)
		goto unlock;
	err = -ENOMEM;
	filter = mytun_filter_copy(queue->device);
	if (!filter)
		goto unlock;
	filter->addresses = *addresses;
	mytun_filter_publish(queue->device, filter, 0);
	err = addresses->exact;
unlock:
	rtnl_unlock();
	return err;
}

/* TUNSETTXFILTER. The number of addresses that pass by themselves */
int mytun_filter_set_addresses(struct mytun_queue *queue, void __user *arg)
{
	struct mytun_addresses addresses = {};
	struct tun_filter header;
	u8 (*list)[ETH_ALEN];
	int err;

	err = mytun_filter_check(queue);
	if (err)
		return err;
	if (copy_from_user(&header, arg, sizeof(header)))
		return -EFAULT;
	if (header.count) {
		list = memdup_user(arg + sizeof(header),
				   header.count * ETH_ALEN);
		if (IS_ERR(list))
			return PTR_ERR(list);
		mytun_addresses_parse(&addresses, &header, list);
		kfree(list);
	}
	return mytun_addresses_set(queue, &addresses);
}

static int mytun_filter_install(struct mytun_queue *queue,
				const struct sock_fprog *source,
				struct bpf_prog *program)
{
	struct mytun_device *device;
	int err;

	rtnl_lock();
	err = __mytun_filter_check(queue);
	if (err) {
		bpf_prog_destroy(program);
		goto unlock;
	}
	device = queue->device;
	err = mytun_filter_set(device, MYTUN_PROGRAM_CLASSIC, program);
	if (err)
		goto unlock;
	mytun_filter_all(device, true);
	device->fprog = *source;
unlock:
	rtnl_unlock();
	return err;
}

/* TUNATTACHFILTER */
int mytun_filter_attach(struct mytun_queue *queue, void __user *arg)
{
	struct bpf_prog *program;
	struct sock_fprog source;
	int err;

	err = mytun_filter_check(queue);
	if (err)
		return err;
	if (copy_from_user(&source, arg, sizeof(source)))
		return -EFAULT;
	err = bpf_prog_create_from_user(&program, &source, NULL, false);
	if (err)
		return err;
	return mytun_filter_install(queue, &source, program);
}

/* TUNDETACHFILTER */
int mytun_filter_detach(struct mytun_device *device)
{
	int err = 0;

	ASSERT_RTNL();
	if (!(device->flags & IFF_TAP))
		return -EINVAL;
	if (mytun_filter_has(device, MYTUN_PROGRAM_CLASSIC))
		err = mytun_filter_set(device, MYTUN_PROGRAM_CLASSIC, NULL);
	if (!err)
		mytun_filter_all(device, false);
	return err;
}

/* TUNGETFILTER: length and address that the last TUNATTACHFILTER had */
int mytun_filter_get(struct mytun_queue *queue, void __user *arg)
{
	struct sock_fprog source = {};
	int err;

	err = mytun_filter_check(queue);
	if (err)
		return err;
	rtnl_lock();
	if (queue->device)
		source = queue->device->fprog;
	rtnl_unlock();
	return copy_to_user(arg, &source, sizeof(source)) ? -EFAULT : 0;
}

/* @fd is an eBPF program's, or -1 for none */
int mytun_filter_set_ebpf(struct mytun_device *device, unsigned int command,
			  int fd)
{
	enum mytun_program slot = command == TUNSETSTEERINGEBPF ?
				  MYTUN_PROGRAM_STEERING : MYTUN_PROGRAM_FILTER;
	struct bpf_prog *program = NULL;

	ASSERT_RTNL();
	if (fd != -1) {
		program = bpf_prog_get_type(fd, BPF_PROG_TYPE_SOCKET_FILTER);
		if (IS_ERR(program))
			return PTR_ERR(program);
	} else if (!mytun_filter_has(device, slot)) {
		return 0;
	}
	return mytun_filter_set(device, slot, program);
}

static bool mytun_addresses_pass(const struct mytun_addresses *addresses,
				 const struct sk_buff *skb)
{
	u8 buffer[ETH_ALEN] __aligned(2);
	unsigned int i, hash;
	const u8 *to;

	if (!addresses->exact)
		return true;
	to = skb_header_pointer(skb, 0, ETH_ALEN, buffer);
	if (!to)
		return false;
	for (i = 0; i < addresses->exact; i++)
		if (!memcmp(to, addresses->address[i], ETH_ALEN))
			return true;
	if (!is_multicast_ether_addr(to))
		return false;
	hash = mytun_address_hash(to);
	return addresses->hashed[hash / 32] & BIT(hash % 32);
}

/* Cut what the program wants cut. A checksum to fill in must stay inside */
static int mytun_filter_trim(struct sk_buff *skb, unsigned int length)
{
	int err = pskb_trim(skb, length);

	if (err || skb->ip_summed != CHECKSUM_PARTIAL)
		return err;
	return skb_checksum_start_offset(skb) + skb->csum_offset +
	       sizeof(__sum16) <= skb->len ? 0 : -EINVAL;
}

/* True if the frame passes, or what the program leaves of it */
static bool mytun_filter_run(const struct mytun_filter *filter,
			     enum mytun_program slot, struct sk_buff *skb)
{
	struct bpf_prog *program = filter->programs[slot];
	unsigned int length;

	if (!program)
		return true;
	length = bpf_prog_run_clear_cb(program, skb);
	return length && !mytun_filter_trim(skb, length);
}

/* By a sender, of a screened device, under RCU */
enum skb_drop_reason mytun_filter_pass(struct mytun_queue *queue,
				       struct sk_buff *skb)
{
	const struct mytun_filter *filter;

	if (READ_ONCE(queue->parked))
		return SKB_DROP_REASON_DEV_READY;
	filter = rcu_dereference(queue->device->filter);
	if (!filter)
		return SKB_NOT_DROPPED_YET;
	if (!mytun_addresses_pass(&filter->addresses, skb))
		return SKB_DROP_REASON_TAP_TXFILTER;
	if (READ_ONCE(queue->filtered) &&
	    !mytun_filter_run(filter, MYTUN_PROGRAM_CLASSIC, skb))
		return SKB_DROP_REASON_SOCKET_FILTER;
	if (!mytun_filter_run(filter, MYTUN_PROGRAM_FILTER, skb))
		return SKB_DROP_REASON_TAP_FILTER;
	return SKB_NOT_DROPPED_YET;
}

/* By a sender, of a screened device. False if no program chooses the queue */
bool mytun_filter_steer(struct mytun_device *device, struct sk_buff *skb,
			unsigned int queues, unsigned int *choice)
{
	const struct mytun_filter *filter;
	struct bpf_prog *program;

	rcu_read_lock();
	filter = rcu_dereference(device->filter);
	program = filter ? filter->programs[MYTUN_PROGRAM_STEERING] : NULL;
	if (program)
		*choice = (u16)bpf_prog_run_clear_cb(program, skb) % queues;
	rcu_read_unlock();
	return program;
}
