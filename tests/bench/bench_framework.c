/* bench_framework.c - what the framework costs: ready, bundles, look-up, local
 * calls. Not a test: run it on a quiet machine (./bench does).
 *
 *   bench_framework GREETER.so [FOLDER]    FOLDER is for packs and caches */
#include "base/files.h"
#include "base/log.h"
#include "framework/bundle_tool.h"
#include "framework/call.h"
#include "greeter.service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 9
#define BUNDLES 100

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void die(const char *what, const InaError *error)
{
    fprintf(stderr, "%s: %s\n", what, error->message);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report(const char *what, double *values, size_t n, const char *unit)
{
    qsort(values, n, sizeof(*values), compare);
    printf("%-52s p50 %10.2f %s   p99 %10.2f %s\n", what, values[n / 2], unit, values[n * 99 / 100], unit);
    fflush(stdout);
}

static Framework *ready(sd_event *event, const char *cache)
{
    Framework *framework;
    InaError error = {0};
    FrameworkOptions options = {.agent_id = "bench", .cache = cache};
    if (framework_new(event, &options, &framework, &error) < 0 || framework_start(framework, &error) < 0) {
        die("framework", &error);
    }
    return framework;
}

static void measure_ready(sd_event *event, const char *folder)
{
    double times[ROUNDS];
    char cache[4096];
    for (size_t i = 0; i < ROUNDS; i++) {
        snprintf(cache, sizeof(cache), "%s/empty-%zu", folder, i);
        double begin = now_us();
        Framework *framework = ready(event, cache);
        times[i] = (now_us() - begin) / 1e3;
        framework_free(framework);
    }
    report("framework ready, empty cache", times, ROUNDS, "ms");
}

static void pack_all(const char *library, const char *folder, char zips[BUNDLES][4096])
{
    for (size_t i = 0; i < BUNDLES; i++) {
        char name[32];
        InaError error = {0};
        snprintf(name, sizeof(name), "greeter-%zu", i);
        snprintf(zips[i], sizeof(zips[i]), "%s/%s.zip", folder, name);
        BundlePack pack = {.output = zips[i], .name = name, .version = "1.0.0", .library = library};
        if (bundle_pack(&pack, &error) < 0) {
            die("pack", &error);
        }
    }
}

static void measure_bundles(sd_event *event, const char *folder, char zips[BUNDLES][4096], size_t count)
{
    double times[ROUNDS], stops[ROUNDS];
    char cache[4096], what[64];
    const char *paths[BUNDLES];
    for (size_t i = 0; i < count; i++) {
        paths[i] = zips[i];
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        snprintf(cache, sizeof(cache), "%s/cache-%zu-%zu", folder, count, i);
        Framework *framework = ready(event, cache);
        InaError error = {0};
        double begin = now_us();
        if (framework_set(framework, paths, count, &error) < 0) {
            die("install and start", &error);
        }
        times[i] = (now_us() - begin) / 1e3;
        begin = now_us();
        framework_free(framework);
        stops[i] = (now_us() - begin) / 1e3;
    }
    snprintf(what, sizeof(what), "install and start %zu small bundles", count);
    report(what, times, ROUNDS, "ms");
    snprintf(what, sizeof(what), "stop %zu small bundles and end", count);
    report(what, stops, ROUNDS, "ms");
}

static void nothing(void *self, InaCall *call, unsigned method, const ProtobufCMessage *request)
{
    Example__V1__GreetReply reply = EXAMPLE__V1__GREET_REPLY__INIT;
    reply.text = (char *)"hello";
    ina_call_reply(call, &reply.base);
}

static void measure_lookup(sd_event *event, size_t services)
{
    Framework *framework = ready(event, NULL);
    InaError error = {0};
    InaContract *contracts = calloc(services, sizeof(*contracts));
    char(*names)[32] = calloc(services, sizeof(*names));
    ServiceEntry **entries = calloc(services, sizeof(ServiceEntry *));
    for (size_t i = 0; i < services; i++) {
        snprintf(names[i], sizeof(names[i]), "bench.v1.Service%zu", i);
        contracts[i] = example_v1_greeter_contract;
        contracts[i].name = names[i];
        ServiceDescription description = {.contract = &contracts[i], .invoke = nothing};
        if (registry_add(framework, &description, &entries[i], &error) < 0) {
            die("register", &error);
        }
    }
    sd_event_run(event, 0);
    double times[ROUNDS];
    const size_t turns = 100000;
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t found = 0;
        double begin = now_us();
        for (size_t j = 0; j < turns; j++) {
            found += registry_find(framework, names[j * 7919 % services], NULL) != NULL;
        }
        times[i] = (now_us() - begin) / (double)turns;
        if (found != turns) {
            fprintf(stderr, "found %zu of %zu\n", found, turns);
            exit(1);
        }
    }
    char what[64];
    snprintf(what, sizeof(what), "look-up by name among %zu services", services);
    report(what, times, ROUNDS, "us");
    for (size_t i = 0; i < services; i++) {
        registry_remove(entries[i]);
    }
    framework_free(framework);
    free(entries);
    free(names);
    free(contracts);
}

typedef struct LocalCalls {
    InaClient *client;
    size_t left;
} LocalCalls;

static void greeted(void *userdata, const Example__V1__GreetReply *reply, const InaFailure *failure)
{
    LocalCalls *calls = userdata;
    Example__V1__GreetRequest request = EXAMPLE__V1__GREET_REQUEST__INIT;
    request.name = (char *)"world";
    if (failure) {
        fprintf(stderr, "local call: %s\n", failure->message);
        exit(1);
    }
    if (--calls->left > 0) {
        example_v1_greeter_greet(calls->client, &request, 0, greeted, calls);
    }
}

static void measure_local_call(sd_event *event, char zips[BUNDLES][4096])
{
    Framework *framework = ready(event, NULL);
    InaError error = {0};
    const char *path = zips[0];
    if (framework_set(framework, &path, 1, &error) < 0) {
        die("greeter", &error);
    }
    sd_event_run(event, 0);
    ServiceEntry *entry = registry_find(framework, "example.v1.Greeter", NULL);
    LocalCalls calls = {.client = entry ? client_new(entry) : NULL};
    if (!calls.client) {
        fprintf(stderr, "no greeter\n");
        exit(1);
    }
    double times[ROUNDS];
    const size_t turns = 20000;
    Example__V1__GreetRequest request = EXAMPLE__V1__GREET_REQUEST__INIT;
    request.name = (char *)"world";
    for (size_t i = 0; i < ROUNDS; i++) {
        calls.left = turns;
        double begin = now_us();
        example_v1_greeter_greet(calls.client, &request, 0, greeted, &calls);
        while (calls.left > 0) {
            sd_event_run(event, UINT64_MAX);
        }
        times[i] = (now_us() - begin) / (double)turns;
    }
    report("local call through the loop, bundle to host", times, ROUNDS, "us");
    client_free(calls.client);
    framework_free(framework);
}

int main(int argc, char **argv)
{
    log_set_level(INA_LOG_WARNING);
    char folder[4096] = "/tmp/inaetics-bench-XXXXXX";
    static char zips[BUNDLES][4096];
    sd_event *event;
    if (argc < 2 || sd_event_default(&event) < 0 ||
        (argc > 2 ? snprintf(folder, sizeof(folder), "%s", argv[2]) < 0 : !mkdtemp(folder))) {
        fprintf(stderr, "usage: bench_framework GREETER.so [FOLDER]\n");
        return 2;
    }
    pack_all(argv[1], folder, zips);
    measure_ready(event, folder);
    measure_bundles(event, folder, zips, 1);
    measure_bundles(event, folder, zips, 10);
    measure_bundles(event, folder, zips, 100);
    measure_lookup(event, 1);
    measure_lookup(event, 10000);
    measure_local_call(event, zips);
    sd_event_unref(event);
    InaError error = {0};
    return folder_remove(folder, &error) < 0;
}
