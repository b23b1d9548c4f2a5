/* core/crash.h - the last line of a daemon that dies */
#pragma once

/* From here on a fatal signal writes `crashed signal=11 owner=NAME` to stderr before it does its work. [loop], once. */
int core_crash_install(void);
