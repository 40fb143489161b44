/* bench_model.c - what associating costs: n artifacts with n targets in one
 * commit, what each target is to have, and one small change afterwards. Not a
 * test: run it on a quiet machine (./bench model does).
 *
 *   bench_model [FOLDER]    FOLDER is for the databases */
#include "base/files.h"
#include "bench.h"
#include "provisioning/repository.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FEATURES 100u
#define CHANGES 101u
#define WANTED_TARGETS_MAX 1000u

static InaError error;

#define must(call)                                                                                                     \
    do {                                                                                                               \
        if ((call) < 0)                                                                                                \
            bench_die("%s", error.message);                                                                            \
    } while (0)

static double milliseconds_since(double start)
{
    return (bench_now() - start) * 1e3;
}

static void add(Model *model, ObjectKind kind, json_t *value)
{
    Object *object = NULL;
    if (!value)
        bench_die("out of memory");
    must(object_new(kind, value, model, &object, &error));
    must(model_add(model, object, &error));
    object_unref(object);
    json_decref(value);
}

static void add_bundle(Model *model, unsigned i, unsigned version)
{
    char name[64], number[32], file[128], size[32];
    snprintf(name, sizeof name, "org.example.bundle.n%u", i);
    snprintf(number, sizeof number, "1.%u.0", version);
    snprintf(file, sizeof file, "%s-%s.jar", name, number);
    snprintf(size, sizeof size, "%u", 1000 + i);
    add(model, OBJECT_ARTIFACT,
        json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:s}}", "attributes", "Bundle-SymbolicName", name, "Bundle-Version",
                  number, "mimetype", "application/vnd.osgi.bundle", "artifactName", file, "artifactSize", size,
                  "runtime", "c"));
}

static void add_named(Model *model, ObjectKind kind, const char *key, const char *prefix, unsigned i)
{
    char name[32];
    snprintf(name, sizeof name, "%s%u", prefix, i);
    add(model, kind, json_pack("{s:{s:s}, s:{s:s}}", "attributes", key, name, "tags", "target.runtime", "c"));
}

/* Every tenth link takes the newest version. */
static void add_link(Model *model, unsigned i)
{
    char left[128], right[64];
    snprintf(left, sizeof left, "artifact-Bundle-SymbolicName-org.example.bundle.n%u-Bundle-Version-1.0.0", i);
    snprintf(right, sizeof right, "feature-name-f%u", i % FEATURES);
    json_t *attributes = i % 10 == 0 ? json_pack("{s:s}", "associationVersionStatement", "0.0.0") : json_object();
    add(model, OBJECT_ARTIFACT2FEATURE,
        json_pack("{s:o, s:s, s:s}", "attributes", attributes, "left", left, "right", right));
}

static void add_filters(Model *model, ObjectKind kind, const char *left, const char *right)
{
    add(model, kind,
        json_pack("{s:{s:s, s:s, s:s, s:s}}", "attributes", "leftEndpoint", left, "rightEndpoint", right,
                  "leftCardinality", "N", "rightCardinality", "N"));
}

static void add_objects(Model *model, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        add_bundle(model, i, 0);
        add_named(model, OBJECT_TARGET, "id", "t", i);
    }
    for (unsigned i = 0; i < FEATURES; i++)
        add_named(model, OBJECT_FEATURE, "name", "f", i);
    add_named(model, OBJECT_DISTRIBUTION, "name", "d", 0);
}

static void add_associations(Model *model, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        add_link(model, i);
    add_filters(model, OBJECT_FEATURE2DISTRIBUTION, "(name=f*)", "(name=d0)");
    add_filters(model, OBJECT_DISTRIBUTION2TARGET, "(name=d0)", "(id=t*)");
}

static size_t count_links(const Model *model)
{
    static const ObjectKind kinds[] = {OBJECT_ARTIFACT2FEATURE, OBJECT_FEATURE2DISTRIBUTION,
                                       OBJECT_DISTRIBUTION2TARGET};
    const ModelLink *links;
    size_t n, total = 0;
    for (size_t i = 0; i < 3; i++) {
        must(model_links(model, kinds[i], &links, &n, &error));
        total += n;
    }
    return total;
}

static void want(const Model *model, unsigned i, size_t expected)
{
    Wanted *wanted;
    size_t n;
    must(model_wanted(model, model_at(model, OBJECT_TARGET, i), &wanted, &n, NULL, &error));
    if (n != expected)
        bench_die("a target is to have %zu artifacts, not %zu", n, expected);
    wanted_free(wanted, n);
}

static void measure_wanted(const Model *model, unsigned n)
{
    unsigned targets = n < WANTED_TARGETS_MAX ? n : WANTED_TARGETS_MAX;
    double start = bench_now();
    want(model, 0, n);
    bench_line("  what the first target is to have", milliseconds_since(start), "ms", 0, NULL);
    start = bench_now();
    for (unsigned i = 1; i < targets; i++)
        want(model, i, n);
    bench_line("  each further target like it", milliseconds_since(start) * 1e3 / (targets - 1), "us", 0, NULL);
}

/* A new version of a bundle that a dynamic link goes to; what each association links then. */
static void measure_changes(Workspace *workspace, unsigned n)
{
    BenchTimes times = {0};
    for (unsigned i = 1; i <= CHANGES; i++) {
        add_bundle(workspace_model(workspace), i * 10 % n, i);
        double start = bench_now();
        count_links(workspace_model(workspace));
        bench_add(&times, (bench_now() - start) * 1e6);
    }
    bench_line("  links after one new version, p50", bench_percentile(&times, 50), "us", 0, NULL);
    bench_line("  links after one new version, p99", bench_percentile(&times, 99), "us", 0, NULL);
    bench_clear(&times);
}

static void measure(const char *folder, unsigned n, double floor_us)
{
    char path[4200];
    Database *database;
    Repository *repository;
    Workspace *workspace;
    snprintf(path, sizeof path, "%s/%u.db", folder, n);
    must(database_open(path, &database, &error));
    must(repository_open(database, &repository, &error));
    must(workspace_new(repository, "bench", &workspace, &error));

    printf("%u artifacts, %u targets, %u associations\n", n, n, n + 2);
    double start = bench_now();
    add_objects(workspace_model(workspace), n);
    must(workspace_commit(workspace, "bench", "objects", NULL, &error));
    bench_line("  artifacts and targets made and committed", milliseconds_since(start), "ms", 0, NULL);
    start = bench_now();
    add_associations(workspace_model(workspace), n);
    double made = milliseconds_since(start);
    must(workspace_commit(workspace, "bench", "associations", NULL, &error));
    size_t links = count_links(repository_model(repository));
    double all = milliseconds_since(start);
    if (links != (size_t)n + FEATURES + n)
        bench_die("%zu links, not %zu", links, (size_t)n + FEATURES + n);
    bench_line("  associations made in a workspace", made, "ms", 0, NULL);
    bench_line("  made, committed and evaluated", all, "ms", all * 1e3 / floor_us, "fdatasync");
    measure_wanted(repository_model(repository), n);
    measure_changes(workspace, n);

    start = bench_now();
    repository_close(repository);
    must(repository_open(database, &repository, &error));
    count_links(repository_model(repository));
    bench_line("  read again and evaluated from nothing", milliseconds_since(start), "ms", 0, NULL);
    repository_close(repository);
    database_close(database);
}

int main(int argc, char **argv)
{
    static const unsigned sizes[] = {100, 1000, 10000};
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/bench-model-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (!mkdtemp(folder))
        bench_die("%s cannot be made", folder);
    double floor_us = bench_floor_sync(folder, 4096, 0.3);
    bench_line("floor: 4 KiB written and fdatasync", floor_us, "us", 0, NULL);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        measure(folder, sizes[i], floor_us);
    folder_remove(folder, NULL);
    return 0;
}
