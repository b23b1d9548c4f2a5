/*
 * heap - how jemalloc keeps pbxd's memory
 *
 * Nearly all is allocated by the loop, and a hundred threads of the gateway sleep: a cache of each thread's own holds what none of them misses. Small
 * pieces are still cached, large ones are shared, and what is free goes back to the kernel within seconds. The same calls leave 80 MiB
 * behind instead of 102. MALLOC_CONF in the environment still has the last word.
 */
#include <pbx/abi.h>

/* jemalloc looks for it by this name. */
PBX_EXPORT extern const char *const malloc_conf;
PBX_EXPORT const char *const malloc_conf = "narenas:2,tcache_max:1024,lg_tcache_nslots_mul:0,dirty_decay_ms:3000";
