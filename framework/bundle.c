/* bundle.c - the life of one bundle: start, stop, uninstall. */
#include "bundles.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Bundles *all(const Bundle *bundle)
{
    return bundle->framework->bundles;
}

void bundle_say(const Bundle *bundle, InaLogLevel level, const char *format, ...)
{
    char message[INA_ERROR_MESSAGE_MAX];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    logs_write(all(bundle)->logs, bundle->id, bundle_name(bundle), NULL, level, message);
}

void bundle_set_state(Bundle *bundle, BundleState state)
{
    bundle->state = state;
    bundle->since = ina_now();
}

ComponentOwner bundle_owner(Bundle *bundle, const Revision *revision)
{
    return (ComponentOwner){
        .bundle = bundle,
        .id = bundle->id,
        .name = revision->description->name,
        .version = revision->description->version_text,
        .folder = revision->folder,
    };
}

int bundle_record(Bundle *bundle, const char *digest, bool autostart, InaError *error)
{
    CacheRecord record = {.id = bundle->id, .started = autostart, .platform = bundle->platform};

    strcpy(record.digest, digest);
    int r = cache_write(all(bundle)->cache, &record, error);
    if (r == 0)
        bundle->autostart = autostart;
    return r;
}

/* That contents cannot be removed harms nobody: the next start tries again. */
void bundle_drop_contents(Bundle *bundle, const char *digest)
{
    InaError why = {0};

    if (cache_drop(all(bundle)->cache, digest, &why) < 0)
        bundle_say(bundle, INA_LOG_WARNING, "%s", why.message);
}

/* --- starting ------------------------------------------------------------- */

static int fail(Bundle *bundle, InaError *why, InaError *error)
{
    strcpy(bundle->problem, why->message);
    if (error)
        *error = *why;
    return -why->code;
}

/* From the table to running components. On failure nothing is left of them. */
static int start_components(Bundle *bundle, StartMode mode, InaError *error)
{
    ComponentOwner owner = bundle_owner(bundle, bundle->revision);

    int r = components_add(bundle->framework, &owner, bundle->revision->table, &bundle->set, error);
    if (r < 0)
        return r;
    r = configuration_check(all(bundle)->configuration, bundle->revision->table, error);
    if (r == 0 || mode == START_TOLERANT) {
        InaError why = {0};
        int started = components_start(bundle->set, NULL, &why);
        if (started < 0 && r == 0) {
            r = started;
            if (error)
                *error = why;
        }
    }
    if (r < 0 && mode == START_STRICT) {
        (void)components_remove(bundle->set);
        bundle->set = NULL;
    }
    return r;
}

int bundle_run(Bundle *bundle, StartMode mode, InaError *error)
{
    InaError why = {0};

    if (bundle->state == BUNDLE_ACTIVE)
        return 0;
    if (bundle->state == BUNDLE_STARTING || bundle->state == BUNDLE_STOPPING)
        return ina_error_set(error, EBUSY, "bundle %s is %s", bundle_name(bundle), bundle_state_name(bundle->state));
    int r = bundles_resolve(bundle->framework, bundle, NULL, &why);
    if (r < 0)
        return fail(bundle, &why, error);

    bundle_set_state(bundle, BUNDLE_STARTING);
    r = revision_load(bundle->revision, &why);
    if (r == 0)
        r = start_components(bundle, mode, &why);
    if (r < 0) {
        (void)ina_error_wrap(&why, "bundle %s %s", bundle_name(bundle), bundle_version(bundle));
        if (!bundle->set) {
            revision_unload(bundle->revision);
            bundle_set_state(bundle, BUNDLE_RESOLVED);
            return fail(bundle, &why, error);
        }
        bundle_say(bundle, INA_LOG_ERROR, "%s", why.message);
    } else {
        bundle->problem[0] = '\0';
    }
    bundle->start_order = ++all(bundle)->starts;
    bundle_set_state(bundle, BUNDLE_ACTIVE);
    bundle_say(bundle, INA_LOG_INFO, "bundle %s started", bundle_version(bundle));
    return 0;
}

int bundle_start(Bundle *bundle, InaError *error)
{
    int r = bundle_run(bundle, START_STRICT, error);
    if (r == 0 && !bundle->autostart)
        r = bundle_record(bundle, bundle->revision->digest, true, error);
    return r;
}

/* --- stopping ------------------------------------------------------------- */

int bundle_halt(Bundle *bundle, InaError *error)
{
    if (bundle->state == BUNDLE_STARTING || bundle->state == BUNDLE_STOPPING)
        return ina_error_set(error, EBUSY, "bundle %s is %s", bundle_name(bundle), bundle_state_name(bundle->state));
    if (bundle->state != BUNDLE_ACTIVE)
        return 0;
    bundle_set_state(bundle, BUNDLE_STOPPING);
    int r = components_remove(bundle->set);
    if (r < 0) {
        bundle_set_state(bundle, BUNDLE_ACTIVE);
        return ina_error_set(error, r, "bundle %s cannot be stopped from within a component; do it from the loop",
                             bundle_name(bundle));
    }
    bundle->set = NULL;
    revision_unload(bundle->revision);
    bundle_set_state(bundle, BUNDLE_RESOLVED);
    bundle_say(bundle, INA_LOG_DEBUG, "bundle %s stopped", bundle_version(bundle));
    return 0;
}

int bundle_stop(Bundle *bundle, InaError *error)
{
    int r = bundle_halt(bundle, error);
    if (r == 0 && bundle->autostart)
        r = bundle_record(bundle, bundle->revision->digest, false, error);
    return r;
}

int bundle_uninstall(Bundle *bundle, InaError *error)
{
    char digest[ARCHIVE_DIGEST_SIZE];

    int r = bundle_halt(bundle, error);
    if (r == 0)
        r = cache_remove(all(bundle)->cache, bundle->id, error);
    if (r < 0)
        return r;
    bundle_say(bundle, INA_LOG_INFO, "bundle %s uninstalled", bundle_version(bundle));
    strcpy(digest, bundle->revision->digest);
    bundle_drop_contents(bundle, digest);
    bundles_drop(bundle);
    return 0;
}

/* --- looking -------------------------------------------------------------- */

const char *bundle_name(const Bundle *bundle)
{
    return bundle->revision->description->name;
}

const char *bundle_version(const Bundle *bundle)
{
    return bundle->revision->description->version_text;
}

int64_t bundle_id(const Bundle *bundle)
{
    return bundle->id;
}

BundleState bundle_state(const Bundle *bundle)
{
    return bundle->state;
}

bool bundle_is_platform(const Bundle *bundle)
{
    return bundle->platform;
}

const char *bundle_state_name(BundleState state)
{
    static const char *const names[] = {
        [BUNDLE_INSTALLED] = "installed", [BUNDLE_RESOLVED] = "resolved", [BUNDLE_STARTING] = "starting",
        [BUNDLE_ACTIVE] = "active",       [BUNDLE_STOPPING] = "stopping", [BUNDLE_UNINSTALLED] = "uninstalled",
    };
    return (size_t)state < sizeof names / sizeof *names ? names[state] : "unknown";
}
