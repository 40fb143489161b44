/* clock.h - what time it is: of the machine's steady clock (CLOCK_MONOTONIC),
 * which goes on while a process is stopped, and of the wall clock since 1970. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t steady_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline uint64_t steady_us(void)
{
    return steady_ns() / 1000;
}

static inline int64_t steady_ms(void)
{
    return (int64_t)(steady_ns() / 1000000);
}

static inline int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
