/*
 * kernel_relay - the relay of established calls, in the kernel
 *
 * Runs for each packet that enters by an interface (tc ingress), before it has cost the network stack anything. A packet that
 * belongs to a flow which a worker has turned on, comes from whom the flow says, and is plain RTP of the agreed type leaves
 * at once under addresses, SSRC, sequence and timestamp of the other leg, just as rtp/relay.c would send it. Everything
 * else goes on to the sockets as if this were not here: RTCP, key presses, another SSRC, a leap in sequence, options and
 * fragments, header extensions.
 */
#include "kernel_flow.h"

#include <linux/types.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FAMILY_4 2 /* AF_INET */
#define FAMILY_6 10
#define HOPS 64           /* as if it were sent from here */
#define ADDRESSED_TO_US 0 /* PACKET_HOST */

struct ipv4 {
	uint8_t version, traffic_class;
	uint16_t total_be, id, fragment_be;
	uint8_t hops, protocol;
	uint16_t sum;
	uint32_t source, target;
} __attribute__((packed));

struct ipv6 {
	uint8_t head[4]; /* version, traffic class, flow label */
	uint16_t payload_be;
	uint8_t protocol, hops;
	uint32_t source[4], target[4];
} __attribute__((packed));

struct rtp {
	uint8_t flags, type;
	uint16_t sequence_be;
	uint32_t timestamp_be, ssrc_be;
} __attribute__((packed));

/* The words of a datagram that change and that UDP's checksum covers as data. */
struct changing {
	uint16_t source_be, target_be;
	struct rtp rtp;
} __attribute__((packed));

const volatile uint32_t first_port, flow_count; /* set before the program is loaded */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct rtp_flow);
} flows SEC(".maps");

/* Full barriers, so that the worker sees who is within before it believes that nobody is. */
static __always_inline void count(uint64_t *counter)
{
	uint64_t before = __sync_fetch_and_add(counter, 1);

	asm volatile("" ::"r"(before));
}

static __always_inline int leave(struct rtp_flow *flow)
{
	count(&flow->left);
	return TC_ACT_UNSPEC;
}

/* The flow of a port, if it is on: RTP has the even ports, a leg has the place of its port. */
static __always_inline struct rtp_flow *enter(uint16_t port_be)
{
	uint32_t ahead = bpf_ntohs(port_be) - first_port, at = ahead >> 1;

	if (ahead & 1 || at >= flow_count)
		return 0;
	struct rtp_flow *flow = bpf_map_lookup_elem(&flows, &at);

	if (!flow || *(volatile uint64_t *)&flow->until_ns == 0)
		return 0;
	count(&flow->entered);
	return flow;
}

static __always_inline void note_distance(struct rtp_flow *flow, uint32_t distance)
{
	uint32_t most = (uint32_t)(flow->distance_extremes >> 32), least = ~(uint32_t)flow->distance_extremes;

	flow->distance_extremes = (uint64_t)(distance > most ? distance : most) << 32 | (uint32_t) ~(distance < least ? distance : least);
	flow->distances++;
	flow->distance_sum += distance;
	flow->distance_squares += (uint64_t)distance * distance;
}

/* RFC 3550 A.8, as rtp/receiver.c has it. */
static __always_inline void note_newest(struct rtp_flow *flow, uint16_t sequence, uint32_t timestamp, uint64_t now_ns)
{
	uint32_t khz = flow->way.clock_khz, transit = (uint32_t)(now_ns / 1000 * khz / 1000) - timestamp;
	uint32_t jitter16 = (uint32_t)(flow->jitter >> 32), before = (uint32_t)flow->jitter;
	int32_t moved = (int32_t)(transit - before);
	uint32_t distance = moved < 0 ? 0u - (uint32_t)moved : (uint32_t)moved;

	if (distance <= 10000 * khz) {
		jitter16 += distance - ((jitter16 + 8) >> 4);
		note_distance(flow, distance);
	}
	flow->jitter = (uint64_t)jitter16 << 32 | transit;
	flow->newest = (uint64_t)sequence << 32 | timestamp;
}

/* One that is not the newest: overtaken, or here for the second time. Without a branch, behind which the compiler would add to a place that it
 * chooses while running: programs with CAP_BPF alone may not. */
static __always_inline void note_behind(struct rtp_flow *flow, uint32_t behind)
{
	uint64_t again = flow->window >> (behind & 63) & 1;

	flow->window |= (uint64_t)1 << (behind & 63);
	__sync_fetch_and_add(&flow->duplicates, again);
	__sync_fetch_and_add(&flow->late, 1 - again);
}

/* Is it a packet of this flow? Counts it, if so. */
static __always_inline int take(struct rtp_flow *flow, const struct udphdr *udp, const struct rtp *rtp)
{
	const struct rtp_flow_way *way = &flow->way;
	uint64_t now_ns = bpf_ktime_get_ns();
	uint32_t bytes = bpf_ntohs(udp->len) - (uint32_t)sizeof *udp;
	uint16_t sequence = bpf_ntohs(rtp->sequence_be);

	if (now_ns > *(volatile uint64_t *)&flow->until_ns || udp->source != way->source_port_be || udp->dest != way->local_port_be)
		return 0;
	if (rtp->flags != 0x80 || (rtp->type & 0x7f) != way->type || rtp->ssrc_be != way->source_ssrc_be)
		return 0;
	if (bytes < sizeof *rtp || bytes > RTP_FLOW_MOST_BYTES || (way->bytes && bytes != way->bytes))
		return 0;
	int16_t ahead = (int16_t)(sequence - (uint16_t)(flow->newest >> 32));

	if (ahead > RTP_FLOW_MOST_AHEAD || ahead <= -RTP_FLOW_MOST_LATE)
		return 0;
	if (ahead > 0) {
		flow->window = (ahead < 64 ? flow->window << ahead : 0) | 1;
		note_newest(flow, sequence, bpf_ntohl(rtp->timestamp_be), now_ns);
	} else {
		note_behind(flow, (uint32_t)-ahead);
	}
	flow->newest_at_ns = now_ns;
	__sync_fetch_and_add(&flow->octets, bytes);
	return 1;
}

/* Ports and RTP of the other leg; what that does to a checksum. */
static __always_inline uint32_t rewrite(const struct rtp_flow_way *way, struct udphdr *udp, struct rtp *rtp)
{
	struct changing before = { .source_be = udp->source, .target_be = udp->dest, .rtp = *rtp };

	udp->source = way->from_port_be;
	udp->dest = way->to_port_be;
	rtp->type = (rtp->type & 0x80) | way->out_type;
	rtp->sequence_be = bpf_htons(bpf_ntohs(rtp->sequence_be) + way->sequence_shift);
	rtp->timestamp_be = bpf_htonl(bpf_ntohl(rtp->timestamp_be) + way->timestamp_shift);
	rtp->ssrc_be = way->ssrc_be;
	struct changing after = { .source_be = udp->source, .target_be = udp->dest, .rtp = *rtp };

	return (uint32_t)bpf_csum_diff((uint32_t *)&before, sizeof before, (uint32_t *)&after, sizeof after, 0);
}

/* Out by the other leg's interface. data_sum: of rewrite. From here on the packet may not be looked at. */
static __always_inline int send(struct __sk_buff *skb, struct rtp_flow *flow, uint32_t sum_at, uint32_t data_sum)
{
	struct bpf_redir_neigh next = { .nh_family = flow->way.next_hop_family };

	if (next.nh_family == FAMILY_4)
		next.ipv4_nh = flow->way.next_hop[0];
	else
		__builtin_memcpy(next.ipv6_nh, flow->way.next_hop, sizeof next.ipv6_nh);
	/* 0, none, stays none with IPv4; with IPv6 it does not get here. */
	bpf_l4_csum_replace(skb, sum_at, 0, flow->way.addresses_sum, BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0);
	bpf_l4_csum_replace(skb, sum_at, 0, data_sum, BPF_F_MARK_MANGLED_0);
	count(&flow->relayed);
	return bpf_redirect_neigh(flow->way.out_interface, &next, sizeof next, 0);
}

static __always_inline uint16_t folded(uint64_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static __always_inline int relay4(struct __sk_buff *skb)
{
	struct ipv4 *ip = (void *)(long)skb->data + sizeof(struct ethhdr);
	struct udphdr *udp = (void *)(ip + 1);
	struct rtp *rtp = (void *)(udp + 1);

	if ((void *)(rtp + 1) > (void *)(long)skb->data_end || ip->version != 0x45 || ip->protocol != IPPROTO_UDP ||
	    ip->fragment_be & bpf_htons(0x3fff))
		return TC_ACT_UNSPEC;
	struct rtp_flow *flow = enter(udp->dest);

	if (!flow)
		return TC_ACT_UNSPEC;
	const struct rtp_flow_way *way = &flow->way;

	if (way->family != FAMILY_4 || ip->source != way->source[0] || ip->target != way->local[0] ||
	    bpf_ntohs(ip->total_be) != bpf_ntohs(udp->len) + sizeof *ip || !take(flow, udp, rtp))
		return leave(flow);
	uint32_t data_sum = rewrite(way, udp, rtp);

	ip->source = way->from[0];
	ip->target = way->to[0];
	ip->traffic_class = way->traffic_class;
	ip->hops = HOPS;
	ip->sum = 0;
	ip->sum = folded((uint32_t)bpf_csum_diff(0, 0, (uint32_t *)ip, sizeof *ip, 0));
	return send(skb, flow, sizeof(struct ethhdr) + sizeof *ip + __builtin_offsetof(struct udphdr, check), data_sum);
}

static __always_inline int same_address(const uint32_t *a, const uint32_t *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

static __always_inline int relay6(struct __sk_buff *skb)
{
	struct ipv6 *ip = (void *)(long)skb->data + sizeof(struct ethhdr);
	struct udphdr *udp = (void *)(ip + 1);
	struct rtp *rtp = (void *)(udp + 1);

	if ((void *)(rtp + 1) > (void *)(long)skb->data_end || ip->protocol != IPPROTO_UDP)
		return TC_ACT_UNSPEC;
	struct rtp_flow *flow = enter(udp->dest);

	if (!flow)
		return TC_ACT_UNSPEC;
	const struct rtp_flow_way *way = &flow->way;

	if (way->family != FAMILY_6 || !same_address(ip->source, way->source) || !same_address(ip->target, way->local) ||
	    ip->payload_be != udp->len || udp->check == 0 || !take(flow, udp, rtp))
		return leave(flow);
	uint32_t data_sum = rewrite(way, udp, rtp);

	ip->head[0] = 0x60 | way->traffic_class >> 4;
	ip->head[1] = (uint8_t)(way->traffic_class << 4);
	ip->head[2] = ip->head[3] = 0;
	ip->hops = HOPS;
	__builtin_memcpy(ip->source, way->from, sizeof ip->source);
	__builtin_memcpy(ip->target, way->to, sizeof ip->target);
	return send(skb, flow, sizeof(struct ethhdr) + sizeof *ip + __builtin_offsetof(struct udphdr, check), data_sum);
}

/* Some cards leave the headers outside what may be read at once. */
static __always_inline void gather(struct __sk_buff *skb, uint32_t ip_bytes)
{
	uint32_t bytes = sizeof(struct ethhdr) + ip_bytes + sizeof(struct udphdr) + sizeof(struct rtp);

	if ((void *)(long)skb->data + bytes > (void *)(long)skb->data_end && skb->len >= bytes)
		bpf_skb_pull_data(skb, bytes);
}

SEC("tc")
int kernel_relay(struct __sk_buff *skb)
{
	if (skb->pkt_type != ADDRESSED_TO_US || skb->vlan_present || skb->gso_size)
		return TC_ACT_UNSPEC; /* of a VLAN: its own interface sees it again */
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		gather(skb, sizeof(struct ipv4));
		return relay4(skb);
	}
	if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		gather(skb, sizeof(struct ipv6));
		return relay6(skb);
	}
	return TC_ACT_UNSPEC;
}

const char terms[] SEC("license") = "Dual MIT/GPL";
