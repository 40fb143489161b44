/* bench_remote.c - what a call to another process costs, and what the machine's
 * loopback does at best. Not a test: run it on a quiet machine (./bench does).
 *
 *   bench_remote [large|small]    long messages, short messages only */
#include "framework/internal.h"
#include "remote/connect_client.h"
#include "sampler.service.h"
#include "tests/remote/provider.h"

#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FLOOR_ROUNDS 20000u
#define CALLS 20000u
#define WARM_UP 2000u
#define LARGE (4u * 1024u * 1024u) /* bytes of a large message */
#define LARGE_CALLS 100u

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double microseconds(uint64_t since)
{
    return (double)(ina_now() - since) / 1e3;
}

/* --- the floor ---------------------------------------------------------- */

static void echo_bytes(int fd)
{
    char bytes[64];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        if (send(fd, bytes, (size_t)n, 0) != n)
            break;
    _exit(0);
}

static double measure_floor(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    char bytes[64] = {0};
    static double times[FLOOR_ROUNDS];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, length) < 0 || listen(listener, 1) < 0)
        abort();
    getsockname(listener, (struct sockaddr *)&address, &length);
    pid_t pid = fork();
    int fd = pid == 0 ? accept(listener, NULL, NULL) : socket(AF_INET, SOCK_STREAM, 0);
    if (pid != 0 && connect(fd, (struct sockaddr *)&address, length) < 0)
        abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (pid == 0)
        echo_bytes(fd);
    for (unsigned i = 0; i < FLOOR_ROUNDS; i++) {
        uint64_t begin = ina_now();
        if (send(fd, bytes, sizeof(bytes), 0) < 0 || recv(fd, bytes, sizeof(bytes), MSG_WAITALL) < 0)
            abort();
        times[i] = microseconds(begin);
    }
    close(fd);
    close(listener);
    waitpid(pid, NULL, 0);
    qsort(times, FLOOR_ROUNDS, sizeof(*times), compare);
    return times[FLOOR_ROUNDS / 2];
}

/* --- calls -------------------------------------------------------------- */

typedef struct Bench {
    sd_event *event;
    InaClient *service;
    Sampler__V1__Everything request;
    unsigned to_start, to_end;
    double *times; /* of those that ended, in order */
    unsigned ended;
} Bench;

typedef struct Caller {
    Bench *bench;
    uint64_t begin;
} Caller;

static void answered(void *userdata, const Sampler__V1__Everything *reply, const InaFailure *failure);

static void call(Caller *caller)
{
    caller->bench->to_start--;
    caller->begin = ina_now();
    sampler_v1_sampler_echo(caller->bench->service, &caller->bench->request, 0, answered, caller);
}

static void answered(void *userdata, const Sampler__V1__Everything *reply, const InaFailure *failure)
{
    Caller *caller = userdata;
    Bench *bench = caller->bench;
    if (failure) {
        fprintf(stderr, "%s: %s\n", ina_code_name(failure->code), failure->message);
        exit(1);
    }
    bench->times[bench->ended++] = microseconds(caller->begin);
    if (bench->to_start > 0)
        call(caller);
}

static double run(Bench *bench, unsigned callers, unsigned calls)
{
    Caller all[64];
    bench->to_start = calls;
    bench->ended = 0;
    uint64_t begin = ina_now();
    for (unsigned i = 0; i < callers; i++) {
        all[i] = (Caller){.bench = bench};
        call(&all[i]);
    }
    while (bench->ended < calls)
        sd_event_run(bench->event, UINT64_MAX);
    double seconds = microseconds(begin) / 1e6;
    qsort(bench->times, calls, sizeof(*bench->times), compare);
    return (double)calls / seconds;
}

static void measure_calls(Bench *bench, unsigned callers, double floor_us)
{
    run(bench, callers, WARM_UP);
    double rate = run(bench, callers, CALLS);
    printf("remote call, %2u at a time        p50 %8.1f us  p99 %8.1f us  %9.0f calls/s  p50/floor %.2f\n", callers,
           bench->times[CALLS / 2], bench->times[CALLS * 99 / 100], rate, bench->times[CALLS / 2] / floor_us);
}

static void measure_large(Bench *bench)
{
    bench->request.n_reals = LARGE / sizeof(double);
    bench->request.reals = calloc(bench->request.n_reals, sizeof(double));
    for (unsigned callers = 1; callers <= 4; callers *= 4) {
        run(bench, callers, LARGE_CALLS / 10);
        double rate = run(bench, callers, LARGE_CALLS);
        printf("messages of 4 MiB, %u at a time    p50 %8.1f us  %.0f MB/s in each direction\n", callers,
               bench->times[LARGE_CALLS / 2], rate * LARGE / 1e6);
    }
    free(bench->request.reals);
    bench->request.n_reals = 0;
}

int main(int argc, char *argv[])
{
    /* As the agent does (agent/memory.h). */
    mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
    bool large_only = argc > 1 && strcmp(argv[1], "large") == 0;
    bool small_only = argc > 1 && strcmp(argv[1], "small") == 0;
    Bench bench = {.request = SAMPLER__V1__EVERYTHING__INIT, .times = calloc(CALLS, sizeof(double))};
    Provider provider;
    Framework *framework;
    ConnectClient *client;
    ConnectProxy *proxy;
    InaError error = {0};
    double floor_us = measure_floor();
    printf("loopback TCP, 64 bytes and back  p50 %8.1f us\n", floor_us);
    provider_start(&provider);
    ConnectClientOptions options = {.agent = "bench", .token = PROVIDER_TOKEN};
    ConnectProxyOptions proxy_options = {.contract = &sampler_v1_sampler_contract,
                                         .url = provider.url,
                                         .security = "token",
                                         .agent = PROVIDER_AGENT,
                                         .endpoint = provider.endpoint};
    if (sd_event_new(&bench.event) < 0 ||
        framework_open(bench.event, &(FrameworkOptions){.agent_id = "bench"}, &framework, &error) < 0 ||
        connect_client_new(bench.event, framework, &options, &client, &error) < 0 ||
        connect_proxy_new(client, &proxy_options, &proxy, &error) < 0) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    bench.service = client_new(connect_proxy_entry(proxy));
    bench.request.text = (char *)"0123456789012345678901234567890123456789012345678901234567890123";
    static const unsigned callers[] = {1, 4, 16};
    for (size_t i = 0; !large_only && i < sizeof(callers) / sizeof(*callers); i++)
        measure_calls(&bench, callers[i], floor_us);
    if (!small_only)
        measure_large(&bench);
    client_free(bench.service);
    connect_proxy_free(proxy);
    connect_client_free(client);
    framework_close(framework);
    sd_event_unref(bench.event);
    provider_stop(&provider);
    free(bench.times);
    return 0;
}
