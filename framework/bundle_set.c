/* bundle_set.c - framework_set: from the bundles that are there to those that
 * are wanted, all of them or none. */
#include "bundles.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Wanted {
    const char *zip;
    Revision *revision; /* until a bundle has it */
    Bundle *bundle;     /* the one of this name */
    bool added;         /* by us */
    Revision *old;      /* what it was before, when we changed it */
} Wanted;

typedef struct Change {
    Framework *framework;
    Wanted *wanted;
    size_t n_wanted;
} Change;

static Bundles *all(const Change *change)
{
    return change->framework->bundles;
}

/* --- before anything changes ----------------------------------------------- */

static int read_wanted(Change *change, size_t index, InaError *error)
{
    Wanted *wanted = &change->wanted[index];
    Bundles *bundles = all(change);

    /* What a running system is to change to must be on disk first. */
    int r = revision_install(bundles->cache, wanted->zip, bundles->n_bundles > 0, &wanted->revision, error);
    if (r < 0)
        return r;
    const char *name = wanted->revision->description->name;
    for (size_t i = 0; i < index; i++)
        if (strcmp(change->wanted[i].revision->description->name, name) == 0)
            return ina_error_set(error, EEXIST, "%s and %s are both bundle %s", change->wanted[i].zip, wanted->zip,
                                 name);
    wanted->bundle = framework_bundle_named(change->framework, name);
    return 0;
}

static int resolve_wanted(const Change *change, InaError *error)
{
    Candidate *candidates = calloc(change->n_wanted + 1, sizeof *candidates);
    if (!candidates)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < change->n_wanted; i++)
        candidates[i].description = change->wanted[i].revision->description;
    int r = resolver_resolve(all(change)->framework, candidates, change->n_wanted, error);
    for (size_t i = 0; i < change->n_wanted && r == 0; i++)
        if (!candidates[i].resolved)
            r = bundle_unresolved(&candidates[i], error);
    candidates_clear(candidates, change->n_wanted);
    free(candidates);
    return r;
}

/* --- changing -------------------------------------------------------------- */

static int update_changed(Change *change, InaError *error)
{
    for (size_t i = 0; i < change->n_wanted; i++) {
        Wanted *wanted = &change->wanted[i];
        if (!wanted->bundle || strcmp(wanted->bundle->revision->digest, wanted->revision->digest) == 0)
            continue;
        int r = bundle_change(wanted->bundle, wanted->revision, &wanted->old, error);
        if (r < 0)
            return r;
        wanted->revision = NULL;
    }
    return 0;
}

static int add_missing(Change *change, InaError *error)
{
    for (size_t i = 0; i < change->n_wanted; i++) {
        Wanted *wanted = &change->wanted[i];
        if (wanted->bundle)
            continue;
        int r = bundles_add(change->framework, wanted->revision, true, &wanted->bundle, error);
        wanted->revision = NULL;
        if (r < 0)
            return r;
        wanted->added = true;
    }
    return 0;
}

static int start_all(Change *change, InaError *error)
{
    for (size_t i = 0; i < change->n_wanted; i++) {
        Bundle *bundle = change->wanted[i].bundle;
        int r = bundle_run(bundle, START_TOLERANT, error);
        if (r == 0 && !bundle->autostart)
            r = bundle_record(bundle, bundle->revision->digest, true, false, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_wanted(const Change *change, const Bundle *bundle)
{
    for (size_t i = 0; i < change->n_wanted; i++)
        if (change->wanted[i].bundle == bundle)
            return true;
    return false;
}

/* Last, so that a service moves to its new provider without a gap. */
static int uninstall_others(Change *change, InaError *error)
{
    Bundles *bundles = all(change);

    for (size_t i = bundles->n_bundles; i > 0; i--) {
        if (is_wanted(change, bundles->list[i - 1]))
            continue;
        int r = bundle_uninstall(bundles->list[i - 1], error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- taking it back --------------------------------------------------------- */

static void take_back(Change *change)
{
    Revision *new;
    InaError why = {0};

    for (size_t i = change->n_wanted; i > 0; i--) {
        Wanted *wanted = &change->wanted[i - 1];
        if (wanted->added && bundle_uninstall(wanted->bundle, &why) < 0)
            logs_write(all(change)->logs, 0, "framework", NULL, INA_LOG_ERROR, why.message);
        if (!wanted->old)
            continue;
        if (bundle_change(wanted->bundle, wanted->old, &new, &why) == 0) {
            wanted->old = new;
        } else {
            (void)ina_error_wrap(&why, "going back");
            logs_write(all(change)->logs, 0, "framework", NULL, INA_LOG_ERROR, why.message);
        }
    }
}

static void clear(Change *change)
{
    for (size_t i = 0; i < change->n_wanted; i++) {
        Revision *const spare[] = {change->wanted[i].revision, change->wanted[i].old};
        for (size_t j = 0; j < 2; j++) {
            if (!spare[j])
                continue;
            (void)cache_drop(all(change)->cache, spare[j]->digest, NULL);
            revision_free(spare[j]);
        }
    }
    free(change->wanted);
}

int framework_set(Framework *framework, const char *const *zips, size_t n_zips, InaError *error)
{
    Change change = {framework, calloc(n_zips + 1, sizeof(Wanted)), n_zips};
    int r = change.wanted ? 0 : ina_error_set(error, ENOMEM, "out of memory");

    for (size_t i = 0; i < n_zips && r == 0; i++) {
        change.wanted[i].zip = zips[i];
        r = read_wanted(&change, i, error);
    }
    if (r == 0)
        r = resolve_wanted(&change, error);
    if (r == 0) {
        r = update_changed(&change, error);
        if (r == 0)
            r = add_missing(&change, error);
        if (r == 0)
            r = start_all(&change, error);
        if (r == 0)
            r = uninstall_others(&change, error);
        else
            take_back(&change);
    }
    if (change.wanted)
        clear(&change);
    return r;
}
