/* bundles.c - the bundles of a framework: installing, resolving, starting as a set. */
#include "bundles.h"
#include "base/map.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

static void say(Framework *framework, InaLogLevel level, const char *message)
{
    logs_write(framework->bundles->logs, 0, "framework", NULL, level, message);
}

/* --- the list ------------------------------------------------------------- */

static int add_with_id(Framework *framework, int64_t id, Revision *revision, bool autostart, Bundle **ret,
                       InaError *error)
{
    Bundles *bundles = framework->bundles;
    Bundle *bundle = calloc(1, sizeof *bundle);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression) */
    Bundle **list = reallocarray(bundles->list, bundles->n_bundles + 1, sizeof *list);

    if (list)
        bundles->list = list;
    if (!bundle || !list) {
        free(bundle);
        revision_free(revision);
        return no_memory(error);
    }
    bundle->framework = framework;
    bundle->id = id;
    bundle->revision = revision;
    bundle->autostart = autostart;
    bundle_set_state(bundle, BUNDLE_INSTALLED);
    list[bundles->n_bundles++] = bundle;
    *ret = bundle;
    return 0;
}

int bundles_add(Framework *framework, Revision *revision, bool autostart, bool platform, Bundle **ret, InaError *error)
{
    Bundles *bundles = framework->bundles;
    char digest[ARCHIVE_DIGEST_SIZE];
    Bundle *bundle;

    strcpy(digest, revision->digest);
    int r = add_with_id(framework, cache_next_id(bundles->cache), revision, false, &bundle, error);
    if (r < 0)
        return r;
    bundle->platform = platform;
    r = bundle_record(bundle, digest, autostart, error);
    if (r < 0) {
        bundle_drop_contents(bundle, digest);
        bundles_drop(bundle);
        return r;
    }
    bundle_say(bundle, INA_LOG_DEBUG, "bundle %s installed", bundle_version(bundle));
    *ret = bundle;
    return 0;
}

void bundles_drop(Bundle *bundle)
{
    Bundles *bundles = bundle->framework->bundles;

    for (size_t i = 0; i < bundles->n_bundles; i++)
        if (bundles->list[i] == bundle) {
            memmove(&bundles->list[i], &bundles->list[i + 1], (--bundles->n_bundles - i) * sizeof(Bundle *));
            break;
        }
    logs_forget(bundles->logs, bundle->id);
    revision_free(bundle->revision);
    free(bundle);
}

Bundle *framework_bundle(Framework *framework, int64_t id)
{
    for (size_t i = 0; i < framework->bundles->n_bundles; i++)
        if (framework->bundles->list[i]->id == id)
            return framework->bundles->list[i];
    return NULL;
}

Bundle *framework_bundle_named(Framework *framework, const char *symbolic_name)
{
    for (size_t i = 0; i < framework->bundles->n_bundles; i++)
        if (strcmp(bundle_name(framework->bundles->list[i]), symbolic_name) == 0)
            return framework->bundles->list[i];
    return NULL;
}

size_t framework_bundles(Framework *framework, Bundle **ret, size_t maximum)
{
    for (size_t i = 0; i < framework->bundles->n_bundles && i < maximum; i++)
        ret[i] = framework->bundles->list[i];
    return framework->bundles->n_bundles;
}

/* --- resolving ------------------------------------------------------------ */

static Candidate candidate_of(const Bundle *bundle)
{
    return (Candidate){
        .description = bundle->revision->description,
        .resolved = bundle->state != BUNDLE_INSTALLED,
    };
}

int bundle_unresolved(const Candidate *candidate, InaError *error)
{
    return ina_error_set(error, ENOEXEC, "bundle %s %s cannot be resolved; it misses: %s", candidate->description->name,
                         candidate->description->version_text, candidate->missing);
}

int bundles_resolve(Framework *framework, Bundle *bundle, const Revision *replaced, InaError *error)
{
    Bundles *bundles = framework->bundles;
    int r = 0;

    if (bundle && !replaced && bundle->state != BUNDLE_INSTALLED)
        return 0;
    Candidate *candidates = calloc(bundles->n_bundles + 1, sizeof *candidates);
    if (!candidates)
        return no_memory(error);
    for (size_t i = 0; i < bundles->n_bundles; i++) {
        candidates[i] = candidate_of(bundles->list[i]);
        if (!replaced)
            continue;
        /* Others may have lived on the old version: they are asked anew. */
        candidates[i].resolved = false;
        if (bundles->list[i] == bundle)
            candidates[i].description = replaced->description;
    }
    r = resolver_resolve(bundles->framework, candidates, bundles->n_bundles, error);
    for (size_t i = 0; r == 0 && i < bundles->n_bundles; i++) {
        Bundle *other = bundles->list[i];
        if (!candidates[i].resolved) {
            if (!bundle || other == bundle)
                r = bundle_unresolved(&candidates[i], error);
            else if (replaced && other->state != BUNDLE_INSTALLED) {
                r = bundle_unresolved(&candidates[i], error);
                (void)ina_error_wrap(error, "with %s %s", replaced->description->name,
                                     replaced->description->version_text);
            }
        } else if (!replaced && other->state == BUNDLE_INSTALLED) {
            bundle_set_state(other, BUNDLE_RESOLVED);
        }
    }
    candidates_clear(candidates, bundles->n_bundles);
    free(candidates);
    return r;
}

int bundle_explain(Bundle *bundle, Candidate *ret, InaError *error)
{
    Bundles *bundles = bundle->framework->bundles;
    Candidate *candidates = calloc(bundles->n_bundles + 1, sizeof *candidates);
    if (!candidates)
        return no_memory(error);

    size_t index = 0;
    for (size_t i = 0; i < bundles->n_bundles; i++) {
        candidates[i] = candidate_of(bundles->list[i]);
        if (bundles->list[i] == bundle)
            candidates[index = i].resolved = false;
    }
    int r = resolver_resolve(bundles->framework, candidates, bundles->n_bundles, error);
    if (r == 0) {
        *ret = candidates[index];
        candidates[index] = (Candidate){0};
    }
    candidates_clear(candidates, bundles->n_bundles);
    free(candidates);
    return r;
}

/* --- installing ----------------------------------------------------------- */

int framework_install(Framework *framework, const char *zip, Bundle **ret, InaError *error)
{
    Bundles *bundles = framework->bundles;
    Revision *revision;
    Bundle *bundle;

    int r = revision_install(bundles->cache, zip, false, &revision, error);
    if (r < 0)
        return r;
    Bundle *present = framework_bundle_named(framework, revision->description->name);
    if (present) {
        r = ina_error_set(error, EEXIST,
                          "bundle %s is installed already (number %lld, version %s); update it for another one",
                          bundle_name(present), (long long)present->id, bundle_version(present));
        bundle_drop_contents(present, revision->digest);
        revision_free(revision);
        return r;
    }
    r = bundles_add(framework, revision, false, false, &bundle, error);
    if (r == 0 && ret)
        *ret = bundle;
    return r;
}

/* --- starting what was started -------------------------------------------- */

static int load_bundle(Framework *framework, const CacheRecord *record, InaError *error)
{
    Revision *revision;
    Bundle *bundle;
    InaError why = {0};

    int r = revision_from_cache(framework->bundles->cache, record->digest, &revision, &why);
    if (r == -ENOMEM)
        return no_memory(error);
    if (r == 0 && framework_bundle_named(framework, revision->description->name)) {
        r = ina_error_set(&why, EEXIST, "there is another bundle %s", revision->description->name);
        revision_free(revision);
    }
    if (r == 0) {
        r = add_with_id(framework, record->id, revision, record->started, &bundle, error);
        if (r == 0)
            bundle->platform = record->platform;
        return r;
    }
    /* A file lost in a power failure, or someone wrote there: what is not as
     * it was installed is not run. It can be installed again. */
    (void)ina_error_wrap(&why, "bundle %lld of the cache is dropped, install it again", (long long)record->id);
    say(framework, INA_LOG_ERROR, why.message);
    r = cache_remove(framework->bundles->cache, record->id, error);
    /* What is left is not the set that the note speaks of. */
    return r < 0 || record->platform ? r : cache_set_note(framework->bundles->cache, NULL, error);
}

static int load_bundles(Framework *framework, InaError *error)
{
    const CacheRecord *records;
    bool damaged;
    size_t count = cache_records(framework->bundles->cache, &records, &damaged);
    int r = 0;

    if (damaged)
        say(framework, INA_LOG_ERROR,
            "the records of the bundle cache are damaged and set aside as bundles.json.damaged; install them again");
    CacheRecord *copy = calloc(count + 1, sizeof *copy); /* dropping one changes the cache's */
    if (!copy)
        return no_memory(error);
    for (size_t i = 0; i < count; i++)
        copy[i] = records[i];
    for (size_t i = 0; i < count && r == 0; i++)
        r = load_bundle(framework, &copy[i], error);
    free(copy);
    return r;
}

int framework_start(Framework *framework, InaError *error)
{
    Bundles *bundles = framework->bundles;
    InaError first = {0}, why = {0};

    /* One that misses something is reported when its turn comes. */
    (void)bundles_resolve(framework, NULL, NULL, NULL);
    for (size_t i = 0; i < bundles->n_bundles; i++) {
        if (!bundles->list[i]->autostart || bundle_run(bundles->list[i], START_TOLERANT, &why) == 0)
            continue;
        say(framework, INA_LOG_ERROR, why.message);
        if (first.code == 0)
            first = why;
    }
    if (first.code != 0 && error)
        *error = first;
    return -first.code;
}

const json_t *framework_note(const Framework *framework)
{
    return json_object_get(cache_note(framework->bundles->cache), "note");
}

const char *framework_cache(const Framework *framework)
{
    return cache_folder(framework->bundles->cache);
}

uint64_t framework_errors(const Framework *framework)
{
    return logs_errors(framework->bundles->logs);
}

void framework_last_error(const Framework *framework, char *ret, size_t size)
{
    logs_last_error(framework->bundles->logs, ret, size);
}

/* --- the part's own life -------------------------------------------------- */

static bool hook_log_enabled(Framework *framework, int64_t bundle_id, InaLogLevel level)
{
    return logs_enabled(framework->bundles->logs, bundle_id, level);
}

/* Of the set that is in the cache. */
static const json_t *set_configuration(const Framework *framework)
{
    return json_object_get(cache_note(framework->bundles->cache), "configuration");
}

static void hook_log(Framework *framework, int64_t bundle_id, const char *bundle, const char *component,
                     InaLogLevel level, const char *message)
{
    logs_write(framework->bundles->logs, bundle_id, bundle, component, level, message);
}

static int hook_configuration(Framework *framework, const char *component, const char *key, char **ret_value,
                              const char **ret_source, InaError *error)
{
    return configuration_lookup(framework->bundles->configuration, component, key, ret_value, ret_source, error);
}

int bundles_new(Framework *framework, InaError *error)
{
    Bundles *bundles = calloc(1, sizeof *bundles);
    if (!bundles)
        return no_memory(error);
    framework->bundles = bundles;
    int r = logs_new(&bundles->logs, error);
    if (r == 0)
        r = cache_open(framework->cache, &bundles->cache, error);
    if (r == 0)
        r = description_of(FRAMEWORK_CAPABILITIES, &bundles->framework, error);
    if (r == 0)
        r = configuration_new(framework, cache_folder(bundles->cache), &bundles->configuration, error);
    if (r == 0) {
        framework->hooks = (FrameworkHooks){hook_log_enabled, hook_log, hook_configuration};
        r = load_bundles(framework, error);
    }
    if (r == 0)
        r = configuration_deploy(bundles->configuration, set_configuration(framework), NULL, error);
    if (r < 0)
        bundles_free(framework);
    return r;
}

static Bundle *last_started(const Bundles *bundles)
{
    Bundle *last = NULL;
    for (size_t i = 0; i < bundles->n_bundles; i++)
        if (bundles->list[i]->set && (!last || bundles->list[i]->start_order > last->start_order))
            last = bundles->list[i];
    return last;
}

void bundles_free(Framework *framework)
{
    Bundles *bundles = framework->bundles;
    Bundle *bundle;

    if (!bundles)
        return;
    while ((bundle = last_started(bundles)) && bundle_halt(bundle, NULL) == 0)
        continue;
    for (size_t i = bundles->n_bundles; i > 0; i--)
        bundles_drop(bundles->list[i - 1]);
    framework->hooks = (FrameworkHooks){0};
    free(bundles->list);
    configuration_free(bundles->configuration);
    description_free(bundles->framework);
    cache_close(bundles->cache);
    logs_free(bundles->logs);
    free(bundles);
    framework->bundles = NULL;
}
