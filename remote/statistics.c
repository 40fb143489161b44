#include "statistics.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Upper bounds in ns; the last bucket has none. */
static const uint64_t bounds[REMOTE_BUCKETS] = {
    25000,    50000,    100000,    250000,    500000,    1000000,    2500000,    5000000,    10000000,
    25000000, 50000000, 100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000, 10000000000,
};

typedef struct ContractStatistics {
    char *contract;
    unsigned n_methods;
    char **names;
    MethodStatistics *methods;
} ContractStatistics;

struct RemoteStatistics {
    Map *contracts; /* by "name digest" */
};

RemoteStatistics *remote_statistics_new(void)
{
    RemoteStatistics *statistics = calloc(1, sizeof(*statistics));
    if (statistics && !(statistics->contracts = map_new()))
        return remote_statistics_free(statistics);
    return statistics;
}

static ContractStatistics *contract_free(ContractStatistics *contract)
{
    if (!contract)
        return NULL;
    for (unsigned i = 0; contract->names && i < contract->n_methods; i++)
        free(contract->names[i]);
    free(contract->names);
    free(contract->methods);
    free(contract->contract);
    free(contract);
    return NULL;
}

RemoteStatistics *remote_statistics_free(RemoteStatistics *statistics)
{
    if (!statistics)
        return NULL;
    size_t position = 0;
    void *contract;
    while (map_next(statistics->contracts, &position, NULL, &contract))
        contract_free(contract);
    map_free(statistics->contracts);
    free(statistics);
    return NULL;
}

static ContractStatistics *contract_new(const InaContract *contract)
{
    ContractStatistics *new = calloc(1, sizeof(*new));
    if (!new)
        return NULL;
    new->contract = strdup(contract->name);
    new->n_methods = contract->n_methods;
    new->names = calloc(contract->n_methods + 1, sizeof(*new->names));
    new->methods = calloc(contract->n_methods + 1, sizeof(*new->methods));
    if (!new->contract || !new->names || !new->methods)
        return contract_free(new);
    for (unsigned i = 0; i < contract->n_methods; i++)
        if (!(new->names[i] = strdup(contract->methods[i].name)))
            return contract_free(new);
    return new;
}

MethodStatistics *remote_statistics_of(RemoteStatistics *statistics, const InaContract *contract)
{
    char key[512];
    snprintf(key, sizeof(key), "%.255s %u %.200s", contract->name, contract->n_methods, contract->digest);
    ContractStatistics *found = map_get(statistics->contracts, key);
    if (found)
        return found->methods;
    if (map_count(statistics->contracts) >= REMOTE_STATISTICS_MAX)
        return NULL;
    found = contract_new(contract);
    if (found && map_set(statistics->contracts, key, found) < 0)
        found = contract_free(found);
    return found ? found->methods : NULL;
}

void method_statistics_begin(MethodStatistics *method, size_t bytes)
{
    method->open++;
    method->bytes_out += bytes;
}

void method_statistics_end(MethodStatistics *method, InaCode code, uint64_t nanoseconds, size_t bytes)
{
    method->open--;
    method->calls[(unsigned)code < REMOTE_CODES ? code : INA_CODE_UNKNOWN]++;
    method->bytes_in += bytes;
    method->nanoseconds += nanoseconds;
    unsigned bucket = 0;
    while (bucket < REMOTE_BUCKETS && nanoseconds > bounds[bucket])
        bucket++;
    method->buckets[bucket]++;
}

/* --- OpenMetrics -------------------------------------------------------- */

typedef void (*PrintMethod)(Buffer *buffer, const char *side, const char *labels, const MethodStatistics *method);

static void print_calls(Buffer *buffer, const char *side, const char *labels, const MethodStatistics *method)
{
    for (unsigned code = 0; code < REMOTE_CODES; code++)
        if (method->calls[code])
            buffer_print(buffer, "inaetics_%s_calls_total{%s,code=\"%s\"} %llu\n", side, labels,
                         ina_code_name((InaCode)code), (unsigned long long)method->calls[code]);
}

static void print_open(Buffer *buffer, const char *side, const char *labels, const MethodStatistics *method)
{
    buffer_print(buffer, "inaetics_%s_open{%s} %llu\n", side, labels, (unsigned long long)method->open);
}

static void print_retries(Buffer *buffer, const char *side, const char *labels, const MethodStatistics *method)
{
    buffer_print(buffer, "inaetics_%s_retries_total{%s} %llu\n", side, labels, (unsigned long long)method->retries);
}

static void print_bytes(Buffer *buffer, const char *side, const char *labels, const MethodStatistics *method)
{
    buffer_print(buffer, "inaetics_%s_message_bytes_total{%s,direction=\"in\"} %llu\n", side, labels,
                 (unsigned long long)method->bytes_in);
    buffer_print(buffer, "inaetics_%s_message_bytes_total{%s,direction=\"out\"} %llu\n", side, labels,
                 (unsigned long long)method->bytes_out);
}

static void print_seconds(Buffer *buffer, const char *side, const char *labels, const MethodStatistics *method)
{
    unsigned long long count = 0;
    for (unsigned i = 0; i <= REMOTE_BUCKETS; i++) {
        char bound[32] = "+Inf";
        if (i < REMOTE_BUCKETS)
            snprintf(bound, sizeof(bound), "%g", (double)bounds[i] / 1e9);
        count += method->buckets[i];
        buffer_print(buffer, "inaetics_%s_seconds_bucket{%s,le=\"%s\"} %llu\n", side, labels, bound, count);
    }
    buffer_print(buffer, "inaetics_%s_seconds_sum{%s} %.9f\n", side, labels, (double)method->nanoseconds / 1e9);
    buffer_print(buffer, "inaetics_%s_seconds_count{%s} %llu\n", side, labels, count);
}

static bool was_used(const MethodStatistics *method)
{
    bool used = method->open > 0;
    for (unsigned code = 0; code < REMOTE_CODES; code++)
        used = used || method->calls[code] > 0;
    return used;
}

/* A family's lines must stand together, so the contracts are walked once for each. */
static void print_family(const RemoteStatistics *statistics, const char *side, Buffer *buffer, PrintMethod print)
{
    size_t position = 0;
    void *value;
    while (map_next(statistics->contracts, &position, NULL, &value)) {
        const ContractStatistics *contract = value;
        for (unsigned i = 0; i < contract->n_methods; i++) {
            char labels[600];
            snprintf(labels, sizeof(labels), "service=\"%.255s\",method=\"%.255s\"", contract->contract,
                     contract->names[i]);
            if (was_used(&contract->methods[i]))
                print(buffer, side, labels, &contract->methods[i]);
        }
    }
}

void remote_statistics_print(const RemoteStatistics *statistics, const char *side, Buffer *buffer)
{
    static const struct {
        const char *name, *type, *help;
        PrintMethod print;
    } families[] = {
        {"calls", "counter", "Remote calls that ended, by Connect code.", print_calls},
        {"open", "gauge", "Remote calls under way.", print_open},
        {"retries", "counter", "Calls sent again after a failure of transport.", print_retries},
        {"message_bytes", "counter", "Bytes of the calls' messages.", print_bytes},
        {"seconds", "histogram", "From begin to end of remote calls.", print_seconds},
    };
    for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++) {
        buffer_print(buffer, "# TYPE inaetics_%s_%s %s\n", side, families[i].name, families[i].type);
        buffer_print(buffer, "# HELP inaetics_%s_%s %s\n", side, families[i].name, families[i].help);
        print_family(statistics, side, buffer, families[i].print);
    }
}
