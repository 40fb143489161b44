/* simulate.c - the scaling policies on simulated time, compared. */
#include "cli.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "coordinator/simulation.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define POLICIES_MAX 16u
#define WORKLOADS_MAX 16u
#define PROCESSORS_MAXIMUM 8.0
#define TRACE_FILE_MAX (8u << 20)

typedef struct Comparison {
    SimulationOptions options;
    const char *policies[POLICIES_MAX];
    PolicyConfig configs[POLICIES_MAX];
    size_t n_policies;
    Workload workloads[WORKLOADS_MAX];
    size_t n_workloads;
    SimulationResult results[WORKLOADS_MAX][POLICIES_MAX];
} Comparison;

static bool add_policy(Comparison *c, const char *name, const json_t *values)
{
    InaError error = {0};
    if (policy_configure(name, values, 1, PROCESSORS_MAXIMUM, &c->configs[c->n_policies], &error) < 0) {
        cli_fail("policy %s: %s", name, error.message);
        return false;
    }
    c->policies[c->n_policies++] = name;
    return true;
}

static bool choose_policies(Comparison *c, const char *name)
{
    if (name)
        return add_policy(c, name, NULL);
    for (unsigned i = 0; policy_name(i) && c->n_policies < POLICIES_MAX; i++)
        if (!add_policy(c, policy_name(i), NULL))
            return false;
    return true;
}

static bool add_workload(Comparison *c, const char *name)
{
    InaError error = {0};
    if (workload_new(name, c->options.seed, &c->workloads[c->n_workloads], &error) < 0) {
        cli_fail("%s", error.message);
        return false;
    }
    c->n_workloads++;
    return true;
}

static bool add_trace(Comparison *c, const char *path)
{
    InaError error = {0};
    AUTO_FREE char *text = NULL;
    size_t size;
    const char *slash = strrchr(path, '/');
    int r = file_read(path, TRACE_FILE_MAX, &text, &size, &error);
    if (r == 0) {
        r = workload_parse(text, size, slash ? slash + 1 : path, &c->workloads[c->n_workloads], &error);
        if (r < 0)
            ina_error_wrap(&error, "%s", path);
    }
    if (r < 0) {
        cli_fail("%s", error.message);
        return false;
    }
    c->n_workloads++;
    return true;
}

static bool choose_workloads(Comparison *c, const Arguments *arguments)
{
    if (arguments->trace && !add_trace(c, arguments->trace))
        return false;
    if (arguments->workload)
        return add_workload(c, arguments->workload);
    for (unsigned i = 0; !arguments->trace && workload_name(i) && c->n_workloads < WORKLOADS_MAX; i++)
        if (!add_workload(c, workload_name(i)))
            return false;
    return true;
}

static bool choose_options(Comparison *c, const Arguments *arguments)
{
    char *end = NULL;
    simulation_defaults(&c->options);
    if (arguments->seed) {
        errno = 0;
        c->options.seed = strtoull(arguments->seed, &end, 10);
        if (errno != 0 || end == arguments->seed || *end || *arguments->seed == '-') {
            cli_fail("--seed %s: must be a whole number, 0 or more", arguments->seed);
            return false;
        }
    }
    if (arguments->start_up) {
        c->options.start_up = strtod(arguments->start_up, &end);
        if (end == arguments->start_up || *end || !(c->options.start_up >= 0 && c->options.start_up <= 600)) {
            cli_fail("--start-up %s: must be seconds, 0 to 600", arguments->start_up);
            return false;
        }
    }
    return true;
}

static bool run_all(Comparison *c)
{
    InaError error = {0};
    for (size_t w = 0; w < c->n_workloads; w++)
        for (size_t p = 0; p < c->n_policies; p++)
            if (simulate(&c->configs[p], &c->workloads[w], &c->options, &c->results[w][p], &error) < 0) {
                cli_fail("%s", error.message);
                return false;
            }
    return true;
}

static void print_table(const Comparison *c)
{
    printf("seed %llu, a processor works after %g s, quality: no sample waits longer than %g s\n",
           (unsigned long long)c->options.seed, c->options.start_up, c->options.wait);
    for (size_t w = 0; w < c->n_workloads; w++) {
        printf("\n%s: %s\n\n", c->workloads[w].name, c->workloads[w].summary);
        printf("%-10s %15s %13s %12s %9s %18s %9s %10s\n", "POLICY", "OUT OF QUALITY", "MAX BACKLOG", "LONGEST WAIT",
               "REFUSED", "PROCESSOR-SECONDS", "SCALINGS", "REVERSALS");
        for (size_t p = 0; p < c->n_policies; p++) {
            const SimulationResult *r = &c->results[w][p];
            printf("%-10s %13.1f s %13.0f %10.1f s %9.0f %18.0f %9u %10u\n", c->policies[p], r->bad, r->backlog_max,
                   r->wait_max, r->refused, r->processor_seconds, r->scalings, r->reversals);
        }
    }
}

static int print_json(const Comparison *c)
{
    AUTO_JSON json_t *rows = json_array();
    for (size_t w = 0; w < c->n_workloads; w++)
        for (size_t p = 0; p < c->n_policies; p++) {
            const SimulationResult *r = &c->results[w][p];
            json_array_append_new(rows,
                                  json_pack("{s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i}", "workload",
                                            c->workloads[w].name, "policy", c->policies[p], "seed",
                                            (json_int_t)c->options.seed, "startUp", c->options.start_up, "outOfQuality",
                                            r->bad, "maximumBacklog", r->backlog_max, "longestWait", r->wait_max,
                                            "refused", r->refused, "processorSeconds", r->processor_seconds, "arrived",
                                            r->arrived, "scalings", (int)r->scalings, "reversals", (int)r->reversals));
        }
    json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    puts("");
    return CLI_OK;
}

/* FILE for one workload; with several, FILE's name and that of each. */
static bool write_pictures(const Comparison *c, const char *path)
{
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    int stem = dot && dot > slash ? (int)(dot - path) : (int)strlen(path);
    for (size_t w = 0; w < c->n_workloads; w++) {
        SimulationPanel panels[POLICIES_MAX];
        InaError error = {0};
        char name[4096];
        for (size_t p = 0; p < c->n_policies; p++)
            panels[p] = (SimulationPanel){c->policies[p], &c->results[w][p]};
        AUTO_FREE char *svg = simulation_svg(&c->workloads[w], &c->options, PROCESSORS_MAXIMUM, panels, c->n_policies);
        if (c->n_workloads == 1)
            snprintf(name, sizeof name, "%s", path);
        else
            snprintf(name, sizeof name, "%.*s-%s%s", stem, path, c->workloads[w].name, path + stem);
        if (!svg || file_write(name, svg, strlen(svg), 0644, &error) < 0) {
            cli_fail("%s", svg ? error.message : "out of memory");
            return false;
        }
    }
    return true;
}

int command_simulate(const Arguments *arguments, Instance *instance)
{
    Comparison *c = calloc(1, sizeof *c);
    int status = CLI_FAILED;
    (void)instance;
    if (!c)
        return cli_fail("out of memory");
    if (choose_options(c, arguments) && choose_policies(c, arguments->policy) && choose_workloads(c, arguments) &&
        run_all(c) && (!arguments->svg || write_pictures(c, arguments->svg))) {
        status = CLI_OK;
        if (arguments->json)
            print_json(c);
        else
            print_table(c);
    }
    for (size_t w = 0; w < c->n_workloads; w++) {
        for (size_t p = 0; p < c->n_policies; p++)
            simulation_clear(&c->results[w][p]);
        workload_clear(&c->workloads[w]);
    }
    free(c);
    return status;
}
