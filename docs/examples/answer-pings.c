// SPDX-License-Identifier: MIT
/*
 * Answers pings to every IPv4 address that is routed to its device, through the
 * rings of /dev/net/mytun: while pings come, without a system call for them.
 *
 *	cc -O2 -o answer-pings answer-pings.c
 *	sudo ./answer-pings &
 *	sudo ip address add 10.1.0.1/24 dev mytun0
 *	sudo ip link set mytun0 up
 *	ping 10.1.0.2
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/mytun.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING_SIZE (1U << 20)

/* One direction. The peer is the kernel: of the four words it writes two */
struct ring {
	unsigned char *data;	/* mapped twice in a row, so no frame is in two pieces */
	uint32_t size;
	uint32_t *producer, *consumer, *need_wakeup, *need_space;
	uint32_t mine;		/* rx: the consumer index, tx: the producer index, not yet published */
	uint32_t published;
};

struct queue {
	int fd, rx_doorbell, tx_doorbell;
	struct ring rx, tx;
	uint32_t *state;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *map(int fd, uint64_t offset, uint64_t length, int protection)
{
	void *at = mmap(NULL, length, protection, MAP_SHARED, fd, (off_t)offset);

	if (at == MAP_FAILED)
		die("mmap of /dev/net/mytun");
	return at;
}

static uint32_t *word(unsigned char *page, uint32_t offset)
{
	return (uint32_t *)(page + offset);
}

/* The producer of a ring writes producer and need_space, the consumer the other two */
static void map_ring(int fd, struct ring *ring, const struct mytun_ring_info *info, unsigned char *producers, unsigned char *consumers)
{
	ring->data = map(fd, info->data_offset, info->data_length, PROT_READ | PROT_WRITE);
	ring->size = info->size;
	ring->producer = word(producers, info->producer);
	ring->need_space = word(producers, info->need_space);
	ring->consumer = word(consumers, info->consumer);
	ring->need_wakeup = word(consumers, info->need_wakeup);
}

static void map_rings(struct queue *queue)
{
	struct mytun_info info;
	unsigned char *kernel, *user;

	if (ioctl(queue->fd, MYTUN_IOC_GET_INFO, &info) < 0)
		die("MYTUN_IOC_GET_INFO");
	kernel = map(queue->fd, info.kernel_page_offset, info.page_length, PROT_READ);
	user = map(queue->fd, info.user_page_offset, info.page_length, PROT_READ | PROT_WRITE);
	map_ring(queue->fd, &queue->rx, &info.rx, kernel, user);
	map_ring(queue->fd, &queue->tx, &info.tx, user, kernel);
	queue->state = word(kernel, info.state);
}

static void open_queue(struct queue *queue)
{
	struct ifreq device = { .ifr_name = "mytun%d", .ifr_flags = IFF_TUN | IFF_NO_PI };
	struct mytun_ring_config sizes = { .rx_size = RING_SIZE, .tx_size = RING_SIZE };
	struct mytun_eventfds eventfds = { .tx_space = -1 };

	queue->fd = open("/dev/net/mytun", O_RDWR | O_CLOEXEC);
	if (queue->fd < 0)
		die("/dev/net/mytun (is the module loaded?)");
	if (ioctl(queue->fd, TUNSETIFF, &device) < 0)
		die("TUNSETIFF (it takes CAP_NET_ADMIN)");
	if (ioctl(queue->fd, MYTUN_IOC_SET_RINGS, &sizes) < 0)
		die("MYTUN_IOC_SET_RINGS");
	map_rings(queue);
	eventfds.rx_doorbell = queue->rx_doorbell = eventfd(0, EFD_CLOEXEC);
	eventfds.tx_doorbell = queue->tx_doorbell = eventfd(0, EFD_CLOEXEC);
	if (ioctl(queue->fd, MYTUN_IOC_SET_EVENTFDS, &eventfds) < 0)
		die("MYTUN_IOC_SET_EVENTFDS");
	printf("%s answers pings\n", device.ifr_name);
	fflush(stdout);
}

/* Bytes of the ring that a frame takes */
static uint32_t frame_space(uint32_t length)
{
	return (sizeof(struct mytun_frame) + length + MYTUN_FRAME_ALIGN - 1) & ~(MYTUN_FRAME_ALIGN - 1);
}

static struct mytun_frame *frame_at(const struct ring *ring, uint32_t index)
{
	return (struct mytun_frame *)(ring->data + (index & (ring->size - 1)));
}

/*
 * Shows the kernel what was put into a ring, or taken out of it: true if it asked to be told. The barrier stands between our index and the
 * kernel's word, as there is one in the kernel between that word and its look at the index: so one of the two sees the other.
 */
static bool publish(struct ring *ring, uint32_t *index, const uint32_t *event)
{
	uint32_t old = ring->published, new = ring->mine;

	__atomic_store_n(index, new, __ATOMIC_RELEASE);
	ring->published = new;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return new - __atomic_load_n(event, __ATOMIC_RELAXED) - 1 < new - old;
}

/* What was sent and what was taken have one doorbell */
static void publish_both(struct queue *queue)
{
	bool sent = publish(&queue->tx, queue->tx.producer, queue->tx.need_wakeup);
	bool taken = publish(&queue->rx, queue->rx.consumer, queue->rx.need_space);

	if ((sent || taken) && eventfd_write(queue->tx_doorbell, 1) < 0)
		die("tx doorbell");
}

/* Copies a frame into the tx ring and returns its payload there; NULL if the ring is full */
static unsigned char *put(struct ring *tx, const struct mytun_frame *frame)
{
	uint32_t space = frame_space(frame->length);
	uint32_t used = tx->mine - __atomic_load_n(tx->consumer, __ATOMIC_ACQUIRE);
	struct mytun_frame *copy = frame_at(tx, tx->mine);

	if (tx->size - used < space)
		return NULL;
	memset(copy, 0, sizeof(*copy));
	copy->length = frame->length;
	memcpy(copy + 1, frame + 1, frame->length);
	tx->mine += space;
	return (unsigned char *)(copy + 1);
}

/* An echo request of IPv4 that is not a fragment */
static bool is_ping(const unsigned char *ip, uint32_t length)
{
	uint32_t header = (ip[0] & 0x0f) * 4;

	return length >= 28 && ip[0] >> 4 == 4 && header >= 20 && length >= header + 8 &&
	       !(ip[6] & 0x3f) && !ip[7] && ip[9] == 1 && ip[header] == 8;
}

/* Addresses change places, which no checksum notices; the type goes from 8 to 0, and so the ICMP checksum up by as much */
static void make_answer(unsigned char *ip)
{
	unsigned char *icmp = ip + (ip[0] & 0x0f) * 4, address[4];
	uint32_t sum = (icmp[2] << 8 | icmp[3]) + 0x0800;

	memcpy(address, ip + 12, 4);
	memcpy(ip + 12, ip + 16, 4);
	memcpy(ip + 16, address, 4);
	sum += sum >> 16;
	icmp[0] = 0;
	icmp[2] = sum >> 8;
	icmp[3] = sum;
}

static void take(struct queue *queue, const struct mytun_frame *frame)
{
	unsigned char *answer;

	if (is_ping((const unsigned char *)(frame + 1), frame->length)) {
		answer = put(&queue->tx, frame);
		if (answer)
			make_answer(answer);
	}
	queue->rx.mine += frame_space(frame->length);
}

/* Sleeps unless a frame came while we said that we would: see publish() for the barrier */
static void wait_for_frames(struct queue *queue)
{
	struct ring *rx = &queue->rx;
	eventfd_t count;

	__atomic_store_n(rx->need_wakeup, rx->mine, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(rx->producer, __ATOMIC_RELAXED) == rx->mine && eventfd_read(queue->rx_doorbell, &count) < 0)
		die("rx doorbell");
	if (__atomic_load_n(queue->state, __ATOMIC_RELAXED)) {
		fprintf(stderr, "the device is gone, or a ring is broken\n");
		exit(1);
	}
}

int main(void)
{
	struct queue queue = { 0 };
	uint32_t end;

	open_queue(&queue);
	for (;;) {
		end = __atomic_load_n(queue.rx.producer, __ATOMIC_ACQUIRE);
		if (end == queue.rx.mine) {
			wait_for_frames(&queue);
			continue;
		}
		while (queue.rx.mine != end)
			take(&queue, frame_at(&queue.rx, queue.rx.mine));
		publish_both(&queue);
	}
}
