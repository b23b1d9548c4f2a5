/* kernel_none - built without libbpf: every packet goes by a worker */
#include "kernel.h"

int rtp_kernel_start(const struct rtp_kernel_wish *wish, rtp_kernel_done_fn done, void *context, struct pbx_diag *diag)
{
	(void)wish, (void)done, (void)context;
	pbx_diag_set(diag, "kernel_relay", "built without libbpf");
	return PBX_ENOTSUP;
}

void rtp_kernel_stop(void)
{
}

struct rtp_flow *rtp_kernel_place(uint16_t port)
{
	(void)port;
	return NULL;
}

uint32_t rtp_kernel_interfaces(void)
{
	return 0;
}

uint32_t rtp_kernel_generation(void)
{
	return 0;
}
