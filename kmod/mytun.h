/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module's files share
 *
 * The way of a frame: what the stack sends comes to mytun_xmit.c, and is copied
 * into the rx ring in mytun_rx.c, as a rule by its sender; what finds no room
 * waits (mytun_waiting.c), and is mytun_kthread.c's to move. What the
 * process put into the tx ring is noticed by mytun_kthread.c, or announced to
 * mytun_doorbell.c; mytun_tasklet.c gives it to the stack. A direction without
 * a ring goes through mytun_read.c or mytun_write.c, called by the process. An
 * XDP program meets the frames of the process in mytun_xdp.c, and what such
 * programs send to the device comes to mytun_xdp_xmit.c.
 *
 * Locks, outermost first: rtnl, queue->config, rx_lock, sk_receive_queue.lock;
 * state_lock is taken alone. Nothing waits (for RCU, a thread, memory that is
 * long in coming, a process) under rtnl or queue->config but the end of a queue,
 * which waits for one grace period, and an attach that comes right after one.
 * mmap_lock may be held when mmap() comes in, so nothing touches user memory
 * under queue->config.
 */
#ifndef _MYTUN_H
#define _MYTUN_H

#include <linux/atomic.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/if_tun.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/wait.h>
#include <net/flow_dissector.h>
#include <net/sock.h>
#include <net/xdp.h>

#include "compat.h"
#include "mytun_ring.h"

struct attribute_group;
struct bpf_prog;
struct eventfd_ctx;
struct fasync_struct;
struct iov_iter;
struct kiocb;
struct mytun_filter;
struct mytun_flows;
struct seq_file;
struct task_struct;

#define MYTUN_QUEUES_MAX	256

/* A limit that is reached is ENOMEM for the caller, not a case for the OOM killer */
#define MYTUN_GFP	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/*
 * Of a super-packet the stack may make thousands, whatever its bytes: no more
 * frames go to it in one run when those that went are so many. More than the
 * bytes of a run are, in segments of a usual size
 */
#define MYTUN_SEGMENTS_PER_RUN	512U

/* Flags of TUNSETIFF that a device keeps; TUN_EXCL acts once */
#define MYTUN_DEVICE_FLAGS	(IFF_TUN | IFF_TAP | IFF_NO_PI | \
				 IFF_MULTI_QUEUE | IFF_VNET_HDR | \
				 IFF_ONE_QUEUE | IFF_NAPI | IFF_BACKPRESSURE)

/* What a process can ask for with TUNSETOFFLOAD */
#define MYTUN_OFFLOADS	(NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_TSO6 | \
			 NETIF_F_TSO_ECN | NETIF_F_GSO_UDP_L4 | \
			 NETIF_F_GSO_UDP_TUNNEL | NETIF_F_GSO_UDP_TUNNEL_CSUM)

/* A virtio_net_hdr of read and write that is so large tells of tunnels */
#define MYTUN_VNET_TUNNEL_SIZE	sizeof(struct virtio_net_hdr_v1_hash_tunnel)

/* One counter for each field of struct mytun_stats, in its order */
enum mytun_counter {
	MYTUN_RX_FRAMES,
	MYTUN_RX_BYTES,
	MYTUN_RX_RING_FULL,
	MYTUN_RX_DROPPED,
	MYTUN_RX_DOORBELLS,
	MYTUN_RX_DOORBELLS_SUPPRESSED,
	MYTUN_TX_FRAMES,
	MYTUN_TX_BYTES,
	MYTUN_TX_REFUSED_LENGTH,
	MYTUN_TX_REFUSED_FLAGS,
	MYTUN_TX_REFUSED_VNET,
	MYTUN_TX_REFUSED_PROTOCOL,
	MYTUN_TX_DROPPED_DOWN,
	MYTUN_TX_DROPPED_MEMORY,
	MYTUN_TX_DOORBELLS,
	MYTUN_TX_SPACE_SIGNALS,
	MYTUN_TX_SPACE_SUPPRESSED,
	MYTUN_KTHREAD_SLEEPS,
	MYTUN_RX_DIRECT,
	MYTUN_RX_QUEUE_STOPS,
	MYTUN_TX_XDP,
	MYTUN_COUNTERS
};

/**
 * struct mytun_area - pages that the process maps and the kernel maps too
 * @pages:   the pages; for a ring's data the whole list stands twice
 * @mapped:  entries of @pages
 * @owned:   entries that were allocated: the first half for a ring's data
 * @address: the kernel's mapping of all of @pages
 */
struct mytun_area {
	struct page **pages;
	unsigned int mapped;
	unsigned int owned;
	void *address;
};

/* 256 KiB, or where pages are large as many as can take turns */
#define MYTUN_POOL_PAGES	(PAGE_SIZE > 0x8000 ? 8U : 0x40000U / PAGE_SIZE)

/**
 * struct mytun_pool_page - a page that frames are cut from
 * @page:  the page
 * @spare: references to it that no piece has
 */
struct mytun_pool_page {
	struct page *page;
	unsigned int spare;
};

/**
 * struct mytun_pool - memory for the frames of a tx ring; the tasklet's alone
 * @pages:        they take turns
 * @current_page: which one frames are cut from
 * @used:         bytes of it that were cut off
 */
struct mytun_pool {
	struct mytun_pool_page pages[MYTUN_POOL_PAGES];
	unsigned int current_page;
	unsigned int used;
};

/**
 * struct mytun_rings - the memory of a queue's two rings
 * @pool: of a tx ring
 *
 * Created by MYTUN_IOC_SET_RINGS, never changed, but for @pool; freed with the
 * queue's file. A mapping keeps the file open, so the pages outlive all mappings.
 */
struct mytun_rings {
	struct mytun_area kernel_page;
	struct mytun_area user_page;
	struct mytun_area rx_data;
	struct mytun_area tx_data;
	u32 rx_size;
	u32 tx_size;
	u32 rx_headroom;
	u32 rx_tailroom;
	struct mytun_pool *pool;
};

/**
 * struct mytun_coalesce - when to look, and when to tell (ethtool -C)
 * @poll_us:     how long the kthread looks on after the last frame
 * @hold_us:     how long a doorbell may be held in a stream
 * @hold_frames: how many frames may be held with it
 */
struct mytun_coalesce {
	u32 poll_us;
	u32 hold_us;
	u32 hold_frames;
};

/**
 * struct mytun_device - private part of a net device
 * @dev:       the net device
 * @flags:     IFF_* of linux/if_tun.h; written under rtnl
 * @owner:     who may attach without CAP_NET_ADMIN; written under rtnl
 * @group:     the same for a group
 * @offloads:  NETIF_F_* that the process takes in rx frames; under rtnl
 * @vnet_size: bytes of the virtio_net_hdr of read and write; under rtnl
 * @vnet_le:   that header is little endian, as in rings; under rtnl
 * @vnet_be:   it is big endian, unless @vnet_le; under rtnl
 * @coalesce:  what a queue begins with; under rtnl
 * @headroom:  bytes that the stack wants in front of frames; under rtnl
 * @rx_by_thread: senders leave their frames to the kthread (ethtool
 *             --set-priv-flags); written under rtnl
 * @link_settings: what ethtool set for those who ask for a speed; under rtnl
 * @fprog:     argument of the last TUNATTACHFILTER; under rtnl
 * @security:  the security module's blob
 * @rx_errors: tx ring frames that were refused
 * @parked:    number of queues that get no frames (TUNSETQUEUE); under rtnl
 * @filter:    which frames the process gets; written under rtnl, read under RCU
 * @screened:  some queue is parked or there is a @filter; written under rtnl
 * @flows:     from which queue the process sent what; NULL without
 *             IFF_MULTI_QUEUE, written with the device alone
 * @xdp_program: meets what comes from the process; a reference. Written under
 *             rtnl, read under RCU, bottom halves off. TAP devices only
 * @attached:  number of the other queues; under rtnl
 * @queues:    by transmit queue index, NULL where there is none; written under
 *             rtnl, read under RCU. A queue keeps its index all its life
 * @live:      the indices of those that are not parked, for flow steering;
 *             written under rtnl
 */
struct mytun_device {
	struct net_device *dev;
	unsigned int flags;
	kuid_t owner;
	kgid_t group;
	netdev_features_t offloads;
	int vnet_size;
	bool vnet_le;
	bool vnet_be;
	struct mytun_coalesce coalesce;
	unsigned int headroom;
	bool rx_by_thread;
	struct ethtool_link_ksettings link_settings;
	struct sock_fprog fprog;
	void *security;
	atomic64_t rx_errors;
	unsigned int parked;
	struct mytun_filter __rcu *filter;
	bool screened;
	struct mytun_flows *flows;
	struct bpf_prog __rcu *xdp_program;
	unsigned int attached;
	struct mytun_queue __rcu *queues[MYTUN_QUEUES_MAX];
	u16 live[MYTUN_QUEUES_MAX];
};

/**
 * struct mytun_xdp_run - frames that the device's XDP program meets together
 * @program: the device's as the run began, or NULL if it had none
 * @flush:   some frame was redirected, and may still wait
 */
struct mytun_xdp_run {
	struct bpf_prog *program;
	bool flush;
};

/**
 * struct mytun_queue - an open file of /dev/net/mytun
 *
 * Owned by the file and freed with it (sock_put() in release). The device
 * refers to it from attach to detach.
 */
struct mytun_queue {
	struct sock sk;			/* first: sk_alloc() makes the whole */

	/* Configuration: written under @config, and rtnl for @device, @index */
	struct mutex config;
	struct mytun_device *device;	/* NULL: not attached */
	unsigned int index;
	struct list_head leaving;	/* under rtnl: queues that end together */
	struct mytun_rings *rings;	/* set once; mytun_queue_rings() */
	int ifindex;			/* of a device to be made, or 0 */

	/* Written under rtnl, read by senders */
	bool parked;			/* gets no frames: TUNSETQUEUE */
	bool filtered;			/* TUNATTACHFILTER is for it too */

	/* The device's: written under rtnl, read by the tasklet and write() */
	unsigned int headroom;

	/* IFF_NAPI: written under rtnl, read by write() */
	bool write_gro;

	/*
	 * Detach has begun: under @config. Who works for the queue, the kthread
	 * and the tasklet, looks first, bottom halves off. RCU ends before the
	 * device goes
	 */
	bool stopping;
	unsigned long left;		/* RCU's state at detach */

	/*
	 * read, write and poll: the device from attach until shortly before
	 * detach; written under rtnl, and RCU ends before detach goes on
	 */
	struct mytun_device __rcu *io_device;
	struct fasync_struct *fasync;
	unsigned long write_stalled;	/* bit 0: somebody waits to write */
	u32 batch;			/* MYTUN_BATCH_*; under config */

	/* Set by ioctl or ethtool, read by the kthread, senders and the timer */
	struct mytun_coalesce coalesce;

	/* Doorbells: written under @config, signalled under RCU */
	struct eventfd_ctx __rcu *rx_doorbell;
	struct eventfd_ctx __rcu *tx_space;
	struct eventfd_ctx *tx_doorbell;
	wait_queue_entry_t tx_doorbell_entry;
	poll_table tx_doorbell_table;
	wait_queue_head_t *tx_doorbell_head;
	struct irq_work tx_work;

	/* Why the queue carries no frames: MYTUN_STATE_*, under @state_lock */
	spinlock_t state_lock;
	u32 state;

	/*
	 * For who waits in poll(), read() or MYTUN_IOC_WAIT: set by them, each
	 * for what it waits for, cleared by who wakes them
	 */
	wait_queue_head_t poll_wait;
	bool poll_frames;
	bool poll_room;

	/*
	 * Cache lines from here on: one CPU may send frames to the rx ring while
	 * another takes some out of the tx ring
	 */

	/* rx ring: of who holds @rx_lock: the kthread, a sender, the timer */
	spinlock_t rx_lock ____cacheline_aligned_in_smp;
	struct mytun_ring rx;
	bool rx_hashed;			/* MYTUN_RINGS_HASH: with the rings */
	bool rx_stalled;		/* ended by the kthread without it */
	bool rx_held;			/* the timer will ring the doorbell */
	u16 rx_headroom;		/* with the rings, as the next one */
	u16 rx_room;			/* headroom and tailroom */
	u64 rx_rung_ns;
	u32 rx_held_since;		/* RX_FRAMES as it began */
	u32 rx_window_ns;		/* in a stream: how long to hold, or 0 */
	unsigned int rx_soon;		/* doorbells soon after another */
	unsigned int rx_soon_max;	/* after so many, one is held to try */
	struct hrtimer rx_timer;

	/*
	 * @rx_lock's too; from the list under its lock, too. Both sides look at
	 * it more often than it changes
	 */
	struct sk_buff_head backlog ____cacheline_aligned_in_smp;

	/*
	 * kthread and stack: written under sk_receive_queue.lock. Awake, the
	 * kthread clears @asleep without it: who saw it set wakes in vain
	 */
	bool asleep;
	bool rx_stopped;

	/* kthread: all its own, but the tasklet reads @tx_watched, sets @tx_more */
	struct task_struct *kthread;	/* from the rings until release */
	bool tx_watched ____cacheline_aligned_in_smp;
	bool tx_more;			/* a run has left frames */
	u32 tx_seen;
	u64 poll_window_ns;

	/* tasklet: all its own, but the doorbell reads @tx_empty_ns */
	struct tasklet_struct tasklet;
	atomic_t tx_calls;		/* MYTUN_TX_*: of who calls for it, too */
	u64 tx_empty_ns;		/* when it last found the ring empty */
	struct mytun_ring tx;
	struct mytun_pool *tx_pool;
	struct mytun_xdp_run xdp;
	struct napi_struct napi;
	struct mytun_bpf_context bpf_context;

	/* What XDP programs know of the queue: written under rtnl */
	struct xdp_rxq_info xdp_rxq;

	/* mytun_counter() */
	atomic64_t counters[MYTUN_COUNTERS] ____cacheline_aligned_in_smp;
};

/*
 * The rings, or NULL before MYTUN_IOC_SET_RINGS. Needs no lock: once there,
 * they stay for as long as the file is open.
 */
static inline struct mytun_rings *
mytun_queue_rings(const struct mytun_queue *queue)
{
	/* pairs with the release in mytun_queue_install() */
	return smp_load_acquire(&queue->rings);
}

/* Once there it stays, too. A direction has a ring, or read or write has it */
static inline bool mytun_has_rx_ring(const struct mytun_queue *queue)
{
	return mytun_queue_rings(queue) && queue->rx.size;
}

static inline bool mytun_has_tx_ring(const struct mytun_queue *queue)
{
	return mytun_queue_rings(queue) && queue->tx.size;
}

/**
 * struct mytun_format - how read and write lay frames out
 * @flags:         the device's IFF_*
 * @vnet_size:     bytes of virtio_net_hdr, 0 without IFF_VNET_HDR
 * @little_endian: the order of its fields
 */
struct mytun_format {
	unsigned int flags;
	unsigned int vnet_size;
	bool little_endian;
};

static inline bool mytun_vnet_is_tunnel(const struct virtio_net_hdr_v1 *vnet)
{
	return vnet->gso_type & VIRTIO_NET_HDR_GSO_UDP_TUNNEL;
}

/* Is a checksum that is to be filled in still inside of the frame? */
static inline bool mytun_vnet_fits(const struct sk_buff *skb)
{
	int start;

	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return true;
	start = skb_checksum_start_offset(skb);
	return start >= 0 && start + skb->csum_offset + sizeof(__sum16) <=
			     skb_headlen(skb);
}

/* Is a super-packet of @type, of what is in it, what was found there? */
static inline bool mytun_vnet_is_protocol(const struct flow_keys_basic *keys,
					  unsigned int type)
{
	if (type & SKB_GSO_TCPV4)
		return keys->basic.n_proto == htons(ETH_P_IP) &&
		       keys->basic.ip_proto == IPPROTO_TCP;
	if (type & SKB_GSO_TCPV6)
		return keys->basic.n_proto == htons(ETH_P_IPV6) &&
		       keys->basic.ip_proto == IPPROTO_TCP;
	return type & SKB_GSO_UDP_L4 && keys->basic.ip_proto == IPPROTO_UDP;
}

static inline bool mytun_list_is_empty(const struct sk_buff_head *list)
{
	/* without its lock, while others splice it, which writes plainly */
	return data_race(skb_queue_empty_lockless(list));
}

/* Without a lock: may be wrong, but not for who looks again after a barrier */
static inline bool mytun_waiting_any(const struct mytun_queue *queue)
{
	return !mytun_list_is_empty(&queue->sk.sk_receive_queue) ||
	       !mytun_list_is_empty(&queue->backlog);
}

/* Bytes that a frame takes where many are read or written with one call */
static inline size_t mytun_batch_footprint(u32 length)
{
	return ALIGN(sizeof(struct mytun_frame) + length, MYTUN_BATCH_ALIGN);
}

static inline bool mytun_is_nonblocking(const struct kiocb *iocb)
{
	return iocb->ki_filp->f_flags & O_NONBLOCK ||
	       iocb->ki_flags & IOCB_NOWAIT;
}

/*
 * Where a counter is. In the uapi's order, those of rx that came late are among those
 * of tx; here all of rx have a cache line, and those of tx are two places further on.
 */
static inline atomic64_t *mytun_counter(struct mytun_queue *queue,
					enum mytun_counter counter)
{
	switch (counter) {
	case MYTUN_RX_DIRECT:
		return &queue->counters[MYTUN_TX_FRAMES];
	case MYTUN_RX_QUEUE_STOPS:
		return &queue->counters[MYTUN_TX_FRAMES + 1];
	case MYTUN_TX_FRAMES ... MYTUN_KTHREAD_SLEEPS:
		return &queue->counters[counter + 2];
	default:
		return &queue->counters[counter];
	}
}

static inline u64 mytun_counted(struct mytun_queue *queue,
				enum mytun_counter counter)
{
	return atomic64_read(mytun_counter(queue, counter));
}

/* For counters that have one writer: no locked instruction */
static inline void mytun_count(struct mytun_queue *queue,
			       enum mytun_counter counter, u64 n)
{
	atomic64_t *c = mytun_counter(queue, counter);

	atomic64_set(c, atomic64_read(c) + n);
}

/* Bottom halves are off from here to mytun_xdp_end(): the program stays */
static inline void mytun_xdp_begin(struct mytun_xdp_run *run,
				   struct mytun_bpf_context *context,
				   const struct mytun_device *device)
{
	run->program = rcu_dereference_bh(device->xdp_program);
	run->flush = false;
	if (unlikely(run->program))
		mytun_bpf_context_set(context);
}

static inline void mytun_xdp_end(const struct mytun_xdp_run *run,
				 struct mytun_bpf_context *context)
{
	if (likely(!run->program))
		return;
	if (run->flush)
		xdp_do_flush();
	mytun_bpf_context_clear(context);
}

/* mytun_chardev.c: open, mmap, poll, release */
extern const struct file_operations mytun_file_operations;

/* mytun_ioctl.c: one function a command */
long mytun_ioctl(struct file *file, unsigned int command, unsigned long arg);

/* mytun_xmit.c: what the stack sends */
netdev_tx_t mytun_xmit(struct sk_buff *skb, struct net_device *dev);

/* mytun_netdev.c: the net device and its creation */
void mytun_netdev_setup(struct net_device *dev);
int mytun_netdev_create(struct mytun_queue *queue, const char *name,
			unsigned int flags, struct net_device **created);
struct mytun_device *mytun_netdev_find(struct net *net, const char *name);
int mytun_netdev_set_offloads(struct mytun_device *device, unsigned long arg);
void mytun_netdev_set_backpressure(struct mytun_device *device, bool on);

/* mytun_netlink.c: ip link */
extern struct rtnl_link_ops mytun_link_ops;

/* mytun_sysfs.c */
extern const struct attribute_group mytun_attribute_group;

/* mytun_link.c: commands that are about the net device */
int mytun_link_set_type(struct net_device *dev, unsigned short type);
int mytun_link_change_carrier(struct net_device *dev, bool on);
size_t mytun_ifreq_size(void);
int mytun_link_address(struct mytun_queue *queue, unsigned int command,
		       void __user *arg);
int mytun_link_own_namespace(struct mytun_queue *queue);
int mytun_link_device_namespace(struct mytun_queue *queue);

/* mytun_filter.c: which frames the process gets, and on which queue */
void mytun_filter_screen(struct mytun_device *device);
void mytun_filter_destroy(struct mytun_device *device);
void mytun_filter_join(struct mytun_queue *queue, bool filtered);
int mytun_filter_set_addresses(struct mytun_queue *queue, void __user *arg);
int mytun_filter_attach(struct mytun_queue *queue, void __user *arg);
int mytun_filter_detach(struct mytun_device *device);
int mytun_filter_get(struct mytun_queue *queue, void __user *arg);
int mytun_filter_set_ebpf(struct mytun_device *device, unsigned int command,
			  int fd);
enum skb_drop_reason mytun_filter_pass(struct mytun_queue *queue,
				       struct sk_buff *skb);
bool mytun_filter_steer(struct mytun_device *device, struct sk_buff *skb,
			unsigned int queues, unsigned int *choice);

/* mytun_steer.c: to which queue a frame goes */
u16 mytun_select_queue(struct net_device *dev, struct sk_buff *skb,
		       struct net_device *sb_dev);
struct mytun_flows *mytun_flows_create(void);
void mytun_flows_destroy(struct mytun_flows *flows);
void mytun_flows_forget(struct mytun_queue *queue);
bool mytun_flows_wanted(const struct mytun_queue *queue,
			const struct mytun_device *device);
void mytun_flows_remember(struct mytun_queue *queue,
			  struct mytun_device *device,
			  const struct sk_buff *skb);

/* mytun_hash.c: which flow a frame belongs to */
void mytun_hash_setup(void);
u32 mytun_hash(const struct sk_buff *skb);
u32 mytun_hash_link(const struct sk_buff *skb, bool tap);

/* mytun_ethtool.c */
extern const struct mytun_coalesce mytun_default_coalesce;
extern const struct ethtool_ops mytun_ethtool_ops;
extern const char *const mytun_counter_names[MYTUN_COUNTERS];

/* mytun_queue.c: life of a queue, from attach to detach */
struct mytun_queue *mytun_queue_create(struct net *net);
void mytun_queue_destroy(struct mytun_queue *queue);
int mytun_queue_attach(struct mytun_queue *queue, struct mytun_device *device,
		       bool filtered);
void mytun_queue_detach(struct mytun_queue *queue);
void mytun_queue_detach_all(struct mytun_device *device);
void mytun_queue_leave(struct mytun_queue *queue);
int mytun_queue_park(struct mytun_queue *queue);
int mytun_queue_unpark(struct mytun_queue *queue);
int mytun_queue_set_rings(struct mytun_queue *queue,
			  const struct mytun_ring_config *config);

/* mytun_memory.c: the pages of the rings */
struct mytun_rings *mytun_rings_create(const struct mytun_ring_config *config);
void mytun_rings_destroy(struct mytun_rings *rings);
void mytun_rings_describe(const struct mytun_rings *rings,
			  struct mytun_info *info);
void mytun_rings_connect(const struct mytun_rings *rings,
			 struct mytun_queue *queue);
void mytun_rings_post_state(const struct mytun_rings *rings, u32 state);
int mytun_rings_mmap(const struct mytun_rings *rings,
		     struct vm_area_struct *vma);
u32 mytun_rings_waiting(const struct mytun_rings *rings);
u32 mytun_rings_sent(const struct mytun_rings *rings);
__poll_t mytun_rings_poll(const struct mytun_rings *rings);

/* mytun_pool.c: memory for the frames of the tx ring */
int mytun_pool_fill(struct mytun_pool *pool);
void mytun_pool_empty(struct mytun_pool *pool);
struct sk_buff *mytun_pool_alloc(struct mytun_pool *pool, unsigned int headroom,
				 unsigned int length);

/* mytun_doorbell.c: eventfds, in both directions */
int mytun_doorbell_set(struct mytun_queue *queue,
		       const struct mytun_eventfds *fds);
void mytun_doorbell_unhook(struct mytun_queue *queue);
void mytun_doorbell_put(struct mytun_queue *queue);
void mytun_doorbell_ring(struct eventfd_ctx __rcu **eventfd);

/* mytun_wake.c: who waits in poll(), read() or write() */
void mytun_wake_frames(struct mytun_queue *queue);
void mytun_wake_room(struct mytun_queue *queue);
void mytun_wake_reader(struct mytun_queue *queue);
void mytun_wake_writer(struct mytun_queue *queue);

/* mytun_state.c: why a queue carries no frames */
void mytun_state_set(struct mytun_queue *queue, u32 state);

/* mytun_waiting.c: frames that are in no ring */
bool mytun_waiting_add(struct mytun_queue *queue, struct sk_buff *skb);
struct sk_buff *mytun_waiting_dequeue(struct mytun_queue *queue, size_t room);
bool mytun_waiting_left_behind(const struct mytun_queue *queue);
void mytun_waiting_offer_room(struct mytun_queue *queue);
void mytun_waiting_let_senders(struct mytun_queue *queue);
void mytun_waiting_wake_kthread(struct mytun_queue *queue);
void mytun_waiting_purge(struct mytun_queue *queue);

/* mytun_rx.c: kernel to process */
void mytun_rx_setup(struct mytun_queue *queue);
bool mytun_rx_enqueue(struct mytun_queue *queue, struct sk_buff *skb);
int mytun_rx_finish(unsigned int flags, struct sk_buff *skb,
		    struct mytun_frame *header);
int mytun_rx_describe(unsigned int flags, struct sk_buff *skb,
		      struct mytun_frame *header);
bool mytun_rx_drain(struct mytun_queue *queue);
bool mytun_rx_may_sleep(struct mytun_queue *queue);

/* mytun_read.c: kernel to process, without a ring */
ssize_t mytun_read_iter(struct kiocb *iocb, struct iov_iter *to);
int mytun_read_wait_ring(struct mytun_queue *queue, bool nonblock);

/* mytun_write.c: process to kernel, without a ring */
ssize_t mytun_write_iter(struct kiocb *iocb, struct iov_iter *from);
int mytun_write_flush(struct mytun_queue *queue);
bool mytun_write_is_possible(struct mytun_queue *queue);
void mytun_write_space(struct sock *sk);

/* mytun_moderate.c: when the process is told of frames */
void mytun_moderate_setup(struct mytun_queue *queue);
void mytun_moderate_expire(struct mytun_queue *queue);
void mytun_moderate_stop(struct mytun_queue *queue);
void mytun_moderate(struct mytun_queue *queue, bool wanted, u32 first);

/* mytun_kthread.c: both directions, while there is traffic */
struct task_struct *mytun_kthread_create(struct mytun_queue *queue);
void mytun_kthread_end(struct task_struct *kthread);
void mytun_kthread_start(struct mytun_queue *queue,
			 struct task_struct *kthread);
void mytun_kthread_dismiss(struct mytun_queue *queue);
void mytun_kthread_stop(struct mytun_queue *queue);

/* mytun_frame.c: from a header and bytes of the process to an skb */
struct sk_buff *mytun_frame_receive(struct mytun_queue *queue,
				    struct mytun_xdp_run *run,
				    const struct mytun_frame *header,
				    const void *payload);
struct sk_buff *mytun_frame_from_iter(struct mytun_queue *queue, u32 length,
				      struct iov_iter *from);
struct sk_buff *mytun_frame_accept(struct mytun_queue *queue,
				   struct mytun_device *device,
				   struct mytun_xdp_run *run,
				   const struct mytun_frame *header,
				   struct sk_buff *skb);
__be16 mytun_frame_written_protocol(struct mytun_queue *queue,
				    struct mytun_device *device,
				    struct sk_buff *skb);
bool mytun_frame_finish(struct mytun_queue *queue, struct mytun_device *device,
			struct sk_buff *skb, const struct mytun_frame *header,
			__be16 protocol);
void mytun_frame_drop_down(struct mytun_queue *queue,
			   struct mytun_device *device, struct sk_buff *skb);
struct sk_buff *mytun_frame_finish_xdp(struct mytun_queue *queue,
				       struct mytun_device *device,
				       struct mytun_xdp_run *run,
				       struct sk_buff *skb,
				       const struct mytun_frame *header);

/* mytun_xdp.c: a program meets frames of the process */
int mytun_xdp_start(struct mytun_queue *queue);
void mytun_xdp_stop(struct mytun_queue *queue);
int mytun_xdp_bpf(struct net_device *dev, struct netdev_bpf *bpf);
bool mytun_xdp_has_room(u32 length);
bool mytun_xdp_is_expected(struct mytun_queue *queue);
struct sk_buff *mytun_xdp_alloc(u32 length);
bool mytun_xdp_is_native(const struct sk_buff *skb,
			 const struct mytun_frame *header);
struct sk_buff *mytun_xdp_native(struct mytun_queue *queue,
				 struct net_device *dev,
				 struct mytun_xdp_run *run,
				 struct sk_buff *skb);
struct sk_buff *mytun_xdp_generic(struct mytun_queue *queue,
				  struct net_device *dev,
				  struct mytun_xdp_run *run,
				  struct sk_buff *skb);

/* mytun_xdp_xmit.c: frames of programs, to the process */
int mytun_xdp_xmit(struct net_device *dev, int n, struct xdp_frame **frames,
		   u32 flags);

/* mytun_vnet.c: checksum and segmentation metadata */
u32 mytun_vnet_segments(const struct mytun_frame *header);
void mytun_format_of(const struct mytun_device *device,
		     struct mytun_format *format);
bool mytun_format_get(struct mytun_queue *queue, struct mytun_format *format);
void mytun_vnet_convert(const struct mytun_format *format,
			struct virtio_net_hdr_v1 *vnet);
u32 mytun_vnet_headers(const struct virtio_net_hdr_v1 *vnet);
bool mytun_vnet_is_done(const struct virtio_net_hdr_v1 *vnet);
bool mytun_vnet_valid(const struct mytun_device *device,
		      const struct mytun_frame *header);
int mytun_vnet_apply(struct sk_buff *skb, const struct mytun_frame *header);
bool mytun_vnet_matches(const struct sk_buff *skb);
int mytun_vnet_describe(const struct sk_buff *skb, struct mytun_frame *header);

/* mytun_tunnel.c: super-packets within UDP tunnels */
bool mytun_tunnel_is_super(const struct sk_buff *skb);
bool mytun_tunnel_matches(const struct sk_buff *skb);
int mytun_tunnel_apply(struct sk_buff *skb, const struct mytun_frame *header);
int mytun_tunnel_describe(const struct sk_buff *skb,
			  struct mytun_frame *header);

/* mytun_deliver.c: from skbs to the stack */
void mytun_deliver_start(struct mytun_queue *queue);
void mytun_deliver_stop(struct mytun_queue *queue);
void mytun_deliver(struct mytun_queue *queue, struct mytun_device *device,
		   struct sk_buff_head *skbs, bool *gro);
void mytun_deliver_end(struct mytun_queue *queue, bool gro);

/* mytun_tasklet.c: process to kernel */
void mytun_tasklet_setup(struct mytun_queue *queue);
void mytun_tasklet_schedule(struct mytun_queue *queue);
bool mytun_tasklet_is_wanted(const struct mytun_queue *queue);
void mytun_tasklet_kill(struct mytun_queue *queue);
void mytun_tasklet_drain(struct mytun_queue *queue);

#endif /* _MYTUN_H */
