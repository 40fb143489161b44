/* statistics.h - what is counted of remote calls, per contract and method. */
#pragma once

#include "base/map.h"
#include <inaetics/call.h>

#define REMOTE_CODES 17u            /* InaCode's values */
#define REMOTE_BUCKETS 18u          /* of the latency histogram, without the last, +Inf */
#define REMOTE_STATISTICS_MAX 1024u /* contracts; those beyond are counted together */

typedef struct MethodStatistics {
    uint64_t calls[REMOTE_CODES]; /* by how they ended */
    uint64_t open;                /* under way */
    uint64_t retries;
    uint64_t bytes_in, bytes_out; /* of messages */
    uint64_t buckets[REMOTE_BUCKETS + 1];
    uint64_t nanoseconds; /* of all calls together */
} MethodStatistics;

typedef struct RemoteStatistics RemoteStatistics;

RemoteStatistics *remote_statistics_new(void);
RemoteStatistics *remote_statistics_free(RemoteStatistics *statistics);
/* The methods' counters, as many as the contract has methods. They stay until
 * the end, for any contract of that name and digest. NULL: out of memory. */
MethodStatistics *remote_statistics_of(RemoteStatistics *statistics, const InaContract *contract);
void method_statistics_begin(MethodStatistics *method, size_t bytes);
void method_statistics_end(MethodStatistics *method, InaCode code, uint64_t nanoseconds, size_t bytes);
/* OpenMetrics: inaetics_<side>_calls_total and so on; side is "client" or "server". */
void remote_statistics_print(const RemoteStatistics *statistics, const char *side, Buffer *buffer);
