/*
 * kernel - brings the relay's program into the kernel and onto the interfaces that have addresses of ours
 *
 * Only Ethernet, and never the loopback: what is local is not routed. Interfaces and addresses come and go, so the kernel
 * tells us (rtnetlink) and a moment later all are looked at again; workers ask for their routes anew by the generation.
 *
 * On each interface the program hangs by a link (tcx), which the kernel cuts when we die, however that happens. Kernels before
 * 6.6 have filters only, which stay: the next start puts its own in the place of what was left, and until then no flow is on
 * for longer than a second after its worker's last breath.
 *
 * Loading has taken ten seconds where several did so at once, and every look at an interface waits for the kernel's one lock of all networks. So both
 * are jobs of the pool, one at a time; the loop sees the flows when they are there.
 */
#include "kernel.h"

#include <core/log.h>
#include <core/loop.h>
#include <core/owner.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion" /* what bpftool writes */
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "kernel_relay.skel.h"
#include <bpf/bpf.h>
#pragma GCC diagnostic pop

#define OWNER "media"
#define MOST_INTERFACES 256u
#define TCX_INGRESS 46 /* BPF_TCX_INGRESS of linux/bpf.h, which is older than that in Debian 12 */
#define FILTER_PRIORITY 100u
#define GATHER_MS 100u /* routes change by the dozen */

struct attached {
	int index;
	int link_fd; /* -1: by filter */
	bool wanted;
};

/* Whoever has the lock has this: a job, or rtp_kernel_stop. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kernel {
	struct kernel_relay_bpf *program;
	struct rtp_flow *flows;
	size_t flows_bytes;
	uint32_t first_port, flow_count;
	bool by_filter;
	struct attached attached[MOST_INTERFACES];
	uint32_t attached_count;
} kernel;

/* What the loop has of it. */
static struct {
	struct rtp_flow *flows; /* NULL: not there yet */
	uint32_t first_port, flow_count;
	int news_fd;
	bool follows;    /* news and gathering are open */
	bool is_looking; /* a job looks at the interfaces */
	bool look_again; /* there have been news since */
} door = { .news_fd = -1 };

static uv_poll_t news;
static uv_timer_t gathering;
static _Atomic uint32_t generation; /* goes on rising whoever is started next */
static _Atomic uint32_t interfaces; /* as many as it is on */
static _Atomic uint64_t life;       /* another one after each stop: jobs of an earlier one do nothing */

uint32_t rtp_kernel_generation(void)
{
	return atomic_load_explicit(&generation, memory_order_relaxed);
}

uint32_t rtp_kernel_interfaces(void)
{
	return atomic_load_explicit(&interfaces, memory_order_relaxed);
}

struct rtp_flow *rtp_kernel_place(uint16_t port)
{
	uint32_t at = (port - door.first_port) / 2;

	return door.flows && port >= door.first_port && at < door.flow_count ? &door.flows[at] : NULL;
}

/* ---- on interfaces ---- */

/* One filter of ours on an interface for each range of ports: the place of one that was left by a daemon that died. */
static struct bpf_tc_opts filter_opts(void)
{
	return (struct bpf_tc_opts){ .sz = sizeof(struct bpf_tc_opts), .handle = kernel.first_port, .priority = FILTER_PRIORITY };
}

static int attach_filter(int index)
{
	struct bpf_tc_hook hook = { .sz = sizeof hook, .ifindex = index, .attach_point = BPF_TC_INGRESS };
	struct bpf_tc_opts opts = filter_opts();

	opts.prog_fd = bpf_program__fd(kernel.program->progs.kernel_relay);
	opts.flags = BPF_TC_F_REPLACE;
	int err = bpf_tc_hook_create(&hook);

	return err == 0 || err == -EEXIST ? bpf_tc_attach(&hook, &opts) : err;
}

static void attach(int index)
{
	struct attached *place = &kernel.attached[kernel.attached_count];

	if (kernel.attached_count == MOST_INTERFACES)
		return;
	*place = (struct attached){ .index = index, .link_fd = -1, .wanted = true };
	if (!kernel.by_filter) {
		place->link_fd = bpf_link_create(bpf_program__fd(kernel.program->progs.kernel_relay), index, TCX_INGRESS, NULL);
		kernel.by_filter = place->link_fd < 0 && errno == EINVAL;
	}
	if (place->link_fd >= 0 || (kernel.by_filter && attach_filter(index) == 0))
		kernel.attached_count++;
	else
		core_log(PBX_LOG_WARN, OWNER, NULL, "kernel_relay_not_attached", "interface=%d errno=%d", index, errno);
}

static void detach(struct attached *attached)
{
	struct bpf_tc_hook hook = { .sz = sizeof hook, .ifindex = attached->index, .attach_point = BPF_TC_INGRESS };
	struct bpf_tc_opts opts = filter_opts();

	if (attached->link_fd >= 0)
		(void)close(attached->link_fd);
	else
		(void)bpf_tc_detach(&hook, &opts); /* or the interface has gone, and the filter with it */
	*attached = kernel.attached[--kernel.attached_count];
}

static struct attached *find_attached(int index)
{
	for (uint32_t i = 0; i < kernel.attached_count; i++) {
		if (kernel.attached[i].index == index)
			return &kernel.attached[i];
	}
	return NULL;
}

static bool is_ethernet(const struct ifaddrs *all, const char *name)
{
	for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
		const struct sockaddr_ll *link = (const struct sockaddr_ll *)(const void *)at->ifa_addr;

		if (link && link->sll_family == AF_PACKET && strcmp(at->ifa_name, name) == 0)
			return link->sll_hatype == ARPHRD_ETHER;
	}
	return false;
}

static bool has_address(const struct ifaddrs *at)
{
	return at->ifa_addr && (at->ifa_addr->sa_family == AF_INET || at->ifa_addr->sa_family == AF_INET6) && at->ifa_flags & IFF_UP;
}

static void look_at_interfaces(void)
{
	struct ifaddrs *all;

	if (getifaddrs(&all) != 0)
		return; /* as it is until the next news */
	for (uint32_t i = 0; i < kernel.attached_count; i++)
		kernel.attached[i].wanted = false;
	for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
		if (!has_address(at) || !is_ethernet(all, at->ifa_name))
			continue;
		int index = (int)if_nametoindex(at->ifa_name);
		struct attached *attached = find_attached(index);

		if (attached)
			attached->wanted = true;
		else if (index > 0)
			attach(index);
	}
	freeifaddrs(all);
	for (uint32_t i = kernel.attached_count; i > 0; i--) {
		if (!kernel.attached[i - 1].wanted)
			detach(&kernel.attached[i - 1]);
	}
	atomic_store_explicit(&interfaces, kernel.attached_count, memory_order_relaxed);
	atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

/* ---- loading ---- */

static int say(struct pbx_diag *diag, int why)
{
	bool forbidden = why == EPERM || why == EACCES;

	pbx_diag_set(diag, "kernel_relay", "%s: %s", strerror(why),
		     forbidden ? "needs CAP_BPF and CAP_NET_ADMIN (pbxd-kernel-relay.conf)" : "this kernel does not take the program");
	return forbidden ? PBX_EPERM : why == ENOMEM ? PBX_ENOMEM : PBX_EIO;
}

static int load(struct pbx_diag *diag)
{
	kernel.program = kernel_relay_bpf__open();
	if (!kernel.program)
		return say(diag, errno);
	kernel.program->rodata->first_port = kernel.first_port;
	kernel.program->rodata->flow_count = kernel.flow_count;
	int err = bpf_map__set_max_entries(kernel.program->maps.flows, kernel.flow_count);

	if (err == 0)
		err = kernel_relay_bpf__load(kernel.program);
	return err == 0 ? PBX_OK : say(diag, -err);
}

static int map_flows(struct pbx_diag *diag)
{
	kernel.flows_bytes = (size_t)kernel.flow_count * sizeof *kernel.flows;
	void *flows = mmap(NULL, kernel.flows_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(kernel.program->maps.flows), 0);

	if (flows == MAP_FAILED)
		return say(diag, errno);
	kernel.flows = flows;
	return PBX_OK;
}

static int no_print(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

/* ---- jobs ---- */

struct job {
	uint64_t life;
	struct rtp_kernel_wish wish;
	int result;
	struct pbx_diag diag;
	rtp_kernel_done_fn done;
	void *context;
};

static bool is_alive(const struct job *job)
{
	return job->life == atomic_load(&life);
}

static void let_go(void)
{
	while (kernel.attached_count > 0)
		detach(&kernel.attached[kernel.attached_count - 1]);
	if (kernel.flows)
		(void)munmap(kernel.flows, kernel.flows_bytes);
	kernel_relay_bpf__destroy(kernel.program);
	kernel = (struct kernel){ 0 };
	atomic_store_explicit(&interfaces, 0, memory_order_relaxed);
}

/* [work] */
static void run_start(void *data)
{
	struct job *job = data;
	const struct rtp_kernel_wish *wish = &job->wish;

	(void)pthread_mutex_lock(&lock);
	if (is_alive(job)) {
		kernel = (struct kernel){ .first_port = wish->port_min + (wish->port_min & 1u), .by_filter = wish->by_filter };
		kernel.flow_count = (wish->port_max - kernel.first_port) / 2u + 1u;
		(void)libbpf_set_print(no_print);
		job->result = load(&job->diag);
		if (job->result == PBX_OK)
			job->result = map_flows(&job->diag);
		if (job->result == PBX_OK)
			look_at_interfaces();
		else
			let_go();
	}
	(void)pthread_mutex_unlock(&lock);
}

/* [work] */
static void run_look(void *data)
{
	(void)pthread_mutex_lock(&lock);
	if (is_alive(data) && kernel.program)
		look_at_interfaces();
	(void)pthread_mutex_unlock(&lock);
}

static struct job *job_new(void)
{
	struct job *job = calloc(1, sizeof *job);

	if (job)
		job->life = atomic_load(&life);
	return job;
}

/* ---- news of interfaces, addresses, routes ---- */

static void look(void);

static void on_looked(void *context, void *data, int status)
{
	struct job *job = data;
	bool alive = is_alive(job);

	(void)context, (void)status;
	free(job);
	if (!alive)
		return;
	door.is_looking = false;
	if (door.look_again)
		look();
}

static void look(void)
{
	struct job *job = door.is_looking ? NULL : job_new();

	door.look_again = !job || core_work(core_self(), run_look, on_looked, NULL, job) != PBX_OK;
	if (!door.look_again)
		door.is_looking = true;
	else if (!door.is_looking)
		free(job); /* no memory: the next news come */
}

static void on_gathered(uv_timer_t *timer)
{
	(void)timer;
	look();
}

static void on_news(uv_poll_t *poll, int status, int events)
{
	char text[8192];

	(void)poll, (void)status, (void)events;
	while (recv(door.news_fd, text, sizeof text, MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		continue; /* whatever it was */
	if (!uv_is_active((uv_handle_t *)&gathering))
		(void)uv_timer_start(&gathering, on_gathered, GATHER_MS, 0);
}

static int follow_news(void)
{
	struct sockaddr_nl groups = { .nl_family = AF_NETLINK,
				      .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
						   RTMGRP_IPV6_ROUTE };

	door.news_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (door.news_fd < 0 || bind(door.news_fd, (struct sockaddr *)&groups, sizeof groups) < 0)
		return PBX_EIO;
	if (uv_poll_init(core_loop_uv(), &news, door.news_fd) != 0)
		return PBX_EIO;
	(void)uv_timer_init(core_loop_uv(), &gathering);
	door.follows = true;
	(void)uv_poll_start(&news, UV_READABLE, on_news); /* fails only on a handle that is closing */
	return PBX_OK;
}

static void stop_news(void)
{
	if (door.follows) {
		uv_close((uv_handle_t *)&news, NULL);
		uv_close((uv_handle_t *)&gathering, NULL);
	}
	door.follows = false;
	if (door.news_fd >= 0)
		(void)close(door.news_fd);
	door.news_fd = -1;
}

/* ---- life ---- */

/* Nobody else has the lock: no job looks before the flows are there, and none is under way. */
static void open_door(void)
{
	door.flows = kernel.flows;
	door.first_port = kernel.first_port;
	door.flow_count = kernel.flow_count;
	if (door.look_again)
		look();
}

static void on_started(void *context, void *data, int status)
{
	struct job *job = data;

	(void)context;
	if (status == PBX_OK && is_alive(job)) {
		if (job->result == PBX_OK)
			open_door();
		else
			stop_news();
		job->done(job->context, job->result, &job->diag);
	}
	free(job);
}

int rtp_kernel_start(const struct rtp_kernel_wish *wish, rtp_kernel_done_fn done, void *context, struct pbx_diag *diag)
{
	struct job *job = job_new();

	/* From before the first look, so that no change falls in between. */
	int err = !job ? PBX_ENOMEM : follow_news() != PBX_OK ? say(diag, errno) : PBX_OK;
	if (err == PBX_OK) {
		job->wish = *wish;
		job->done = done;
		job->context = context;
		err = core_work(core_self(), run_start, on_started, NULL, job);
	}
	if (err == PBX_OK)
		return PBX_OK;
	if (err == PBX_ENOMEM)
		pbx_diag_set(diag, "kernel_relay", "out of memory");
	free(job);
	stop_news();
	return err;
}

void rtp_kernel_stop(void)
{
	stop_news();
	atomic_fetch_add(&life, 1);
	door.flows = NULL;
	door.is_looking = door.look_again = false;
	(void)pthread_mutex_lock(&lock); /* a job that has begun is waited for */
	let_go();
	(void)pthread_mutex_unlock(&lock);
}
