/* bench.h - what the benchmarks share: figures, the machine's floors, agents
 * in processes of their own, and services of theirs. They end with a message
 * and status 1 when anything fails. */
#pragma once

#include "remote/connect_client.h"
#include <inaetics/bundle.h>
#include <stdio.h>
#include <sys/types.h>

double bench_now(void); /* seconds */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

typedef struct BenchTimes {
    double *values; /* microseconds */
    size_t count, capacity;
} BenchTimes;

void bench_add(BenchTimes *times, double microseconds);
double bench_percentile(BenchTimes *times, double percent); /* sorts */
void bench_clear(BenchTimes *times);

/* "name  value unit  ratio x floor" on one line. ratio 0: none. */
void bench_line(const char *name, double value, const char *unit, double ratio, const char *floor);

/* Floors, measured for about `seconds`; microseconds at the median. */
double bench_floor_loopback(double seconds); /* 64-byte round trip between two processes, TCP */
double bench_floor_sync(const char *folder, size_t bytes,
                        double seconds); /* pwrite of so many bytes and fdatasync, preallocated file */
double bench_floor_copy(void);           /* memory copied, bytes per second */

/* A process of its own; 0 in it. It ends with its parent. */
pid_t bench_child_begin(void);
void bench_child_end(pid_t pid); /* waits for it; ends with a message if it failed */
unsigned bench_free_port(void);  /* of 127.0.0.1; somebody else may take it meanwhile */
double bench_children_cpu(void); /* seconds used by those that have ended */

typedef struct BenchAgent {
    pid_t pid;
    char id[32], address[64], folder[4096], token_file[4096]; /* the token that calls carry */
} BenchAgent;

/* Starts `program` with the bundles (zips) and "KEY=value" settings, on a free
 * port of 127.0.0.1; returns when it is ready. */
void bench_agent_start(BenchAgent *agent, const char *program, const char *id, const char *folder,
                       const char *const *zips, const char *const *settings);
double bench_agent_memory(const BenchAgent *agent, const char *key); /* "VmRSS", "VmHWM": bytes */
double bench_agent_cpu(const BenchAgent *agent);                     /* seconds used */
void bench_agent_stop(BenchAgent *agent);

typedef struct BenchHost {
    sd_event *event;
    Framework *framework;
    ConnectClient *connect;
} BenchHost;

void bench_host_start(BenchHost *host, const BenchAgent *agent);
InaClient *bench_host_client(BenchHost *host, const BenchAgent *agent, const InaContract *contract);
