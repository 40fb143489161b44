/* bench_calls.c - remote calls beside the loopback round trip.
 *
 *   bench_calls AGENT GREETER.zip [SECONDS]     each figure is measured for so long */
#include "bench.h"
#include "base/files.h"
#include "greeter.service.h"

#include <stdlib.h>

typedef struct Caller {
    InaClient *client;
    BenchTimes *times;
    double begun, end;
    unsigned *running;
} Caller;

static void call(Caller *caller);

static void greeted(void *userdata, const Example__V1__GreetReply *reply, const InaFailure *failure)
{
    Caller *caller = userdata;
    double now = bench_now();
    if (failure) {
        bench_die("call: %s: %s", ina_code_name(failure->code), failure->message);
    }
    bench_add(caller->times, (now - caller->begun) * 1e6);
    if (now < caller->end) {
        call(caller);
    } else {
        --*caller->running;
    }
}

static void call(Caller *caller)
{
    Example__V1__GreetRequest request = EXAMPLE__V1__GREET_REQUEST__INIT;
    request.name = (char *)"world, this is a request of about sixty-four bytes";
    caller->begun = bench_now();
    if (!example_v1_greeter_greet(caller->client, &request, 0, greeted, caller)) {
        bench_die("out of memory");
    }
}

static void measure(BenchHost *host, InaClient *client, unsigned callers, double seconds, double floor)
{
    Caller all[16];
    BenchTimes times = {0};
    unsigned running = callers;
    char name[64];
    double begin = bench_now();
    for (unsigned i = 0; i < callers; i++) {
        all[i] = (Caller){client, &times, 0, begin + seconds, &running};
        call(&all[i]);
    }
    while (running > 0) {
        sd_event_run(host->event, UINT64_MAX);
    }
    double rate = (double)times.count / (bench_now() - begin);
    snprintf(name, sizeof(name), "remote call, %u caller%s, p50", callers, callers > 1 ? "s" : "");
    bench_line(name, bench_percentile(&times, 50), "us", bench_percentile(&times, 50) / floor, "loopback round trip");
    snprintf(name, sizeof(name), "remote call, %u caller%s, p99", callers, callers > 1 ? "s" : "");
    bench_line(name, bench_percentile(&times, 99), "us", bench_percentile(&times, 99) / floor, "loopback round trip");
    snprintf(name, sizeof(name), "remote calls, %u caller%s", callers, callers > 1 ? "s" : "");
    bench_line(name, rate, "calls/s", 0, NULL);
    bench_clear(&times);
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/inaetics-bench-XXXXXX";
    if (argc < 3 || !mkdtemp(folder)) {
        bench_die("usage: bench_calls AGENT GREETER.zip [SECONDS]");
    }
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 1;
    BenchAgent agent;
    BenchHost host;
    bench_agent_start(&agent, argv[1], "greeter", folder, (const char *const[]){argv[2], NULL}, NULL);
    bench_host_start(&host, &agent);
    InaClient *client = bench_host_client(&host, &agent, &example_v1_greeter_contract);
    double floor = bench_floor_loopback(seconds);
    bench_line("loopback round trip, 64 bytes (floor), p50", floor, "us", 0, NULL);
    measure(&host, client, 1, seconds / 5, floor); /* opens connections */
    printf("\n");
    measure(&host, client, 1, seconds, floor);
    measure(&host, client, 4, seconds, floor);
    bench_line("agent with one bundle, resident", bench_agent_memory(&agent, "VmRSS") / 1e6, "MB", 0, NULL);
    bench_agent_stop(&agent);
    InaError error = {0};
    return folder_remove(folder, &error) < 0;
}
