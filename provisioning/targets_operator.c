/* targets_operator.c - registering, approving by filter, releasing, forgetting; what commits mean for targets. */
#include "base/cleanup.h"
#include "targets_internal.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define PROPERTY_TAG "target."

/* --- settings -------------------------------------------------------------------- */

void target_settings_clear(TargetSettings *settings)
{
    free(settings->register_filter);
    free(settings->approve_filter);
    free(settings->autoapprove_filter);
    *settings = (TargetSettings){.register_filter = NULL};
}

static int copy_text(const char *text, char **ret, InaError *error)
{
    *ret = text && *text ? strdup(text) : NULL;
    return text && *text && !*ret ? ina_error_errno(error, ENOMEM, "settings") : 0;
}

static int compile(const char *name, const char *text, InaFilter **ret, InaError *error)
{
    int r = text && *text ? ina_filter_compile(text, ret, error) : 0;

    if (r < 0)
        ina_error_wrap(error, "%s", name);
    return r;
}

static int apply_settings(Targets *targets, const TargetSettings *settings, InaError *error)
{
    InaFilter *filters[3] = {NULL, NULL, NULL};
    TargetSettings copy = {.versions_kept = settings->versions_kept, .forget_ms = settings->forget_ms};
    int r = compile("register", settings->register_filter, &filters[0], error);

    if (r == 0)
        r = compile("approve", settings->approve_filter, &filters[1], error);
    if (r == 0)
        r = compile("autoApprove", settings->autoapprove_filter, &filters[2], error);
    if (r == 0)
        r = copy_text(settings->register_filter, &copy.register_filter, error);
    if (r == 0)
        r = copy_text(settings->approve_filter, &copy.approve_filter, error);
    if (r == 0)
        r = copy_text(settings->autoapprove_filter, &copy.autoapprove_filter, error);
    if (r < 0) {
        for (int i = 0; i < 3; i++)
            ina_filter_free(filters[i]);
        target_settings_clear(&copy);
        return r;
    }
    ina_filter_free(targets->register_filter);
    ina_filter_free(targets->approve_filter);
    ina_filter_free(targets->autoapprove_filter);
    targets->register_filter = filters[0];
    targets->approve_filter = filters[1];
    targets->autoapprove_filter = filters[2];
    target_settings_clear(&targets->settings);
    targets->settings = copy;
    for (size_t i = 0; i < targets->n_list; i++) {
        targets->list[i]->operate = true;
        target_queue(targets, targets->list[i]);
    }
    targets_soon(targets);
    return 0;
}

int targets_read_settings(Targets *targets, const TargetSettings *given, InaError *error)
{
    TargetSettings kept = {.register_filter = NULL};
    bool there;
    int r = store_read_settings(targets, &kept, &there, error);

    if (r == 0 && there)
        r = apply_settings(targets, &kept, error);
    else if (r == 0)
        r = apply_settings(
            targets,
            given ? given : &(TargetSettings){.versions_kept = TARGETS_VERSIONS_KEPT, .forget_ms = TARGETS_FORGET_MS},
            error);
    target_settings_clear(&kept);
    return r;
}

const TargetSettings *targets_settings(const Targets *targets)
{
    return &targets->settings;
}

int targets_set_settings(Targets *targets, const TargetSettings *settings, InaError *error)
{
    int r = apply_settings(targets, settings, error);

    return r < 0 ? r : store_settings(targets, settings, error);
}

/* --- properties that agents tell -------------------------------------------------------- */

/* Of names that differ in case only one can count; which one must not rest on the order in which they were told. */
static const char *doubled_by(const json_t *properties, const char *key)
{
    const char *other, *first = key;
    json_t *value;

    json_object_foreach((json_t *)properties, other, value) if (strcasecmp(other, key) == 0 && strcmp(other, first) < 0)
        first = other;
    return first == key ? NULL : first;
}

static void tell_problem(Targets *targets, Target *target, const char *text)
{
    if (text && !target->told_problem && targets->problem) {
        target->told_problem = true;
        targets->problem(targets->problem_userdata, target->id, text);
    }
}

int target_find_doubled(Targets *targets, Target *target, InaError *error)
{
    Buffer text = {0};
    const char *key;
    json_t *value;

    free(target->doubled);
    target->doubled = NULL;
    json_object_foreach(target->properties, key, value)
    {
        const char *other = doubled_by(target->properties, key);

        if (other && text.size < 1024)
            buffer_print(&text, "%sproperty %s does not count: %s is told, too, and differs in case only",
                         text.size > 0 ? "; " : "", key, other);
    }
    if (text.failed) {
        buffer_free(&text);
        return ina_error_errno(error, ENOMEM, "properties");
    }
    target->doubled = text.data;
    tell_problem(targets, target, target->doubled);
    return 0;
}

/* Takes over the words of `error`; NULL: it went well. */
static void set_refused(Targets *targets, Target *target, const InaError *error)
{
    char text[sizeof error->message + 64];

    if (!error && !target->refused)
        return;
    free(target->refused);
    target->refused = NULL;
    target_note(targets, target);
    if (!error)
        return;
    (void)snprintf(text, sizeof text, "its properties cannot become tags: %s", error->message);
    target->refused = strdup(text);
    tell_problem(targets, target, target->refused);
}

/* --- filters over targets -------------------------------------------------------------- */

static int set_text(InaProperties *properties, const char *key, const char *value, InaError *error)
{
    const InaValue text = {.type = INA_TYPE_STRING, .string = value};

    return ina_properties_set(properties, key, &text, error);
}

static InaProperties *filter_properties(const Target *target)
{
    InaProperties *properties = ina_properties_new();
    AUTO_JSON json_t *object = target->object ? object_json(target->object) : NULL;
    const char *parts[] = {"tags", "attributes"}, *key;
    json_t *value;

    if (!properties)
        return NULL;
    (void)set_text(properties, "id", target->id, NULL);
    json_object_foreach(target->properties, key, value)
    {
        char tag[sizeof PROPERTY_TAG + 208];

        if (doubled_by(target->properties, key))
            continue;
        (void)snprintf(tag, sizeof tag, PROPERTY_TAG "%s", key);
        (void)set_text(properties, tag, json_string_value(value), NULL);
    }
    for (size_t i = 0; object && i < 2; i++)
        json_object_foreach(json_object_get(object, parts[i]), key, value)(void)
            set_text(properties, key, json_string_value(value), NULL);
    return properties;
}

static bool matches(const InaFilter *filter, const Target *target)
{
    InaProperties *properties = filter ? filter_properties(target) : NULL;
    bool match = properties && ina_filter_match(filter, properties);

    ina_properties_free(properties);
    return match;
}

bool target_auto(const Targets *targets, const Target *target)
{
    const char *automatic = target->object ? object_attribute(target->object, "autoapprove") : NULL;

    return target->object &&
           ((automatic && strcmp(automatic, "true") == 0) || matches(targets->approve_filter, target));
}

/* --- objects in the repository ------------------------------------------------------------ */

static void definition_of(const Target *target, char ret[sizeof "target-id-" + TARGET_ID_MAX])
{
    (void)snprintf(ret, sizeof "target-id-" + TARGET_ID_MAX, "target-id-%s", target->id);
}

/* The agent's properties in place of those it told before. */
static void set_property_tags(json_t *tags, const json_t *properties)
{
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(tags, next, key, value) if (strncmp(key, PROPERTY_TAG, sizeof PROPERTY_TAG - 1) == 0)(void)
        json_object_del(tags, key);
    json_object_foreach((json_t *)properties, key, value)
    {
        char tag[sizeof PROPERTY_TAG + 208];

        if (doubled_by(properties, key))
            continue;
        (void)snprintf(tag, sizeof tag, PROPERTY_TAG "%s", key);
        (void)json_object_set(tags, tag, value);
    }
}

/* Whether the object says all that the agent told. */
static bool has_property_tags(const Object *object, const json_t *properties)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)properties, key, value)
    {
        char tag[sizeof PROPERTY_TAG + 208];
        const char *told;

        if (doubled_by(properties, key))
            continue;
        (void)snprintf(tag, sizeof tag, PROPERTY_TAG "%s", key);
        told = object_tag(object, tag);
        if (!told || strcmp(told, json_string_value(value)) != 0)
            return false;
    }
    return true;
}

/* The object that the target is to have; `automatic`: "true", "false", or NULL: as it is. */
static int make_object(const Target *target, const Model *model, const char *automatic, Object **ret, InaError *error)
{
    char definition[sizeof "target-id-" + TARGET_ID_MAX];
    const Object *before;
    AUTO_JSON json_t *value = NULL;

    definition_of(target, definition);
    before = model_get(model, OBJECT_TARGET, definition);
    value = before ? object_json(before) : json_pack("{s:{s:s}, s:{}}", "attributes", "id", target->id, "tags");
    if (!value)
        return ina_error_errno(error, ENOMEM, "target");
    (void)json_object_del(value, "definition");
    if (automatic)
        (void)json_object_set_new(json_object_get(value, "attributes"), "autoapprove", json_string(automatic));
    if (target->properties)
        set_property_tags(json_object_get(value, "tags"), target->properties);
    return object_new(OBJECT_TARGET, value, model, ret, error);
}

static int put_object(Target *target, Model *model, const char *automatic, InaError *error)
{
    Object *object;
    int r = make_object(target, model, automatic, &object, error);

    if (r < 0)
        return r;
    if (model_get(model, OBJECT_TARGET, object_definition(object)))
        r = model_replace(model, object, error);
    else
        r = model_add(model, object, error);
    object_unref(object);
    return r;
}

/* What the filters and new properties make of those that are to be looked at. */
static int operate_all(void *userdata, Model *model, InaError *error)
{
    Targets *targets = userdata;

    for (size_t i = 0; i < targets->n_list; i++) {
        Target *target = targets->list[i];
        const char *automatic = NULL;

        if (!target->operate)
            continue;
        target->operate = false;
        if (!target->object && !matches(targets->register_filter, target))
            continue;
        if (matches(targets->autoapprove_filter, target))
            automatic = "true";
        else if (!target->object)
            automatic = "false";
        else if (!target->retag)
            continue;
        target->retag = false;
        /* One whose properties the model refuses stays as it is, and says so; the others go on. */
        InaError refusal = {0};
        int r = put_object(target, model, automatic, &refusal);
        if (r == -ENOMEM)
            return ina_error_set(error, r, "%s", refusal.message);
        set_refused(targets, target, r < 0 ? &refusal : NULL);
        target_queue(targets, target);
    }
    return 0;
}

int targets_operate(Targets *targets, InaError *error)
{
    bool any = false;

    for (size_t i = 0; i < targets->n_list; i++)
        any |= targets->list[i]->operate;
    if (!any)
        return 0;
    return repository_commit(targets->repository, "auto", "targets as agents told", operate_all, targets, NULL, error);
}

/* --- what commits change --------------------------------------------------------------------- */

typedef struct Change {
    Targets *targets;
    bool software;
} Change;

static void take_change(void *userdata, const Object *before, const Object *after)
{
    Change *change = userdata;
    const Object *object = after ? after : before;
    const char *id = object_attribute(object, "id");
    Target *target;

    if (object_kind(object) != OBJECT_TARGET) {
        change->software = true;
        return;
    }
    if (!id || !target_id_valid(id) || target_get(change->targets, id, &target, NULL) < 0)
        return;
    if (!target->object && after && target->heard) {
        const TargetEvent event = {.type = TARGET_APPEARED, .id = target->id};

        target->object = object_ref(after);
        target_happened(change->targets, &event);
    } else {
        object_unref(target->object);
        target->object = after ? object_ref(after) : NULL;
    }
    target->evaluation.object = target->other.object = NULL; /* another one may get its address */
    /* Registered by a person's commit, or the tag that was in the way may be gone: what the agent told before counts
     * for filters and checks from now on. */
    if (after && (target->refused || (!before && !has_property_tags(after, target->properties)))) {
        target->retag = target->operate = true;
        targets_soon(change->targets);
    }
    if (!after) {
        evaluation_clear(&target->evaluation);
        target->pinned = NOT_PINNED;
    }
    target->row_dirty = change->targets->rows_dirty = true;
    target_queue(change->targets, target);
    target_note(change->targets, target);
}

/* Which targets a distribution goes to can depend on the other targets (cardinality), so all registered ones are looked
 * at again. Mostly that finds out that nothing changed. */
static void queue_all(Targets *targets)
{
    for (size_t i = 0; i < targets->n_list; i++)
        if (targets->list[i]->object)
            target_queue(targets, targets->list[i]);
    targets_soon(targets);
}

void targets_on_commit(void *userdata, const Model *before, const Model *after, int64_t revision)
{
    Change change = {.targets = userdata};

    (void)revision;
    model_compare(before, after, take_change, &change);
    software_stale(change.targets);
    queue_all(change.targets);
    targets_deliver(change.targets);
}

int targets_take_objects(Targets *targets, InaError *error)
{
    const Model *model = repository_model(targets->repository);
    size_t n = model_count(model, OBJECT_TARGET);

    for (size_t i = 0; i < n; i++) {
        const Object *object = model_at(model, OBJECT_TARGET, i);
        const char *id = object_attribute(object, "id");
        Target *target;
        int r;

        if (!id || !target_id_valid(id))
            continue;
        r = target_get(targets, id, &target, error);
        if (r < 0)
            return r;
        object_unref(target->object);
        target->object = object_ref(object);
    }
    queue_all(targets);
    return 0;
}

/* --- by hand -------------------------------------------------------------------------------------- */

typedef struct Registration {
    Target *target;
    const char *automatic;
} Registration;

static int register_one(void *userdata, Model *model, InaError *error)
{
    const Registration *registration = userdata;

    return put_object(registration->target, model, registration->automatic, error);
}

int targets_register(Targets *targets, const char *id, bool auto_approve, const char *author, InaError *error)
{
    Registration registration = {.automatic = auto_approve ? "true" : "false"};
    char message[REPOSITORY_MESSAGE_MAX];
    bool is_new = !target_find(targets, id);
    int r = target_get(targets, id, &registration.target, error);

    if (r < 0)
        return r;
    if (registration.target->object)
        return ina_error_set(error, EEXIST, "%s is registered already", id);
    (void)snprintf(message, sizeof message, "register %.255s", id);
    r = repository_commit(targets->repository, author, message, register_one, &registration, NULL, error);
    if (r < 0 && is_new)
        target_drop(targets, registration.target);
    if (r < 0)
        return r;
    /* The others, for whom this commit may mean something, have time. */
    r = target_look_at(targets, registration.target, error);
    targets_deliver(targets);
    return r;
}

int targets_approve(Targets *targets, const char *id, const char *author, InaError *error)
{
    Target *target = target_find(targets, id);
    int r;

    if (!target)
        return ina_error_set(error, ENOENT, "no target %.64s", id);
    r = target_mint(targets, target, target_revision(targets, target), 0, author, error);
    targets_deliver(targets);
    return r > 0 ? 0 : r;
}

int targets_acknowledge(Targets *targets, const char *id, InaError *error)
{
    Target *target = target_find(targets, id);
    ProvisioningState before;
    int r;

    if (!target)
        return ina_error_set(error, ENOENT, "no target %.64s", id);
    before = target->provisioning;
    if (before != PROVISIONING_OK && before != PROVISIONING_FAILED)
        return 0;
    target->provisioning = PROVISIONING_IDLE;
    r = store_target(targets, target, error);
    if (r < 0)
        target->provisioning = before;
    target_note(targets, target);
    targets_deliver(targets);
    return r;
}

/* --- forgetting --------------------------------------------------------------------------------------- */

typedef struct Forgetting {
    Target **list;
    size_t n;
} Forgetting;

static int remove_objects(void *userdata, Model *model, InaError *error)
{
    const Forgetting *forgetting = userdata;

    for (size_t i = 0; i < forgetting->n; i++) {
        char definition[sizeof "target-id-" + TARGET_ID_MAX];
        int r;

        definition_of(forgetting->list[i], definition);
        if (!model_get(model, OBJECT_TARGET, definition))
            continue;
        r = model_remove(model, OBJECT_TARGET, definition, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int forget_all(Targets *targets, Forgetting *forgetting, const char *author, InaError *error)
{
    char message[REPOSITORY_MESSAGE_MAX];
    int r = database_begin(targets->database, error);

    if (r < 0)
        return r;
    (void)snprintf(message, sizeof message, forgetting->n == 1 ? "forget %.255s" : "forget %.255s and others",
                   forgetting->list[0]->id);
    r = repository_commit(targets->repository, author, message, remove_objects, forgetting, NULL, error);
    for (size_t i = 0; r == 0 && i < forgetting->n; i++)
        r = store_forget(targets, forgetting->list[i], error);
    if (r < 0) {
        database_rollback(targets->database);
        return r;
    }
    r = database_commit(targets->database, error);
    for (size_t i = 0; r == 0 && i < forgetting->n; i++)
        target_drop(targets, forgetting->list[i]);
    return r;
}

/* What only forgotten targets used. */
static void sweep_items(Targets *targets)
{
    (void)database_run(targets->database, NULL,
                       "DELETE FROM targets_items WHERE key NOT IN (SELECT items FROM targets_versions)", "");
}

int targets_forget(Targets *targets, const char *id, const char *author, InaError *error)
{
    Target *target = target_find(targets, id);
    Forgetting forgetting = {.list = &target, .n = 1};
    int r;

    if (!target)
        return ina_error_set(error, ENOENT, "no target %.64s", id);
    r = forget_all(targets, &forgetting, author, error);
    if (r == 0)
        sweep_items(targets);
    targets_deliver(targets);
    return r;
}

static bool forgettable(const Targets *targets, const Target *target, int64_t now)
{
    int64_t since = target->seen > targets->started ? target->seen : targets->started;

    if (target_ephemeral(target))
        return targets->settings.forget_ms > 0 && now - since > targets->settings.forget_ms;
    return !target->object && target->n_versions == 0 && now - since > TARGETS_UNKNOWN_MS;
}

/* Nobody registered it: whoever may ask can make up such names. */
static bool is_stranger(const Target *target)
{
    return !target->object && target->n_versions == 0;
}

static int compare_seen(const void *a, const void *b)
{
    int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

    return (first > second) - (first < second);
}

size_t targets_strangers_most(size_t others)
{
    size_t room = others + TARGETS_FREE < TARGETS_MAX ? TARGETS_MAX - TARGETS_FREE - others : 0;

    return room < TARGETS_STRANGERS_MAX ? room : TARGETS_STRANGERS_MAX;
}

/* Strangers that were heard last before this are too many; INT64_MIN: none are. */
static int64_t strangers_limit(const Targets *targets)
{
    int64_t limit = INT64_MIN, *seen;
    size_t n = 0, most, left;

    for (size_t i = 0; i < targets->n_list; i++)
        n += is_stranger(targets->list[i]);
    most = targets_strangers_most(targets->n_list - n);
    left = most * 3 / 4;
    if (n <= most)
        return limit;
    if (left == 0)
        return INT64_MAX;
    seen = calloc(n, sizeof *seen);
    if (!seen)
        return limit;
    n = 0;
    for (size_t i = 0; i < targets->n_list; i++)
        if (is_stranger(targets->list[i]))
            seen[n++] = targets->list[i]->seen;
    qsort(seen, n, sizeof *seen, compare_seen);
    limit = seen[n - left];
    free(seen);
    return limit;
}

void targets_tick(Targets *targets)
{
    int64_t now = targets_now(targets), limit = strangers_limit(targets);
    Forgetting forgetting = {.list = calloc(targets->n_list + 1, sizeof(Target *))};

    targets->came = 0;
    for (size_t i = 0; forgetting.list && i < targets->n_list; i++) {
        Target *target = targets->list[i];

        if (target->told_present != target_present(targets, target)) {
            target->told_present = !target->told_present;
            target_note(targets, target);
        }
        if (forgettable(targets, target, now) || (is_stranger(target) && target->seen < limit))
            forgetting.list[forgetting.n++] = target;
    }
    if (forgetting.n > 0 && forget_all(targets, &forgetting, "auto", NULL) == 0)
        sweep_items(targets);
    free(forgetting.list);
    targets_deliver(targets);
}

/* --- for rollouts ---------------------------------------------------------------------------------------- */

int64_t targets_released(const Targets *targets)
{
    return targets->released;
}

int targets_release(Targets *targets, int64_t revision, InaError *error)
{
    int r = database_begin(targets->database, error);

    if (r < 0)
        return r;
    r = store_number(targets, "released", revision, error);
    for (size_t i = 0; r == 0 && i < targets->n_list; i++)
        if (targets->list[i]->pinned != NOT_PINNED) {
            targets->list[i]->pinned = NOT_PINNED;
            r = store_target(targets, targets->list[i], error);
        }
    if (r < 0) {
        database_rollback(targets->database);
        return r;
    }
    targets->released = revision;
    queue_all(targets);
    return database_commit(targets->database, error);
}

int targets_mint(Targets *targets, const char *id, int64_t revision, int64_t rollout, const char *author,
                 char ret_version[32], InaError *error)
{
    Target *target = target_find(targets, id);
    int64_t before;
    int r;

    if (!target)
        return ina_error_set(error, ENOENT, "no target %.64s", id);
    r = database_begin(targets->database, error);
    if (r < 0)
        return r;
    before = target->pinned;
    target->pinned = revision;
    r = target_mint(targets, target, revision, rollout, author, error);
    ret_version[0] = '\0';
    if (r > 0)
        (void)snprintf(ret_version, 32, "%u.0.0", (unsigned)target->last_major);
    else if (r == 0)
        r = store_target(targets, target, error);
    if (r < 0) {
        target->pinned = before;
        database_rollback(targets->database);
    } else {
        r = database_commit(targets->database, error);
    }
    target_queue(targets, target);
    targets_deliver(targets);
    return r > 0 ? 0 : r;
}

void targets_follow(Targets *targets, const char *id)
{
    Target *target = target_find(targets, id);

    if (!target || target->pinned == NOT_PINNED)
        return;
    target->pinned = NOT_PINNED;
    target->row_dirty = targets->rows_dirty = true;
    if (database_within(targets->database) && store_target(targets, target, NULL) == 0)
        target->row_dirty = false;
    target_queue(targets, target);
    targets_soon(targets);
}

/* Kept, so that asking again costs little. */
static int evaluate_other(Targets *targets, const char *id, int64_t revision, Target **ret, InaError *error)
{
    Target *target = target_find(targets, id);
    int r;

    if (!target || !target->object)
        return ina_error_set(error, ENOENT, "no registered target %.64s", id);
    if (target->other_revision != revision)
        evaluation_clear(&target->other);
    target->other_revision = revision;
    r = target_evaluate(targets, target, revision, &target->other, error);
    if (r < 0)
        evaluation_clear(&target->other);
    else if (target->other.code < 0)
        r = ina_error_set(error, -target->other.code, "%s", target->other.problem);
    *ret = target;
    return r;
}

int targets_differs(Targets *targets, const char *id, int64_t revision, InaError *error)
{
    Target *target;
    int r = evaluate_other(targets, id, revision, &target, error);

    return r < 0 ? r : !target_matches_newest(target, &target->other);
}

int targets_content(Targets *targets, const char *id, int64_t revision, char ret[BLOB_DIGEST_SIZE], InaError *error)
{
    Target *target;
    int r = evaluate_other(targets, id, revision, &target, error);

    if (r == 0)
        memcpy(ret, target->other.content, BLOB_DIGEST_SIZE);
    return r;
}
