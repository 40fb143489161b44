#include "plan.h"
#include "artifact.h"
#include "base/cleanup.h"
#include "framework/elf_check.h"
#include <errno.h>
#include <string.h>

/* --- by which ways artifacts come -------------------------------------------------- */

typedef struct Way {
    const Object *artifact, *feature, *distribution;
} Way;

typedef struct Ways {
    Way *items;
    size_t count, capacity;
} Ways;

static int add_way(Ways *ways, const Way *way, InaError *error)
{
    if (ways->count == PLAN_PATHS_MAX)
        return ina_error_set(error, E2BIG, "artifacts reach it by more than %u ways", PLAN_PATHS_MAX);
    if (ways->count == ways->capacity) {
        size_t capacity = ways->capacity ? ways->capacity * 2 : 64;
        Way *items = reallocarray(ways->items, capacity, sizeof *items);
        if (!items)
            return out_of_memory(error);
        ways->items = items;
        ways->capacity = capacity;
    }
    ways->items[ways->count++] = *way;
    return 0;
}

static int add_artifacts(Ways *ways, const PlanKey *key, const Object *feature, const Object *distribution,
                         InaError *error)
{
    size_t i;
    int r = link_set_first(key->artifacts, feature, &i) < 0 ? out_of_memory(error) : 0;
    for (; r == 0 && i != SIZE_MAX; i = link_set_next(key->artifacts, i))
        r = add_way(ways, &(Way){key->artifacts->links[i].left, feature, distribution}, error);
    return r;
}

static int add_features(Ways *ways, const PlanKey *key, const Object *distribution, InaError *error)
{
    size_t i;
    int r = link_set_first(key->features, distribution, &i) < 0 ? out_of_memory(error) : 0;
    for (; r == 0 && i != SIZE_MAX; i = link_set_next(key->features, i))
        r = add_artifacts(ways, key, key->features->links[i].left, distribution, error);
    return r;
}

static int order_objects(const Object *a, const Object *b)
{
    return a == b ? 0 : strcmp(object_definition(a), object_definition(b));
}

static int order_ways(const void *a, const void *b)
{
    const Way *x = a, *y = b;
    int order = order_objects(x->artifact, y->artifact);
    if (order == 0)
        order = order_objects(x->feature, y->feature);
    return order != 0 ? order : order_objects(x->distribution, y->distribution);
}

/* --- what is wanted ------------------------------------------------------------------ */

static int add_wanted(Plan *plan, const Object *artifact, const Buffer *paths, InaError *error)
{
    Wanted *wanted = reallocarray(plan->wanted, plan->n_wanted + 1, sizeof *wanted);
    if (!wanted)
        return out_of_memory(error);
    plan->wanted = wanted;
    char *text = strdup(paths->data ? paths->data : "");
    if (!text || paths->failed) {
        free(text);
        return out_of_memory(error);
    }
    wanted[plan->n_wanted++] = (Wanted){artifact, text};
    return 0;
}

/* Ways are sorted: those of one artifact stand together. */
static int add_all_wanted(Plan *plan, const Ways *ways, InaError *error)
{
    Buffer paths = {0};
    int r = 0;

    for (size_t i = 0; i < ways->count && r == 0; i++) {
        const Way *way = &ways->items[i];
        if (i == 0 || order_ways(way - 1, way) != 0)
            buffer_print(&paths, "%s%s;%s", paths.size > 0 ? "," : "", object_attribute(way->feature, "name"),
                         object_attribute(way->distribution, "name"));
        if (i + 1 == ways->count || way[1].artifact != way->artifact) {
            r = add_wanted(plan, way->artifact, &paths, error);
            buffer_clear(&paths);
        }
    }
    buffer_free(&paths);
    return r;
}

static int gather(Plan *plan, InaError *error)
{
    Ways ways = {0};
    int r = 0;

    for (size_t i = 0; i < plan->key.n_distributions && r == 0; i++)
        r = add_features(&ways, &plan->key, plan->key.distributions[i], error);
    if (r == 0 && ways.count > 0) {
        qsort(ways.items, ways.count, sizeof *ways.items, order_ways);
        r = add_all_wanted(plan, &ways, error);
    }
    free(ways.items);
    return r;
}

/* --- reasons -------------------------------------------------------------------------- */

void print_wanted(Buffer *out, const Wanted *wanted)
{
    const Object *artifact = wanted->artifact;
    const char *paths = wanted->paths;

    if (artifact->is_bundle)
        buffer_print(out, "%s %s %s", artifact->is_processor ? "resource processor" : "bundle",
                     object_attribute(artifact, "Bundle-SymbolicName"), object_attribute(artifact, "Bundle-Version"));
    else
        buffer_print(out, "configuration %s", object_attribute(artifact, "filename"));
    int feature = (int)strcspn(paths, ";");
    if (paths[feature] == ';') {
        const char *distribution = paths + feature + 1;
        buffer_print(out, " (feature %.*s, distribution %.*s)", feature, paths, (int)strcspn(distribution, ","),
                     distribution);
    }
}

void print_reason(Buffer *reasons, const Wanted *wanted)
{
    if (reasons->size > 0)
        buffer_append(reasons, "\n", 1);
    if (wanted)
        print_wanted(reasons, wanted);
}

static const char *runtime_of(const Object *artifact)
{
    return artifact->is_bundle ? object_attribute(artifact, "runtime") : NULL;
}

static bool same_runtime(const char *a, const char *b)
{
    return !a || !b || strcasecmp(a, b) == 0; /* what is not known may fit */
}

static void check_runtimes(const Plan *plan, Buffer *reasons)
{
    for (size_t i = 0; i < plan->n_wanted; i++) {
        const char *runtime = runtime_of(plan->wanted[i].artifact);
        if (same_runtime(runtime, plan->key.runtime))
            continue;
        print_reason(reasons, &plan->wanted[i]);
        buffer_print(reasons,
                     " is for runtime %s, the target runs %s; right would be a bundle for %s, or a distribution "
                     "without this feature",
                     runtime, plan->key.runtime, plan->key.runtime);
    }
}

/* Of a target that did not tell its runtime we know at least that it has only one. */
static void check_mixture(const Plan *plan, Buffer *reasons)
{
    const Wanted *first = NULL;

    for (size_t i = 0; i < plan->n_wanted && !plan->key.runtime; i++) {
        const Wanted *wanted = &plan->wanted[i];
        if (!runtime_of(wanted->artifact))
            continue;
        if (!first)
            first = wanted;
        if (same_runtime(runtime_of(first->artifact), runtime_of(wanted->artifact)))
            continue;
        print_reason(reasons, wanted);
        buffer_print(reasons, " is for runtime %s, but ", runtime_of(wanted->artifact));
        print_wanted(reasons, first);
        buffer_print(reasons,
                     " for runtime %s, and an agent runs one kind; right would be bundles of one kind, or the "
                     "attribute runtime at the target",
                     runtime_of(first->artifact));
        return;
    }
}

static bool lists_processor(const char *list, const char *processor)
{
    while (*list) {
        char name[64];
        size_t length = strcspn(list, ","), blanks = strspn(list, " ");
        if (blanks <= length && length - blanks < sizeof name) {
            memcpy(name, list + blanks, length - blanks);
            name[length - blanks] = '\0';
            if (strcasecmp(name, processor) == 0 || elf_processors_alike(name, processor))
                return true;
        }
        list += length + (list[length] == ',');
    }
    return false;
}

static void check_processors(const Plan *plan, Buffer *reasons)
{
    for (size_t i = 0; i < plan->n_wanted && plan->key.processor; i++) {
        const Object *artifact = plan->wanted[i].artifact;
        const char *list = artifact->is_bundle ? object_attribute(artifact, "processors") : NULL;
        if (!list || !*list || lists_processor(list, plan->key.processor))
            continue;
        print_reason(reasons, &plan->wanted[i]);
        buffer_print(reasons, " has native code for %s, the target's processor is %s", list, plan->key.processor);
    }
}

static int order_by_name(const void *a, const void *b)
{
    const Wanted *x = *(const Wanted *const *)a, *y = *(const Wanted *const *)b;
    int order = strcmp(object_attribute(x->artifact, "Bundle-SymbolicName"),
                       object_attribute(y->artifact, "Bundle-SymbolicName"));
    return order != 0 ? order : version_compare(&x->artifact->version, &y->artifact->version);
}

/* An agent has one version of a bundle. */
static int check_versions(const Plan *plan, Buffer *reasons, InaError *error)
{
    const Wanted **AUTO_FREE bundles = calloc(plan->n_wanted + 1, sizeof *bundles);
    size_t n = 0;

    if (!bundles)
        return out_of_memory(error);
    for (size_t i = 0; i < plan->n_wanted; i++)
        if (plan->wanted[i].artifact->is_bundle)
            bundles[n++] = &plan->wanted[i];
    qsort(bundles, n, sizeof *bundles, order_by_name);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(object_attribute(bundles[i - 1]->artifact, "Bundle-SymbolicName"),
                   object_attribute(bundles[i]->artifact, "Bundle-SymbolicName")) != 0)
            continue;
        print_reason(reasons, bundles[i - 1]);
        buffer_print(reasons, " and ");
        print_wanted(reasons, bundles[i]);
        buffer_print(reasons, ": two versions of one bundle; right would be one of them");
    }
    return 0;
}

/* --- resource processors ------------------------------------------------------------------ */

typedef struct Search {
    const char *pid, *runtime;
    const Object *best, *other; /* other: for another runtime */
} Search;

static void look_at_artifact(void *userdata, const Object *artifact)
{
    Search *search = userdata;

    if (!artifact->is_processor || strcmp(object_attribute(artifact, PROCESSOR_ATTRIBUTE), search->pid) != 0)
        return;
    if (!same_runtime(runtime_of(artifact), search->runtime))
        search->other = artifact;
    else if (!search->best || version_compare(&artifact->version, &search->best->version) > 0)
        search->best = artifact;
}

static void refuse_without_processor(Buffer *reasons, const Wanted *wanted, const Search *search)
{
    print_reason(reasons, wanted);
    buffer_print(reasons, " needs the resource processor %s, which no artifact provides", search->pid);
    if (search->other)
        buffer_print(reasons, " for runtime %s (%s %s is for %s)", search->runtime,
                     object_attribute(search->other, "Bundle-SymbolicName"),
                     object_attribute(search->other, "Bundle-Version"), runtime_of(search->other));
    buffer_print(reasons, "; right would be to upload a bundle with " PROCESSOR_ATTRIBUTE ": %s", search->pid);
}

static bool is_wanted(const Plan *plan, const Object *artifact)
{
    for (size_t i = 0; i < plan->n_wanted; i++)
        if (plan->wanted[i].artifact == artifact)
            return true;
    return false;
}

/* Agents for C bundles configure components themselves. */
static bool built_in(const Plan *plan, const char *pid)
{
    return plan->key.runtime && strcasecmp(plan->key.runtime, "c") == 0 && strcmp(pid, PROCESSOR_CONFIGURATION) == 0;
}

static int add_processor_for(Plan *plan, size_t index, Buffer *reasons, InaError *error)
{
    Search search = {.pid = object_attribute(plan->wanted[index].artifact, "processorPid"),
                     .runtime = plan->key.runtime};

    if (!search.pid || !*search.pid) {
        print_reason(reasons, &plan->wanted[index]);
        buffer_print(reasons, " says no resource processor; right would be its PID as attribute processorPid");
        return 0;
    }
    if (built_in(plan, search.pid))
        return 0;
    tree_each(plan->key.artifacts->left, look_at_artifact, &search);
    if (!search.best)
        refuse_without_processor(reasons, &plan->wanted[index], &search);
    else if (!is_wanted(plan, search.best))
        return add_wanted(plan, search.best, &(Buffer){0}, error);
    return 0;
}

static int order_wanted(const void *a, const void *b)
{
    return order_objects(((const Wanted *)a)->artifact, ((const Wanted *)b)->artifact);
}

static int add_processors(Plan *plan, Buffer *reasons, InaError *error)
{
    const char *last = NULL;
    size_t n = plan->n_wanted;

    for (size_t i = 0; i < n; i++) {
        const Object *artifact = plan->wanted[i].artifact;
        const char *pid = object_attribute(artifact, "processorPid");
        /* Mostly all configurations have the same; each that lacks one is named. */
        if (artifact->is_bundle || (pid && last && reasons->size == 0 && strcmp(pid, last) == 0))
            continue;
        int r = add_processor_for(plan, i, reasons, error);
        if (r < 0)
            return r;
        last = pid;
    }
    if (plan->n_wanted > n)
        qsort(plan->wanted, plan->n_wanted, sizeof *plan->wanted, order_wanted);
    return 0;
}

/* --- making ---------------------------------------------------------------------------------- */

/* After a whole line. */
static void cut_reasons(Buffer *reasons)
{
    if (reasons->size <= PLAN_REASONS_MAX)
        return;
    size_t end = PLAN_REASONS_MAX;
    while (end > 0 && reasons->data[end] != '\n')
        end--;
    if (end == 0) /* one line: then at least whole characters */
        for (end = PLAN_REASONS_MAX; ((unsigned char)reasons->data[end] & 0xc0) == 0x80;)
            end--;
    reasons->size = end;
    buffer_print(reasons, "\n(and more)");
}

int plan_make(Plan *plan, InaError *error)
{
    Buffer reasons = {0};

    int r = gather(plan, error);
    if (r == 0)
        r = add_processors(plan, &reasons, error);
    if (r == 0) {
        check_runtimes(plan, &reasons);
        check_mixture(plan, &reasons);
        check_processors(plan, &reasons);
        r = check_versions(plan, &reasons, error);
    }
    if (r == 0)
        r = plan_check_requirements(plan, &reasons, error);
    if (r == 0 && reasons.failed)
        r = out_of_memory(error);
    if (r == 0 && reasons.size > 0) {
        cut_reasons(&reasons);
        plan->reasons = TAKE_PTR(reasons.data);
    }
    buffer_free(&reasons);
    return r;
}
