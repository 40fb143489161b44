#include "deployer.h"
#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/worker.h"
#include "framework/cache.h"
#include "framework/components.h"
#include "framework/registry.h"
#include "framework/revision.h"
#include "memory.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAITS_MAX 512u
#define STARTS_MAX 3        /* that ended soon, in a row */
#define SETTLED_SECONDS 10u /* after that a start has not ended soon */

typedef struct Piece {
    char *name, *version, *path;
    char digest[ARCHIVE_DIGEST_SIZE]; /* of its contents, when it is in the cache */
} Piece;

/* A deployment under way. */
typedef struct Work {
    Deployer *deployer;
    WorkerJob *job;
    char *version, *cache;
    bool sync;
    Piece *pieces;
    size_t n_pieces;
    json_t *configuration;
    InaError error; /* of the worker's part */
    void (*done)(void *userdata, const InaError *error);
    void *userdata;
} Work;

struct Deployer {
    Framework *framework;
    ServiceEntry *entry;
    WorkerPool *workers;
    char *folder;
    sd_event *event;
    sd_event_source *settled;
    Work *work; /* NULL: none is under way */
    char waits[WAITS_MAX];
    void (*ending)(void *userdata);
    void *ending_userdata;
};

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

static Work *work_free(Work *work)
{
    if (!work)
        return NULL;
    for (size_t i = 0; i < work->n_pieces; i++) {
        free(work->pieces[i].name);
        free(work->pieces[i].version);
        free(work->pieces[i].path);
    }
    free(work->pieces);
    json_decref(work->configuration);
    free(work->version);
    free(work->cache);
    free(work);
    return NULL;
}

/* --- in a worker: reading, checking, unpacking -------------------------------- */

static int check_manifest(const Piece *piece, const Description *description, InaError *error)
{
    Version wanted;
    char text[VERSION_TEXT_MAX];

    int r = version_parse(piece->version, &wanted, error);
    if (r < 0)
        return r;
    version_format(&wanted, text);
    if (strcmp(description->name, piece->name) != 0 || strcmp(description->version_text, text) != 0)
        return ina_error_set(error, EBADMSG, "its manifest says %s %s, it was announced as %s %s", description->name,
                             description->version_text, piece->name, text);
    return 0;
}

static int prepare_piece(const Work *work, Piece *piece, InaError *error)
{
    Archive *archive;
    Description *description = NULL;

    int r = archive_open(piece->path, &archive, error);
    if (r == 0) {
        r = description_new(archive_manifest(archive), &description, error);
        if (r == 0)
            r = check_manifest(piece, description, error);
        if (r == 0)
            r = revision_check(archive, description, error);
        if (r == 0)
            r = cache_prepare(work->cache, archive, work->sync, error);
        if (r == 0)
            strcpy(piece->digest, archive_digest(archive));
        description_free(description);
        archive_free(archive);
    }
    return r < 0 ? ina_error_wrap(error, "bundle %s %s", piece->name, piece->version) : 0;
}

static void prepare(void *userdata)
{
    Work *work = userdata;

    for (size_t i = 0; i < work->n_pieces && work->error.code == 0; i++)
        (void)prepare_piece(work, &work->pieces[i], &work->error);
}

/* --- in a worker: old versions ------------------------------------------------ */

static void remove_old(void *userdata)
{
    (void)folder_remove(userdata, NULL);
}

static void on_removed(void *userdata, bool cancelled)
{
    if (cancelled)
        remove_old(userdata);
    free(userdata);
}

/* Not in the loop: the disk is busy with what was just written, and the new version waits to begin. What cannot be
 * removed is at the next start. */
static void discard(void *userdata, char *path)
{
    Deployer *deployer = userdata;

    if (worker_submit(deployer->workers, remove_old, on_removed, path, NULL, NULL) < 0)
        on_removed(path, true);
}

/* --- in the loop: the change ---------------------------------------------------- */

static int change(const Work *work, InaError *error)
{
    AUTO_FREE const char **paths = calloc(work->n_pieces + 1, sizeof(*paths));
    AUTO_FREE const char **digests = calloc(work->n_pieces + 1, sizeof(*digests));
    AUTO_JSON json_t *note = json_pack("{s:s}", "version", work->version);

    if (!paths || !digests || !note)
        return no_memory(error);
    for (size_t i = 0; i < work->n_pieces; i++) {
        paths[i] = work->pieces[i].path;
        digests[i] = work->pieces[i].digest;
    }
    const FrameworkSet set = {.zips = paths,
                              .n_zips = work->n_pieces,
                              .digests = digests,
                              .strict = true,
                              .configuration = work->configuration,
                              .note = note,
                              .discard = discard,
                              .discard_userdata = work->deployer};
    return framework_apply(work->deployer->framework, &set, error);
}

/* For so long the loop did nothing else. */
static void change_timed(Work *work)
{
    char duration[32];
    uint64_t begun = ina_now();

    int r = change(work, &work->error);
    snprintf(duration, sizeof(duration), "%.1f ms", (double)(ina_now() - begun) / 1e6);
    log_record(INA_LOG_INFO, r == 0 ? "the bundles changed" : "the bundles did not change", "version", work->version,
               "within", duration, NULL);
}

static void on_prepared(void *userdata, bool cancelled)
{
    Work *work = userdata;
    Deployer *deployer = work->deployer;
    ServiceVisit visit;

    if (!cancelled && work->error.code == 0)
        change_timed(work);
    deployer->work = NULL;
    if (!cancelled && work->done) {
        service_enter(deployer->entry, &visit);
        work->done(work->userdata, work->error.code ? &work->error : NULL);
        service_leave(&visit);
    }
    work_free(work);
    memory_give_back(); /* whole bundles were in it */
}

/* --- the service ------------------------------------------------------------------ */

static int merge(json_t *into, const char *text, InaError *error)
{
    AUTO_JSON json_t *values = NULL;
    const char *component;
    json_t *keys;

    int r = json_parse(text, strlen(text), CACHE_NOTE_MAX, &values, error);
    if (r < 0)
        return ina_error_wrap(error, "configuration");
    if (!json_is_object(values))
        return ina_error_set(error, EINVAL, "configuration: an object {\"component\": {\"key\": value}} is expected");
    json_object_foreach(values, component, keys)
    {
        json_t *present = json_object_get(into, component);
        if (!json_is_object(keys))
            return ina_error_set(error, EINVAL, "configuration: %s: an object {\"key\": value} is expected", component);
        if ((present ? json_object_update(present, keys) : json_object_set_new(into, component, json_copy(keys))) < 0)
            return no_memory(error);
    }
    return 0;
}

static int copy_pieces(Work *work, const InaDeployment *deployment, InaError *error)
{
    if (deployment->n_bundles > INA_DEPLOYMENT_BUNDLES_MAX)
        return ina_error_set(error, E2BIG, "%zu bundles, at most %u are allowed", deployment->n_bundles,
                             INA_DEPLOYMENT_BUNDLES_MAX);
    work->pieces = calloc(deployment->n_bundles + 1, sizeof(*work->pieces));
    if (!work->pieces)
        return no_memory(error);
    for (size_t i = 0; i < deployment->n_bundles; i++) {
        const InaDeploymentBundle *bundle = &deployment->bundles[i];
        Piece *piece = &work->pieces[work->n_pieces++];
        piece->name = strdup(bundle->name);
        piece->version = strdup(bundle->version);
        piece->path = strdup(bundle->path);
        if (!piece->name || !piece->version || !piece->path)
            return no_memory(error);
    }
    return 0;
}

static int copy_all(Work *work, const InaDeployment *deployment, InaError *error)
{
    work->version = strdup(deployment->version);
    work->cache = strdup(framework_cache(work->deployer->framework));
    if (!work->version || !work->cache)
        return no_memory(error);
    int r = copy_pieces(work, deployment, error);
    if (r == 0 && deployment->n_configurations > 0 && !(work->configuration = json_object()))
        r = no_memory(error);
    for (size_t i = 0; i < deployment->n_configurations && r == 0; i++)
        r = merge(work->configuration, deployment->configurations[i], error);
    return r;
}

static int apply(void *self, const InaDeployment *deployment, void (*done)(void *userdata, const InaError *error),
                 void *userdata, InaError *error)
{
    Deployer *deployer = self;

    if (deployer->work)
        return ina_error_set(error, EBUSY, "a deployment is under way");
    Work *work = calloc(1, sizeof(*work));
    if (!work)
        return no_memory(error);
    work->deployer = deployer;
    work->done = done;
    work->userdata = userdata;
    /* The first one can be repeated. */
    work->sync = framework_note(deployer->framework) != NULL;
    int r = copy_all(work, deployment, error);
    if (r == 0)
        r = worker_submit(deployer->workers, prepare, on_prepared, work, &work->job, error);
    if (r < 0) {
        work_free(work);
        return r;
    }
    deployer->work = work;
    return 0;
}

static void forget(void *self)
{
    Deployer *deployer = self;

    if (deployer->work)
        deployer->work->done = NULL;
}

static const char *note_version(const Deployer *deployer)
{
    const char *version = json_string_value(json_object_get(framework_note(deployer->framework), "version"));
    return version ? version : "";
}

static const char *version(void *self)
{
    return note_version(self);
}

static void count_component(void *userdata, const ComponentInfo *info)
{
    InaHealth *health = userdata;

    health->components++;
    health->active += info->state == COMPONENT_ACTIVE;
    if (info->state != COMPONENT_ACTIVE && !health->reason[0])
        snprintf(health->reason, sizeof(health->reason), "component %s of %s is %s: %s", info->component, info->bundle,
                 component_state_name(info->state), info->reason);
}

static void each_bundle(const Deployer *deployer, void (*visit)(void *userdata, const Bundle *bundle), void *userdata)
{
    size_t count = framework_bundles(deployer->framework, NULL, 0);
    Bundle **list = calloc(count + 1, sizeof(Bundle *)); /* NOLINT(bugprone-sizeof-expression) */

    count = list ? framework_bundles(deployer->framework, list, count) : 0;
    for (size_t i = 0; i < count; i++)
        visit(userdata, list[i]);
    free(list);
}

static void count_bundle(void *userdata, const Bundle *bundle)
{
    InaHealth *health = userdata;

    health->bundles++;
    if (bundle_state(bundle) != BUNDLE_ACTIVE && !health->reason[0])
        snprintf(health->reason, sizeof(health->reason), "bundle %s %s is %s", bundle_name(bundle),
                 bundle_version(bundle), bundle_state_name(bundle_state(bundle)));
}

static void health(void *self, InaHealth *ret)
{
    const Deployer *deployer = self;

    *ret = (InaHealth){.errors = framework_errors(deployer->framework)};
    framework_last_error(deployer->framework, ret->error, sizeof(ret->error));
    each_bundle(deployer, count_bundle, ret);
    components_each(deployer->framework, count_component, ret);
    ret->ready = !ret->reason[0];
}

static const char *folder(void *self)
{
    return ((Deployer *)self)->folder;
}

typedef struct Visit {
    void (*bundle)(void *userdata, int64_t id, const char *name, const char *version, const char *state);
    void *userdata;
} Visit;

static void tell_bundle(void *userdata, const Bundle *bundle)
{
    const Visit *visit = userdata;

    if (!bundle_is_platform(bundle))
        visit->bundle(visit->userdata, bundle_id(bundle), bundle_name(bundle), bundle_version(bundle),
                      bundle_state_name(bundle_state(bundle)));
}

static void each(void *self,
                 void (*bundle)(void *userdata, int64_t id, const char *name, const char *version, const char *state),
                 void *userdata)
{
    Visit visit = {bundle, userdata};
    each_bundle(self, tell_bundle, &visit);
}

typedef struct CallsVisit {
    void (*visit)(void *userdata, const InaCallCount *count);
    void *userdata;
} CallsVisit;

static void tell_calls(void *userdata, const ComponentCalls *calls)
{
    const CallsVisit *visit = userdata;
    const InaMethod *method = &calls->contract->methods[calls->method];
    const InaCallCount count = {
        .component = calls->component,
        .contract = calls->contract->name,
        .method = method->name,
        .answers = calls->answers,
        .reads = (method->flags & INA_METHOD_READS) != 0,
        .asked = calls->count.asked,
        .ok = calls->count.ok,
    };

    if (!calls->bundle || !bundle_is_platform(calls->bundle))
        visit->visit(visit->userdata, &count);
}

static void calls(void *self, void (*visit)(void *userdata, const InaCallCount *count), void *userdata)
{
    CallsVisit all = {visit, userdata};

    component_calls_each(((Deployer *)self)->framework, tell_calls, &all);
}

static void waits(void *self, const char *why)
{
    Deployer *deployer = self;
    snprintf(deployer->waits, sizeof(deployer->waits), "%s", why);
}

static void on_end(void *self, void (*ending)(void *userdata), void *userdata)
{
    Deployer *deployer = self;
    deployer->ending = ending;
    deployer->ending_userdata = userdata;
}

void deployer_end(Deployer *deployer)
{
    if (deployer && deployer->ending)
        deployer->ending(deployer->ending_userdata);
}

static const InaDeployer table = {
    .apply = apply,
    .forget = forget,
    .version = version,
    .health = health,
    .folder = folder,
    .each = each,
    .on_end = on_end,
    .waits = waits,
    .calls = calls,
};

/* --- starts that end soon ----------------------------------------------------------------- */

/* FOLDER/starts: a byte for each. */
static char *starts_path(const Deployer *deployer)
{
    return path_join(deployer->folder, "starts");
}

static int on_settled(sd_event_source *source, uint64_t when, void *userdata)
{
    AUTO_FREE char *path = starts_path(userdata);
    if (path)
        (void)unlink(path);
    return 0;
}

bool deployer_is_troubled(Deployer *deployer)
{
    AUTO_FREE char *path = starts_path(deployer);
    AUTO_CLOSE int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0 || write(fd, "|", 1) != 1)
        return false;
    (void)sd_event_add_time_relative(deployer->event, &deployer->settled, CLOCK_MONOTONIC, SETTLED_SECONDS * 1000000u,
                                     0, on_settled, deployer);
    return status.st_size >= STARTS_MAX && *note_version(deployer);
}

/* --- life ---------------------------------------------------------------------------- */

int deployer_new(sd_event *event, Framework *framework, Deployer **ret, InaError *error)
{
    Deployer *deployer = calloc(1, sizeof(*deployer));
    if (!deployer)
        return no_memory(error);
    deployer->framework = framework;
    deployer->event = sd_event_ref(event);
    deployer->folder = path_join(framework_cache(framework), "deployment");
    int r = deployer->folder ? folder_make(deployer->folder, 0700, error) : no_memory(error);
    if (r == 0)
        r = worker_pool_new(event, 1, &deployer->workers, error);
    const ServiceDescription description = {.plain = INA_DEPLOYER, .object = {&table, deployer}};
    if (r == 0)
        r = registry_add(framework, &description, &deployer->entry, error);
    if (r < 0) {
        deployer_free(deployer);
        return r;
    }
    *ret = deployer;
    return 0;
}

const char *deployer_waits(const Deployer *deployer)
{
    return *note_version(deployer) ? NULL : deployer->waits;
}

Deployer *deployer_free(Deployer *deployer)
{
    if (!deployer)
        return NULL;
    if (deployer->entry)
        registry_remove(deployer->entry);
    if (deployer->work)
        deployer->work->done = NULL;
    worker_pool_free(deployer->workers);
    /* An end in order is no trouble. */
    if (deployer->settled)
        on_settled(deployer->settled, 0, deployer);
    sd_event_source_disable_unref(deployer->settled);
    sd_event_unref(deployer->event);
    free(deployer->folder);
    free(deployer);
    return NULL;
}
