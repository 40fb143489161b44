/* bundle_set.c - framework_apply: from the bundles that are there to those that
 * are wanted, all of them or none.
 *
 * The cache's records change as one (cache_commit) when all that is wanted
 * runs and before what is not wanted any more goes: whoever is killed before
 * starts again with the old set, after it with the new one. */
#include "bundles.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Wanted {
    const char *zip;
    Revision *revision;             /* until a bundle has it; NULL: the bundle's own */
    const Description *description; /* of that version; until anything changes */
    Bundle *bundle;                 /* the one of this name */
    bool added;                     /* by us */
    bool started;                   /* by us, and was there before */
    bool autostart;                 /* as it was */
    bool moved;                     /* into the platform, by us */
    Revision *old;                  /* what it was before, when we changed it */
    bool visited;                   /* for the order */
} Wanted;

typedef struct Change {
    Framework *framework;
    const FrameworkSet *set;
    Wanted *wanted;
    size_t n_wanted;
    size_t *order; /* indices into `wanted`, those that others require first */
    size_t n_order;
    json_t *old_configuration;
    bool configured; /* the configuration has been exchanged */
} Change;

static Bundles *all(const Change *change)
{
    return change->framework->bundles;
}

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

/* --- before anything changes ----------------------------------------------- */

/* What others run on must be on disk first; a first set can be repeated. */
static bool must_sync(const Change *change)
{
    for (size_t i = 0; i < all(change)->n_bundles; i++)
        if (all(change)->list[i]->platform == change->set->platform)
            return true;
    return false;
}

static int find_revision(const Change *change, Wanted *wanted, const char *digest, bool sync, InaError *error)
{
    const Bundles *bundles = all(change);

    for (size_t i = 0; digest && i < bundles->n_bundles; i++)
        if (strcmp(bundles->list[i]->revision->digest, digest) == 0) {
            wanted->description = bundles->list[i]->revision->description;
            return 0;
        }
    int r = digest ? revision_from_cache(bundles->cache, digest, &wanted->revision, error)
                   : revision_install(bundles->cache, wanted->zip, sync, &wanted->revision, error);
    if (r == 0)
        wanted->description = wanted->revision->description;
    return r;
}

static int read_wanted(Change *change, size_t index, bool sync, InaError *error)
{
    Wanted *wanted = &change->wanted[index];

    wanted->zip = change->set->zips[index];
    int r = find_revision(change, wanted, change->set->digests ? change->set->digests[index] : NULL, sync, error);
    if (r < 0)
        return r;
    const char *name = wanted->description->name;
    for (size_t i = 0; i < index; i++)
        if (strcmp(change->wanted[i].description->name, name) == 0)
            return ina_error_set(error, EEXIST, "%s and %s are both bundle %s", change->wanted[i].zip, wanted->zip,
                                 name);
    wanted->bundle = framework_bundle_named(change->framework, name);
    if (wanted->bundle && wanted->bundle->platform && !change->set->platform)
        return ina_error_set(error, EPERM, "%s: bundle %s is part of the platform, which is not changed this way",
                             wanted->zip, name);
    return 0;
}

static bool is_wanted(const Change *change, const Bundle *bundle)
{
    for (size_t i = 0; i < change->n_wanted; i++)
        if (change->wanted[i].bundle == bundle)
            return true;
    return false;
}

/* Depth first; who requires each other in a circle comes as given. */
static void visit(Change *change, const Candidate *candidates, size_t index)
{
    const Candidate *candidate = &candidates[index];

    if (change->wanted[index].visited)
        return;
    change->wanted[index].visited = true;
    for (size_t i = 0; i < candidate->description->n_requirements; i++)
        if (candidate->wires[i] >= 0 && (size_t)candidate->wires[i] < change->n_wanted)
            visit(change, candidates, (size_t)candidate->wires[i]);
    change->order[change->n_order++] = index;
}

/* Behind those that are wanted come those of the other kind, which stay. */
static int resolve(Change *change, Candidate *candidates, Bundle **others, size_t n_others, InaError *error)
{
    int r = resolver_resolve(all(change)->framework, candidates, change->n_wanted + n_others, error);

    for (size_t i = 0; i < change->n_wanted && r == 0; i++)
        if (!candidates[i].resolved)
            r = bundle_unresolved(&candidates[i], error);
    for (size_t i = 0; i < n_others && r == 0; i++)
        if (!candidates[change->n_wanted + i].resolved && others[i]->state != BUNDLE_INSTALLED)
            r = bundle_unresolved(&candidates[change->n_wanted + i], error);
    for (size_t i = 0; i < change->n_wanted && r == 0; i++)
        visit(change, candidates, i);
    return r;
}

static int resolve_wanted(Change *change, InaError *error)
{
    size_t n_bundles = all(change)->n_bundles, n_others = 0;
    Candidate *candidates = calloc(change->n_wanted + n_bundles + 1, sizeof *candidates);
    Bundle **others = calloc(n_bundles + 1, sizeof(Bundle *)); /* NOLINT(bugprone-sizeof-expression) */
    int r = candidates && others ? 0 : no_memory(error);

    if (r == 0) {
        for (size_t i = 0; i < change->n_wanted; i++)
            candidates[i].description = change->wanted[i].description;
        for (size_t i = 0; i < n_bundles; i++) {
            Bundle *bundle = all(change)->list[i];
            if (bundle->platform == change->set->platform || is_wanted(change, bundle))
                continue;
            candidates[change->n_wanted + n_others].description = bundle->revision->description;
            others[n_others++] = bundle;
        }
        r = resolve(change, candidates, others, n_others, error);
        candidates_clear(candidates, change->n_wanted + n_others);
    }
    free(candidates);
    free(others);
    return r;
}

static int prepare(Change *change, InaError *error)
{
    bool sync = must_sync(change);
    int r = framework_idle(change->framework)
                ? 0
                : ina_error_set(error, EBUSY, "bundles cannot change inside a component's function");

    for (size_t i = 0; i < change->n_wanted && r == 0; i++)
        r = read_wanted(change, i, sync, error);
    return r < 0 ? r : resolve_wanted(change, error);
}

/* --- changing -------------------------------------------------------------- */

/* All are there before the first starts: they may need each other's capabilities. */
static int add_missing(Change *change, InaError *error)
{
    for (size_t i = 0; i < change->n_order; i++) {
        Wanted *wanted = &change->wanted[change->order[i]];
        if (wanted->bundle)
            continue;
        int r = bundles_add(change->framework, wanted->revision, true, change->set->platform, &wanted->bundle, error);
        wanted->revision = NULL;
        if (r < 0)
            return r;
        wanted->added = true;
    }
    return 0;
}

static int update_one(const Change *change, Wanted *wanted, InaError *error)
{
    Bundle *bundle = wanted->bundle;

    if (bundle->platform != change->set->platform) {
        wanted->moved = true;
        bundle->platform = change->set->platform;
        int r = bundle_record(bundle, bundle->revision->digest, bundle->autostart, error);
        if (r < 0)
            return r;
    }
    if (!wanted->revision || strcmp(bundle->revision->digest, wanted->revision->digest) == 0)
        return 0;
    int r = bundle_change(bundle, wanted->revision, &wanted->old, error);
    if (r == 0)
        wanted->revision = NULL;
    return r;
}

static int run_one(const Change *change, Wanted *wanted, InaError *error)
{
    Bundle *bundle = wanted->bundle;
    bool new = wanted->added || wanted->old;

    if (bundle->state == BUNDLE_ACTIVE)
        return 0;
    wanted->autostart = bundle->autostart;
    wanted->started = !wanted->added;
    int r = bundle_run(bundle, change->set->strict && new ? START_STRICT : START_TOLERANT, error);
    if (r == 0 && !bundle->autostart)
        r = bundle_record(bundle, bundle->revision->digest, true, error);
    return r;
}

static int exchange_configuration(Change *change, InaError *error)
{
    if (change->set->platform)
        return 0;
    int r =
        configuration_deploy(all(change)->configuration, change->set->configuration, &change->old_configuration, error);
    change->configured = r == 0;
    return r;
}

typedef struct Failure {
    int result;
    InaError *error;
} Failure;

static void note_failed(void *userdata, const ComponentInfo *info)
{
    Failure *failure = userdata;

    if (failure->result == 0 && (info->state == COMPONENT_FAILED || info->state == COMPONENT_MISCONFIGURED))
        failure->result = ina_error_set(failure->error, EIO, "component %s: %s", info->component, info->reason);
}

/* One that had to wait for another bundle of the set may have failed after its bundle was started. */
static int check_new(const Change *change, InaError *error)
{
    Failure failure = {.error = error};

    for (size_t i = 0; i < change->n_wanted && failure.result == 0; i++) {
        const Wanted *wanted = &change->wanted[i];
        if ((wanted->added || wanted->old) && wanted->bundle->set)
            components_each_of(wanted->bundle->set, note_failed, &failure);
        if (failure.result < 0)
            (void)ina_error_wrap(error, "bundle %s %s", bundle_name(wanted->bundle), bundle_version(wanted->bundle));
    }
    return failure.result;
}

static int change_all(Change *change, InaError *error)
{
    Configuration *configuration = all(change)->configuration;

    int r = exchange_configuration(change, error);
    if (r == 0)
        r = add_missing(change, error);
    for (size_t i = 0; i < change->n_order && r == 0; i++) {
        r = update_one(change, &change->wanted[change->order[i]], error);
        if (r == 0)
            r = run_one(change, &change->wanted[change->order[i]], error);
    }
    if (r == 0 && change->configured)
        r = configuration_check_deployed(configuration, error);
    if (r == 0 && change->configured)
        r = configuration_apply_deployed(configuration, change->old_configuration, error);
    return r == 0 && change->set->strict ? check_new(change, error) : r;
}

/* --- making it last ---------------------------------------------------------- */

static int make_note(const Change *change, json_t **ret, InaError *error)
{
    json_t *note = json_object();
    bool failed = !note;

    if (change->set->configuration)
        failed = failed || json_object_set(note, "configuration", (json_t *)change->set->configuration) < 0;
    if (change->set->note)
        failed = failed || json_object_set(note, "note", (json_t *)change->set->note) < 0;
    if (failed) {
        json_decref(note);
        return no_memory(error);
    }
    if (json_object_size(note) == 0) {
        json_decref(note);
        note = NULL;
    }
    *ret = note;
    return 0;
}

static bool is_superfluous(const Change *change, const Bundle *bundle)
{
    return bundle->platform == change->set->platform && !is_wanted(change, bundle);
}

static int commit(const Change *change, InaError *error)
{
    const Bundles *bundles = all(change);
    json_t *note = NULL;
    int r = 0;

    for (size_t i = 0; i < bundles->n_bundles && r == 0; i++)
        if (is_superfluous(change, bundles->list[i]))
            r = cache_remove(bundles->cache, bundles->list[i]->id, error);
    if (r == 0 && !change->set->platform) {
        r = make_note(change, &note, error);
        if (r == 0)
            r = cache_set_note(bundles->cache, note, error);
        json_decref(note);
    }
    return r < 0 ? r : cache_commit(bundles->cache, error);
}

static void complain(const Change *change, const InaError *why)
{
    logs_write(all(change)->logs, 0, "framework", NULL, INA_LOG_ERROR, why->message);
}

/* Last, so that a service moves to its new provider without a gap. */
static void uninstall_others(const Change *change)
{
    const Bundles *bundles = all(change);
    InaError why = {0};

    for (size_t i = bundles->n_bundles; i > 0; i--)
        if (is_superfluous(change, bundles->list[i - 1]) && bundle_uninstall(bundles->list[i - 1], &why) < 0)
            complain(change, &why);
}

/* --- taking it back --------------------------------------------------------- */

static void complain_of_return(const Change *change, InaError *why)
{
    (void)ina_error_wrap(why, "going back");
    complain(change, why);
}

static void take_back_one(const Change *change, Wanted *wanted)
{
    Revision *new;
    InaError why = {0};
    int r = 0;

    if (wanted->added) { /* and therefore neither moved, nor started or changed from something else */
        if (bundle_uninstall(wanted->bundle, &why) == 0)
            wanted->bundle = NULL;
        else
            complain_of_return(change, &why);
        return;
    }
    if (wanted->moved)
        wanted->bundle->platform = !change->set->platform;
    if (wanted->started) {
        r = bundle_halt(wanted->bundle, &why);
        wanted->bundle->autostart = wanted->autostart;
    }
    if (r == 0 && wanted->old) {
        r = bundle_change(wanted->bundle, wanted->old, &new, &why);
        if (r == 0)
            wanted->old = new;
    }
    if (r < 0)
        complain_of_return(change, &why);
}

static void take_back(Change *change)
{
    Configuration *configuration = all(change)->configuration;
    json_t *new = NULL;
    InaError why = {0};

    if (change->configured)
        (void)configuration_deploy(configuration, change->old_configuration, &new, NULL);
    for (size_t i = change->n_order; i > 0; i--)
        take_back_one(change, &change->wanted[change->order[i - 1]]);
    if (change->configured && configuration_apply_deployed(configuration, new, &why) < 0)
        complain(change, &why);
    json_decref(new);
}

static void clear(Change *change)
{
    for (size_t i = 0; change->wanted && i < change->n_wanted; i++) {
        Revision *const spare[] = {change->wanted[i].revision, change->wanted[i].old};
        for (size_t j = 0; j < 2; j++) {
            if (!spare[j])
                continue;
            (void)cache_drop(all(change)->cache, spare[j]->digest, NULL);
            revision_free(spare[j]);
        }
    }
    json_decref(change->old_configuration);
    free(change->order);
    free(change->wanted);
}

int framework_apply(Framework *framework, const FrameworkSet *set, InaError *error)
{
    Change change = {framework,
                     set,
                     calloc(set->n_zips + 1, sizeof(Wanted)),
                     set->n_zips,
                     calloc(set->n_zips + 1, sizeof(size_t)),
                     0,
                     NULL,
                     false};
    cache_discard_by(framework->bundles->cache, set->discard, set->discard_userdata);
    int r = change.wanted && change.order ? prepare(&change, error) : no_memory(error);

    if (r == 0)
        r = cache_begin(framework->bundles->cache, error);
    if (r == 0) {
        r = change_all(&change, error);
        if (r == 0)
            r = commit(&change, error);
        if (r == 0) {
            uninstall_others(&change);
        } else {
            take_back(&change);
            cache_rollback(framework->bundles->cache);
        }
    }
    clear(&change);
    cache_discard_by(framework->bundles->cache, NULL, NULL);
    return r;
}

int framework_set(Framework *framework, const char *const *zips, size_t n_zips, InaError *error)
{
    const FrameworkSet set = {.zips = zips, .n_zips = n_zips};
    return framework_apply(framework, &set, error);
}
