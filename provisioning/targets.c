/* targets.c - see targets.h: life, what agents tell, what is told to others. */
#include "targets.h"
#include "base/cleanup.h"
#include "targets_internal.h"
#include <errno.h>
#include <string.h>
#include <time.h>

/* --- time ---------------------------------------------------------------------------- */

static int64_t ms_of(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int64_t machine_stamp(void *userdata)
{
    (void)userdata;
    return ms_of(CLOCK_REALTIME);
}

/* As the machine's clock was when the server started, going on without jumps. */
static int64_t machine_now(void *userdata)
{
    const Targets *targets = userdata;

    return targets->clock_offset + ms_of(CLOCK_BOOTTIME);
}

int64_t targets_now(const Targets *targets)
{
    return targets->now(targets->now_userdata);
}

void targets_set_clock(Targets *targets, int64_t (*now)(void *userdata), void *userdata)
{
    targets->now = targets->stamp = now;
    targets->now_userdata = targets->stamp_userdata = userdata;
    targets->started = targets_now(targets);
}

int64_t targets_stamp(const Targets *targets)
{
    return targets->stamp(targets->stamp_userdata);
}

void targets_set_stamps(Targets *targets, int64_t (*stamp)(void *userdata), void *userdata)
{
    targets->stamp = stamp;
    targets->stamp_userdata = userdata;
}

/* --- the set of targets ---------------------------------------------------------------- */

bool target_id_valid(const char *id)
{
    size_t length = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return length > 0 && length <= TARGET_ID_MAX && id[length] == '\0' && id[0] != '.';
}

Target *target_find(const Targets *targets, const char *id)
{
    return map_get(targets->index, id);
}

static int add_target(Targets *targets, Target *target, InaError *error)
{
    if (targets->n_list == targets->list_capacity) {
        size_t capacity = targets->list_capacity ? targets->list_capacity * 2 : 64;
        Target **grown = reallocarray(targets->list, capacity, sizeof *grown);

        if (!grown)
            return ina_error_errno(error, ENOMEM, "target");
        targets->list = grown;
        targets->list_capacity = capacity;
    }
    if (map_set(targets->index, target->id, target) < 0)
        return ina_error_errno(error, ENOMEM, "target");
    targets->list[targets->n_list++] = target;
    targets->sorted = false;
    return 0;
}

static void target_free(Targets *targets, Target *target)
{
    target_clear_versions(targets, target);
    evaluation_clear(&target->evaluation);
    evaluation_clear(&target->other);
    object_unref(target->object);
    json_decref(target->properties);
    free(target->failure);
    free(target->doubled);
    free(target->refused);
    free(target->health.reason);
    progress_clear(&target->health.progress);
    free(target->id);
    free(target);
}

int target_get(Targets *targets, const char *id, Target **ret, InaError *error)
{
    Target *target = map_get(targets->index, id);
    int r;

    *ret = target;
    if (target)
        return 0;
    if (!target_id_valid(id))
        return ina_error_set(error, EINVAL,
                             "'%.64s' is no target's id: 1 to %u of A-Z a-z 0-9 . _ -, not beginning "
                             "with '.'",
                             id, TARGET_ID_MAX);
    if (targets->n_list >= TARGETS_MAX)
        return ina_error_set(error, ENOSPC, "there are %u targets already; forget some", TARGETS_MAX);
    target = calloc(1, sizeof *target);
    if (!target)
        return ina_error_errno(error, ENOMEM, "target");
    target->pinned = NOT_PINNED;
    target->legacy = true;
    target->last_major = (uint32_t)(uintptr_t)map_get(targets->majors, id);
    target->id = strdup(id);
    r = target->id ? add_target(targets, target, error) : ina_error_errno(error, ENOMEM, "target");
    if (r < 0) {
        free(target->id);
        free(target);
        return r;
    }
    *ret = target;
    return 0;
}

static int compare_targets(const void *a, const void *b)
{
    return strcmp((*(const Target *const *)a)->id, (*(const Target *const *)b)->id);
}

void targets_sort(Targets *targets)
{
    if (!targets->sorted && targets->n_list > 1)
        qsort(targets->list, targets->n_list, sizeof(Target *), compare_targets);
    targets->sorted = true;
}

static void take_out(Target **list, size_t *n, const Target *target)
{
    for (size_t i = 0; i < *n; i++)
        if (list[i] == target) {
            memmove(&list[i], &list[i + 1], (*n - i - 1) * sizeof *list);
            (*n)--;
            return;
        }
}

static void tell_changed(Targets *targets, const char *id, bool gone)
{
    for (unsigned i = 0; i < targets->n_changed; i++)
        targets->changed[i].changed(targets->changed[i].userdata, id, gone);
}

void target_drop(Targets *targets, Target *target)
{
    const TargetEvent event = {.type = TARGET_GONE, .id = target->id};

    targets_sort(targets);
    for (size_t low = 0, high = targets->n_list; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(targets->list[middle]->id, target->id);

        if (order == 0) {
            memmove(&targets->list[middle], &targets->list[middle + 1],
                    (targets->n_list - middle - 1) * sizeof(Target *));
            targets->n_list--;
            break;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (target->queued)
        for (size_t i = targets->queue_start; i < targets->n_queue; i++)
            if (targets->queue[i] == target)
                targets->queue[i] = NULL;
    if (target->noted)
        take_out(targets->noted, &targets->n_noted, target);
    map_remove(targets->index, target->id);
    if (target->last_major > 0 && !target_ephemeral(target))
        (void)map_set(targets->majors, target->id, (void *)(uintptr_t)target->last_major);
    target_happened(targets, &event);
    tell_changed(targets, target->id, true);
    target_free(targets, target);
}

bool target_ephemeral(const Target *target)
{
    const char *value = json_string_value(json_object_get(target->properties, "ephemeral"));

    return value && strcmp(value, "true") == 0;
}

int64_t target_revision(const Targets *targets, const Target *target)
{
    return target->pinned != NOT_PINNED ? target->pinned : targets->released;
}

/* --- what is told to others --------------------------------------------------------------- */

void target_happened(Targets *targets, const TargetEvent *event)
{
    for (unsigned i = 0; i < targets->n_happened; i++)
        targets->happened[i].happened(targets->happened[i].userdata, event);
}

/* Grows a list of targets; out of memory leaves it as it was: then one change is not told, nothing worse. */
static void push(Target ***list, size_t *n, size_t *capacity, Target *target, bool *flag)
{
    if (*flag)
        return;
    if (*n == *capacity) {
        size_t larger = *capacity ? *capacity * 2 : 64;
        Target **grown = reallocarray(*list, larger, sizeof *grown);

        if (!grown)
            return;
        *list = grown;
        *capacity = larger;
    }
    (*list)[(*n)++] = target;
    *flag = true;
}

void target_note(Targets *targets, Target *target)
{
    push(&targets->noted, &targets->n_noted, &targets->noted_capacity, target, &target->noted);
}

void target_queue(Targets *targets, Target *target)
{
    push(&targets->queue, &targets->n_queue, &targets->queue_capacity, target, &target->queued);
    targets->dirty = true;
}

static void deliver_minted(Targets *targets)
{
    Minted minted = targets->minted[0];
    const Target *target = target_find(targets, minted.target);
    DeploymentVersion version;

    memmove(&targets->minted[0], &targets->minted[1], --targets->n_minted * sizeof minted);
    for (size_t i = 0; target && i < target->n_versions; i++)
        if (target->versions[i].major == minted.major) {
            version_fill(target, &target->versions[i], &version);
            for (unsigned k = 0; k < targets->n_mint_watchers; k++)
                targets->mint_watchers[k].minted(targets->mint_watchers[k].userdata, &version);
            break;
        }
    free(minted.target);
}

void targets_deliver(Targets *targets)
{
    if (targets->delivering || database_within(targets->database))
        return;
    targets->delivering = true;
    while (targets->n_minted > 0 || targets->n_noted > 0) {
        if (targets->n_minted > 0) {
            deliver_minted(targets);
        } else {
            Target *target = targets->noted[--targets->n_noted];

            target->noted = false;
            tell_changed(targets, target->id, false);
        }
    }
    targets->delivering = false;
}

static void on_transaction(void *userdata, bool committed)
{
    Targets *targets = userdata;
    InaError error = {0};

    if (!committed) {
        while (targets->n_minted > 0)
            free(targets->minted[--targets->n_minted].target);
        packages_clear(targets);
        (void)store_load(targets, &error);
        for (size_t i = 0; i < targets->n_list; i++) {
            evaluation_clear(&targets->list[i]->evaluation);
            evaluation_clear(&targets->list[i]->other);
            target_note(targets, targets->list[i]);
        }
    }
    targets_deliver(targets);
}

void targets_watch(Targets *targets, void (*changed)(void *userdata, const char *id, bool gone), void *userdata)
{
    if (targets->n_changed < WATCHERS_MAX)
        targets->changed[targets->n_changed++] = (Watcher){.userdata = userdata, .changed = changed};
}

void targets_watch_problems(Targets *targets, void (*problem)(void *userdata, const char *id, const char *text),
                            void *userdata)
{
    targets->problem = problem;
    targets->problem_userdata = userdata;
}

void targets_watch_versions(Targets *targets, void (*minted)(void *userdata, const DeploymentVersion *version),
                            void *userdata)
{
    if (targets->n_mint_watchers < WATCHERS_MAX)
        targets->mint_watchers[targets->n_mint_watchers++] = (Watcher){.userdata = userdata, .minted = minted};
}

void targets_watch_events(Targets *targets, void (*happened)(void *userdata, const TargetEvent *event), void *userdata)
{
    if (targets->n_happened < WATCHERS_MAX)
        targets->happened[targets->n_happened++] = (Watcher){.userdata = userdata, .happened = happened};
}

void targets_unwatch(Targets *targets, const void *userdata)
{
    unsigned n = 0;

    for (unsigned i = 0; i < targets->n_happened; i++)
        if (targets->happened[i].userdata != userdata)
            targets->happened[n++] = targets->happened[i];
    targets->n_happened = n;
}

/* --- doing together what agents caused ----------------------------------------------------- */

static int store_rows(Targets *targets, InaError *error)
{
    int r = 0;

    if (!targets->rows_dirty)
        return 0;
    for (size_t i = 0; r == 0 && i < targets->n_list; i++)
        if (targets->list[i]->row_dirty) {
            r = store_target(targets, targets->list[i], error);
            targets->list[i]->row_dirty = r < 0;
        }
    if (r == 0)
        targets->rows_dirty = false;
    return r;
}

/* Evaluates one, and mints when it approves itself. A problem is kept in its evaluation. */
int target_look_at(Targets *targets, Target *target, InaError *error)
{
    uint64_t before = target->evaluation.shared;
    InaError own = {0};
    int r;

    if (!target->object)
        return 0;
    r = target_evaluate(targets, target, target_revision(targets, target), &target->evaluation, &own);
    if (r < 0) {
        evaluation_clear(&target->evaluation);
        target->evaluation.code = r;
        target->evaluation.problem = strdup(own.message);
    }
    if (r < 0 || target->evaluation.shared != before)
        target_note(targets, target);
    if (target->evaluation.code < 0 || !target_auto(targets, target) ||
        target_matches_newest(target, &target->evaluation))
        return target_catch_up(targets, target, error);
    r = target_mint(targets, target, target_revision(targets, target), 0, "auto", error);
    return r > 0 ? 0 : r;
}

static int look_at_queue(Targets *targets, int64_t until, InaError *error)
{
    int r = 0;

    while (r == 0 && targets->queue_start < targets->n_queue && (until == 0 || ms_of(CLOCK_BOOTTIME) < until)) {
        Target *target = targets->queue[targets->queue_start++];

        if (target) {
            target->queued = false;
            r = target_look_at(targets, target, error);
        }
    }
    if (targets->queue_start == targets->n_queue)
        targets->queue_start = targets->n_queue = 0;
    return r;
}

/* In one transaction; `until`: of CLOCK_BOOTTIME, 0: all. */
static int flush(Targets *targets, int64_t until, InaError *error)
{
    int r;

    if (!targets->dirty && !targets->rows_dirty)
        return 0;
    r = database_begin(targets->database, error);
    if (r < 0)
        return r;
    targets->dirty = false;
    r = targets_operate(targets, error);
    if (r == 0)
        r = store_rows(targets, error);
    if (r == 0)
        r = look_at_queue(targets, until, error);
    if (targets->n_queue > targets->queue_start)
        targets->dirty = true;
    if (r < 0) {
        database_rollback(targets->database);
        targets->dirty = true;
        return r;
    }
    return database_commit(targets->database, error);
}

int targets_flush(Targets *targets, InaError *error)
{
    int r = flush(targets, 0, error);

    targets_deliver(targets);
    return r;
}

static int on_soon(sd_event_source *source, uint64_t usec, void *userdata)
{
    Targets *targets = userdata;
    InaError error = {0};
    int r;

    (void)source;
    (void)usec;
    targets->soon_source = sd_event_source_disable_unref(targets->soon_source);
    r = flush(targets, ms_of(CLOCK_BOOTTIME) + SLICE_MS, &error);
    targets_deliver(targets);
    if (r == 0 && !targets->dirty)
        return 0;
    /* The rest; after a failure (the disk is full) not at once. What was told meanwhile may have asked for it, too. */
    sd_event_source_disable_unref(targets->soon_source);
    targets->soon_source = NULL;
    (void)sd_event_add_time_relative(targets->event, &targets->soon_source, CLOCK_MONOTONIC, r < 0 ? 1000000 : 0, 0,
                                     on_soon, targets);
    return 0;
}

void targets_soon(Targets *targets)
{
    targets->dirty = true;
    if (targets->event && !targets->soon_source)
        (void)sd_event_add_time_relative(targets->event, &targets->soon_source, CLOCK_MONOTONIC,
                                         TARGETS_TOGETHER_MS * 1000, 1000, on_soon, targets);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
    Targets *targets = userdata;

    targets_tick(targets);
    (void)sd_event_source_set_time(source, usec + 1000000);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

int targets_run(Targets *targets, sd_event *event, InaError *error)
{
    int r;

    if (targets->event)
        return 0;
    r = sd_event_add_time_relative(event, &targets->tick_source, CLOCK_MONOTONIC, 1000000, 0, on_tick, targets);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    targets->event = sd_event_ref(event);
    if (targets->dirty || targets->rows_dirty)
        targets_soon(targets);
    return 0;
}

/* --- what agents tell ------------------------------------------------------------------------ */

static void row_changed(Targets *targets, Target *target)
{
    target->row_dirty = true;
    targets->rows_dirty = true;
    /* What comes with an event that is stored is stored with it. */
    if (database_within(targets->database)) {
        if (store_target(targets, target, NULL) == 0)
            target->row_dirty = false;
    }
    target_note(targets, target);
    targets_soon(targets);
    targets_deliver(targets);
}

bool target_present(const Targets *targets, const Target *target)
{
    int64_t limit = target->legacy ? TARGETS_PRESENT_LEGACY_MS : TARGETS_PRESENT_MS;

    return target->heard && targets_now(targets) - target->seen <= limit;
}

static void heard(Targets *targets, Target *target)
{
    bool was = target_present(targets, target);

    target->seen = targets_now(targets);
    target->heard = true;
    if (!was) {
        const TargetEvent event = {.type = TARGET_APPEARED, .id = target->id};

        target_note(targets, target);
        if (target->object)
            target_happened(targets, &event);
    }
}

int targets_seen(Targets *targets, const char *id, InaError *error)
{
    Target *target = target_find(targets, id);
    bool is_new = !target;
    int r = 0;

    if (is_new && targets->came >= TARGETS_AT_ONCE_MAX)
        return ina_error_set(error, ENOBUFS, "%u new targets came within a second; come again", TARGETS_AT_ONCE_MAX);
    if (is_new)
        r = target_get(targets, id, &target, error);
    if (r < 0)
        return r;
    heard(targets, target);
    if (is_new) {
        targets->came++;
        target->operate = true;
        row_changed(targets, target);
    }
    targets_deliver(targets);
    return 0;
}

void targets_left(Targets *targets, const char *id)
{
    Target *target = target_find(targets, id);
    const TargetEvent event = {.type = TARGET_GONE, .id = id};

    if (!target || !target->heard)
        return;
    target->heard = false;
    target_note(targets, target);
    if (target->object)
        target_happened(targets, &event);
    targets_deliver(targets);
}

static bool properties_valid(const json_t *properties, InaError *error)
{
    const char *key;
    json_t *value;

    if (!json_is_object(properties) || json_object_size(properties) > TARGETS_PROPERTIES_MAX) {
        ina_error_set(error, EINVAL, "properties: not an object of at most %u texts", TARGETS_PROPERTIES_MAX);
        return false;
    }
    json_object_foreach((json_t *)properties, key, value)
    {
        size_t length = strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

        if (length == 0 || length > 200 || key[length]) {
            ina_error_set(error, EINVAL, "properties: '%.64s' is no key of A-Z a-z 0-9 . _ -", key);
            return false;
        }
        if (!json_is_string(value) || json_string_length(value) > MODEL_VALUE_MAX) {
            ina_error_set(error, EINVAL, "properties.%s: not a text of at most %u bytes", key, MODEL_VALUE_MAX);
            return false;
        }
    }
    return true;
}

int targets_properties(Targets *targets, const char *id, const json_t *properties, InaError *error)
{
    Target *target;
    json_t *copy;
    int r;

    if (!properties_valid(properties, error))
        return -EINVAL;
    r = targets_seen(targets, id, error);
    if (r < 0)
        return r;
    target = target_find(targets, id);
    if (target->properties && json_equal(target->properties, properties))
        return 0;
    copy = json_deep_copy(properties);
    if (!copy)
        return ina_error_errno(error, ENOMEM, "properties");
    json_decref(target->properties);
    target->properties = copy;
    target->retag = true;
    target->operate = true;
    r = target_find_doubled(targets, target, error);
    row_changed(targets, target);
    return r;
}

void targets_count_on(Targets *targets, const char *id, const char *version)
{
    Target *target = target_find(targets, id);
    char *end;
    unsigned long major = strtoul(version, &end, 10);

    if (!target || version[0] < '0' || version[0] > '9' || strcmp(end, ".0.0") != 0 || major > TARGETS_MAJOR_TOLD_MAX ||
        major <= target->last_major)
        return;
    target->last_major = (uint32_t)major;
    row_changed(targets, target);
    /* Of several that are told together (a log) only the last counts. */
    if (database_within(targets->database) || target_catch_up(targets, target, NULL) < 0)
        target_queue(targets, target);
    targets_deliver(targets);
}

void targets_modern(Targets *targets, const char *id)
{
    Target *target = target_find(targets, id);

    if (target && target->legacy) {
        target->legacy = false;
        row_changed(targets, target);
    }
}

void targets_offered(Targets *targets, const char *id, const char *version)
{
    Target *target = target_find(targets, id);
    char newest[32];

    if (!target || target->n_versions == 0)
        return;
    (void)snprintf(newest, sizeof newest, "%u.0.0", (unsigned)target->versions[target->n_versions - 1].major);
    if (strcmp(version, newest) != 0 || target->provisioning == PROVISIONING_IN_PROGRESS ||
        strcmp(target->installed, version) == 0)
        return;
    target->provisioning = PROVISIONING_IN_PROGRESS;
    row_changed(targets, target);
}

void targets_installed(Targets *targets, const char *id, const char *version, bool success, const char *reason)
{
    Target *target = target_find(targets, id);
    const TargetEvent event = {.type = TARGET_VERDICT, .id = id, .version = version, .ok = success, .reason = reason};
    ProvisioningState state = success ? PROVISIONING_OK : PROVISIONING_FAILED;
    const char *failure = success ? NULL : reason ? reason : "its install failed";

    if (!target)
        return;
    if (strcmp(target->installed, version) != 0 || target->installed_ok != success ||
        strcmp(target->failure ? target->failure : "", failure ? failure : "") != 0) {
        (void)snprintf(target->installed, sizeof target->installed, "%s", version);
        target->installed_ok = success;
        target->provisioning = state;
        free(target->failure);
        target->failure = failure ? strndup(failure, 1024) : NULL;
        row_changed(targets, target);
    }
    target_happened(targets, &event);
}

void targets_health(Targets *targets, const char *id, const TargetHealth *health)
{
    Target *target = target_find(targets, id);
    const TargetEvent event = {.type = TARGET_HEALTH, .id = id, .version = health->version, .health = health};
    char *reason;
    Progress progress;
    bool changed;

    if (!target)
        return;
    reason = health->reason ? strndup(health->reason, 1024) : NULL;
    (void)progress_copy(&health->progress, &progress); /* out of memory: nothing is known of it */
    heard(targets, target);
    changed = health->ready != target->health.ready || health->errors != target->health.errors ||
              strcmp(health->version, target->health.version) != 0 || target->health.time == 0 ||
              strcmp(reason ? reason : "", target->health.reason ? target->health.reason : "") != 0;
    free(target->health.reason);
    progress_clear(&target->health.progress);
    target->health = *health;
    target->health.reason = reason;
    target->health.progress = progress;
    if (changed)
        target_note(targets, target);
    target_happened(targets, &event);
    targets_deliver(targets);
}

/* --- life ---------------------------------------------------------------------------------------- */

int targets_open(Database *database, Repository *repository, Blobs *blobs, Audit *audit, const TargetSettings *settings,
                 Targets **ret, InaError *error)
{
    Targets *targets = calloc(1, sizeof *targets);
    int r;

    if (!targets)
        return ina_error_errno(error, ENOMEM, "targets");
    targets->database = database;
    targets->repository = repository;
    targets->blobs = blobs;
    targets->audit = audit;
    targets->clock_offset = ms_of(CLOCK_REALTIME) - ms_of(CLOCK_BOOTTIME);
    targets_set_clock(targets, machine_now, targets);
    targets_set_stamps(targets, machine_stamp, NULL);
    targets->index = map_new();
    targets->items = map_new();
    targets->used = map_new();
    targets->majors = map_new();
    r = targets->index && targets->items && targets->used && targets->majors
            ? store_open(targets, error)
            : ina_error_errno(error, ENOMEM, "targets");
    if (r == 0)
        r = store_load(targets, error);
    for (size_t i = 0; r == 0 && i < targets->n_list; i++)
        targets->list[i]->known = true;
    if (r == 0)
        r = targets_read_settings(targets, settings, error);
    if (r == 0)
        r = targets_take_objects(targets, error);
    if (r < 0) {
        targets_close(targets);
        return r;
    }
    targets->rows_dirty = false;
    software_begin(targets);
    repository_watch(repository, targets_on_commit, targets);
    database_watch(database, on_transaction, targets);
    *ret = targets;
    return 0;
}

static void free_targets(Targets *targets)
{
    size_t position = 0;
    void *items;

    for (size_t i = 0; i < targets->n_list; i++)
        target_free(targets, targets->list[i]);
    /* Of versions that are no more, if the database had any. */
    while (targets->items && map_next(targets->items, &position, NULL, &items)) {
        ((Items *)items)->references = 1;
        items_unref(targets, items);
    }
    free(targets->list);
    free(targets->queue);
    free(targets->noted);
    while (targets->n_minted > 0)
        free(targets->minted[--targets->n_minted].target);
    free(targets->minted);
}

/* When each was heard last, and what was not kept yet. */
static void keep_rows(Targets *targets)
{
    for (size_t i = 0; i < targets->n_list; i++)
        targets->list[i]->row_dirty |= targets->list[i]->heard;
    targets->rows_dirty = targets->n_list > 0;
    if (!targets->rows_dirty || database_begin(targets->database, NULL) < 0)
        return;
    if (store_rows(targets, NULL) < 0)
        database_rollback(targets->database);
    else
        (void)database_commit(targets->database, NULL);
}

Targets *targets_close(Targets *targets)
{
    if (!targets)
        return NULL;
    database_unwatch(targets->database, targets);
    keep_rows(targets);
    sd_event_source_disable_unref(targets->soon_source);
    sd_event_source_disable_unref(targets->tick_source);
    sd_event_unref(targets->event);
    software_clear(targets);
    packages_clear(targets);
    free_targets(targets);
    target_settings_clear(&targets->settings);
    ina_filter_free(targets->register_filter);
    ina_filter_free(targets->approve_filter);
    ina_filter_free(targets->autoapprove_filter);
    map_free(targets->index);
    map_free(targets->items);
    map_free(targets->used);
    map_free(targets->majors);
    free(targets->answer);
    free(targets);
    return NULL;
}
