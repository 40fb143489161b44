/* update.c - a running bundle gets another version.
 *
 * All that can be known before is checked while the old version runs: the zip,
 * what it requires, that its code loads and its table is sound. Then the old
 * one saves and stops, the new one restores and starts, and callers' calls
 * wait meanwhile (components.h). The old one's code stays mapped until the new
 * one runs, and its files until the cache's record points to the new ones, so
 * that every failure, and being killed at any moment, leaves one of the two. */
#include "bundles.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static Bundles *all(const Bundle *bundle)
{
    return bundle->framework->bundles;
}

/* What must hold before the old version is touched. */
static int check_new(const Bundle *bundle, Revision *new, InaError *error)
{
    if (strcmp(new->description->name, bundle_name(bundle)) != 0)
        return ina_error_set(error, EINVAL, "this is bundle %s %s, not another version of %s", new->description->name,
                             new->description->version_text, bundle_name(bundle));
    if (bundle->state == BUNDLE_STARTING || bundle->state == BUNDLE_STOPPING)
        return ina_error_set(error, EBUSY, "it is %s", bundle_state_name(bundle->state));
    return bundle->state == BUNDLE_ACTIVE ? revision_load(new, error) : 0;
}

/* --- what worked must go on working ----------------------------------------- */

typedef struct Comparison {
    char **active; /* names of the old version's components that were */
    size_t n_active;
    int result;
    InaError *error;
} Comparison;

static void note_active(void *userdata, const ComponentInfo *info)
{
    Comparison *comparison = userdata;

    if (comparison->result < 0 || info->state != COMPONENT_ACTIVE)
        return;
    char **active = reallocarray(comparison->active, comparison->n_active + 1, sizeof *active);
    if (active)
        comparison->active = active;
    if (!active || !(active[comparison->n_active] = strdup(info->component)))
        comparison->result = ina_error_set(comparison->error, ENOMEM, "out of memory");
    else
        comparison->n_active++;
}

/* A component that misses something is no error of its own, but it is one when
 * its predecessor ran: its users would have lost it by the update. */
static void compare_state(void *userdata, const ComponentInfo *info)
{
    Comparison *comparison = userdata;

    if (comparison->result < 0 || info->state == COMPONENT_ACTIVE)
        return;
    for (size_t i = 0; i < comparison->n_active; i++)
        if (strcmp(comparison->active[i], info->component) == 0)
            comparison->result =
                ina_error_set(comparison->error, ENOTCONN, "component %s, which runs, would not run any more: %s",
                              info->component, info->reason);
}

static void comparison_clear(Comparison *comparison)
{
    for (size_t i = 0; i < comparison->n_active; i++)
        free(comparison->active[i]);
    free(comparison->active);
}

/* --- from the old to the new ------------------------------------------------ */

/* Runs the new version's components in the place of the old ones'; on failure
 * the old ones run again. */
static int start_new(Bundle *bundle, Revision *new, ComponentSet *set, ComponentHandover *handover,
                     Comparison *comparison, InaError *error)
{
    InaError back = {0};

    int r = components_start(set, handover, error);
    if (r == 0) {
        components_each_of(set, compare_state, comparison);
        r = comparison->result;
    }
    if (r == 0)
        r = bundle_record(bundle, new->digest, bundle->autostart, error);
    if (r == 0)
        return 0;
    (void)components_stop(set, handover);
    configuration_recall(all(bundle)->configuration, true);
    if (components_start(bundle->set, handover, &back) < 0)
        bundle_say(bundle, INA_LOG_ERROR, "%s", back.message);
    return r;
}

/* Stops the old components and starts the new ones. */
static int hand_over(Bundle *bundle, Revision *new, ComponentSet *set, InaError *error)
{
    Comparison comparison = {.error = error};
    ComponentHandover *handover = NULL;

    components_each_of(bundle->set, note_active, &comparison);
    int r = comparison.result;
    if (r == 0)
        r = components_save(bundle->set, &handover, error);
    if (r == 0) {
        r = components_stop(bundle->set, handover);
        if (r < 0) {
            (void)ina_error_set(error, r, "bundles cannot change inside a component's function");
            handover = components_resume(bundle->set, handover);
        } else {
            r = start_new(bundle, new, set, handover, &comparison, error);
        }
    }
    if (r == 0) {
        (void)components_remove(bundle->set);
        bundle->set = set;
    }
    components_handover_free(handover);
    comparison_clear(&comparison);
    return r;
}

static int replace_running(Bundle *bundle, Revision *new, InaError *error)
{
    ComponentOwner owner = bundle_owner(bundle, new);
    ComponentSet *set = NULL;

    int r = configuration_check(all(bundle)->configuration, new->table, error);
    if (r == 0)
        r = configuration_hold(all(bundle)->configuration, bundle->revision->table, error);
    /* A table that is not sound shows here, while the old version runs. */
    if (r == 0)
        r = components_add(bundle->framework, &owner, new->table, &set, error);
    if (r == 0) {
        r = hand_over(bundle, new, set, error);
        if (r < 0)
            (void)components_remove(set);
    }
    configuration_release(all(bundle)->configuration);
    return r;
}

int bundle_change(Bundle *bundle, Revision *new, Revision **ret_old, InaError *error)
{
    InaError why = {0};

    int r = check_new(bundle, new, &why);
    if (r == 0)
        r = bundle->state == BUNDLE_ACTIVE ? replace_running(bundle, new, &why)
                                           : bundle_record(bundle, new->digest, bundle->autostart, &why);
    if (r < 0) {
        revision_unload(new);
        (void)ina_error_wrap(&why, "bundle %s stays at version %s", bundle_name(bundle), bundle_version(bundle));
        strcpy(bundle->problem, why.message);
        bundle_say(bundle, INA_LOG_ERROR, "update to %s failed: %s", new->description->version_text, why.message);
        if (error)
            *error = why;
        return r;
    }
    bundle_say(bundle, INA_LOG_INFO, "bundle updated from %s to %s", bundle_version(bundle),
               new->description->version_text);
    *ret_old = bundle->revision;
    revision_unload(*ret_old);
    bundle->revision = new;
    if (bundle->state != BUNDLE_ACTIVE)
        bundle_set_state(bundle, BUNDLE_INSTALLED); /* what it requires is another question now */
    bundle->problem[0] = '\0';
    return 0;
}

int bundle_update(Bundle *bundle, const char *zip, InaError *error)
{
    Revision *new, *old = NULL;

    int r = revision_install(all(bundle)->cache, zip, true, &new, error);
    if (r < 0)
        return r;
    if (strcmp(new->digest, bundle->revision->digest) == 0) {
        revision_free(new);
        return 0; /* the same contents: nothing to do */
    }
    if (bundle->state == BUNDLE_ACTIVE)
        r = bundles_resolve(bundle->framework, bundle, new, error);
    if (r == 0)
        r = bundle_change(bundle, new, &old, error);
    if (r < 0)
        old = new;
    bundle_drop_contents(bundle, old->digest);
    revision_free(old);
    return r;
}
