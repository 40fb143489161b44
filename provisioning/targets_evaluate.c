/* targets_evaluate.c - what a target is to have at a revision of the software.
 *
 * The software of the revision is combined with the targets of the newest one.
 * Targets with the same distributions, runtime and platform are to have the
 * same: that is evaluated once (Shared) and kept until the software of the
 * revision is not used any more, also when targets come and go. Only
 * templates are filled in for each target. */
#include "base/cleanup.h"
#include "targets_internal.h"
#include "template.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>

typedef struct Text {
    char *text; /* NULL: no template */
    size_t size;
} Text;

/* --- plans ------------------------------------------------------------------------ */

void plan_clear(Plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        free(plan->items[i].rendered);
    free(plan->items);
    *plan = (Plan){.items = NULL};
}

static void hash_text(crypto_hash_sha256_state *state, const char *text)
{
    crypto_hash_sha256_update(state, (const unsigned char *)(text ? text : ""), text ? strlen(text) + 1 : 1);
}

/* Same names, files and what agents are told of them: the same content. Paths are not in it. */
static void plan_digest(Plan *plan)
{
    crypto_hash_sha256_state state;
    unsigned char hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < plan->n; i++) {
        const PlanItem *item = &plan->items[i];

        hash_text(&state, item->base);
        hash_text(&state, item->blob.digest);
        hash_text(&state, object_attribute(item->artifact, "Bundle-SymbolicName"));
        hash_text(&state, object_attribute(item->artifact, "Bundle-Version"));
        hash_text(&state, object_attribute(item->artifact, "processorPid"));
    }
    crypto_hash_sha256_final(&state, hash);
    sodium_bin2hex(plan->content, sizeof plan->content, hash, sizeof hash);
}

/* The name of an artifact's entry: a bundle is called after what it is, others as they were uploaded. */
static void base_name(const Object *artifact, char ret[208])
{
    const char *symbolic_name = object_attribute(artifact, "Bundle-SymbolicName");
    const char *version = object_attribute(artifact, "Bundle-Version");
    const char *filename = object_attribute(artifact, "filename"), *runtime = object_attribute(artifact, "runtime");
    const char *extension = runtime && strcmp(runtime, "c") == 0 ? "zip" : "jar";

    if (!symbolic_name) {
        (void)snprintf(ret, 201, "%s", filename ? filename : "");
        return;
    }
    if (strlen(symbolic_name) + (version ? strlen(version) : 0) > 190) {
        unsigned char hash[crypto_hash_sha256_BYTES];
        char hex[17];

        crypto_hash_sha256(hash, (const unsigned char *)symbolic_name, strlen(symbolic_name));
        sodium_bin2hex(hex, sizeof hex, hash, 8);
        (void)snprintf(ret, 201, "%.80s-%s-%.80s.%s", symbolic_name, hex, version ? version : "0.0.0", extension);
        return;
    }
    (void)snprintf(ret, 201, "%s-%s.%s", symbolic_name, version ? version : "0.0.0", extension);
}

/* --- configurations that may be templates --------------------------------------------- */

static void texts_clear(Targets *targets)
{
    size_t position = 0;
    void *value;

    while (targets->texts && map_next(targets->texts, &position, NULL, &value)) {
        free(((Text *)value)->text);
        free(value);
    }
    targets->texts = map_free(targets->texts);
    targets->texts_size = 0;
}

static int read_blob(Targets *targets, const BlobInfo *blob, char **ret, InaError *error)
{
    AUTO_CLOSE int fd = -1;
    AUTO_FREE char *text = NULL;
    uint64_t size;
    size_t done = 0;
    int r = blobs_open_file(targets->blobs, blob->digest, &fd, &size, error);

    if (r < 0)
        return r;
    text = malloc(size + 1);
    if (!text)
        return ina_error_errno(error, ENOMEM, "configuration");
    while (done < size) {
        ssize_t got = read(fd, text + done, size - done);

        if (got <= 0)
            return ina_error_errno(error, got < 0 ? errno : EIO, "%s", blob->digest);
        done += (size_t)got;
    }
    text[size] = '\0';
    *ret = TAKE_PTR(text);
    return 0;
}

/* The text of what may be a template; `text` NULL: it is none. Borrowed until the next call. */
static int text_of(Targets *targets, const BlobInfo *blob, const Text **ret, InaError *error)
{
    Text *text = targets->texts ? map_get(targets->texts, blob->digest) : NULL;
    char *read = NULL;
    int r = 0;

    if (text) {
        *ret = text;
        return 0;
    }
    if (targets->texts_size > TEXTS_MAX)
        texts_clear(targets);
    if (!targets->texts)
        targets->texts = map_new();
    text = calloc(1, sizeof *text);
    if (!targets->texts || !text || map_set(targets->texts, blob->digest, text) < 0) {
        free(text);
        return ina_error_errno(error, ENOMEM, "configuration");
    }
    if (blob->size <= TEMPLATE_OUTPUT_MAX)
        r = read_blob(targets, blob, &read, error);
    if (r < 0) {
        map_remove(targets->texts, blob->digest);
        free(text);
        return r;
    }
    targets->texts_size += 128;
    if (read && (memchr(read, '$', blob->size) || memchr(read, '#', blob->size))) {
        text->text = TAKE_PTR(read);
        text->size = blob->size;
        targets->texts_size += blob->size;
    }
    free(read);
    *ret = text;
    return 0;
}

/* Of a file that is there; asked once: it never changes. */
static int info_of(Targets *targets, const char *digest, BlobInfo *ret)
{
    BlobInfo *info = targets->infos ? map_get(targets->infos, digest) : NULL;

    if (info) {
        *ret = *info;
        return 0;
    }
    if (blobs_stat(targets->blobs, digest, ret, NULL) < 0)
        return -ENOENT;
    if (!targets->infos)
        targets->infos = map_new();
    info = malloc(sizeof *info);
    if (info && targets->infos) {
        *info = *ret;
        if (map_set(targets->infos, digest, info) == 0)
            return 0;
    }
    free(info);
    return 0;
}

static void infos_clear(Targets *targets)
{
    size_t position = 0;
    void *value;

    while (targets->infos && map_next(targets->infos, &position, NULL, &value))
        free(value);
    targets->infos = map_free(targets->infos);
}

/* --- what alike targets share ------------------------------------------------------------ */

static void shared_thin(Shared *shared)
{
    wanted_free(shared->wanted, shared->n_wanted);
    shared->wanted = NULL;
    shared->n_wanted = 0;
    plan_clear(&shared->plan);
    free(shared->distributions);
    free(shared->features);
    shared->distributions = shared->features = NULL;
    shared->n_distributions = shared->n_features = 0;
    shared->whole = false;
}

static Shared *shared_free(Targets *targets, Shared *shared)
{
    if (!shared)
        return NULL;
    for (size_t i = 0; i < SHARED_WHOLE; i++)
        if (targets->whole[i] == shared)
            targets->whole[i] = NULL;
    shared_thin(shared);
    free(shared->problem);
    free(shared);
    return NULL;
}

/* In place of the one that was made whole the longest ago. */
static void keep_whole(Targets *targets, Shared *shared)
{
    Shared **place = &targets->whole[targets->next_whole++ % SHARED_WHOLE];

    if (*place)
        shared_thin(*place);
    *place = shared;
    shared->whole = true;
}

static void unmade(Software *software)
{
    software->model = model_free(software->model);
    free(software->links);
    software->links = NULL;
    software->n_links = 0;
}

static void software_free(Targets *targets, Software *software)
{
    size_t position = 0;
    void *value;

    if (!software->kept)
        return;
    while (map_next(software->shared, &position, NULL, &value))
        shared_free(targets, value);
    map_free(software->shared);
    unmade(software);
    repository_release(targets->repository, software->kept);
    *software = (Software){.kept = NULL};
}

void software_stale(Targets *targets)
{
    for (size_t i = 0; i < SOFTWARE_KEPT; i++)
        unmade(&targets->software[i]);
}

void software_clear(Targets *targets)
{
    for (size_t i = 0; i < SOFTWARE_KEPT; i++)
        software_free(targets, &targets->software[i]);
    texts_clear(targets);
    infos_clear(targets);
}

static int compare_links(const void *a, const void *b)
{
    const DistributionLink *one = a, *other = b;

    if (one->target != other->target)
        return one->target < other->target ? -1 : 1;
    return strcmp(object_definition(one->distribution), object_definition(other->distribution));
}

/* Combines the software with the targets of the newest revision. */
static int make_model(Targets *targets, Software *software, InaError *error)
{
    const ModelLink *links;
    size_t n;
    int r;

    software->model = model_copy(repository_model(targets->repository));
    if (!software->model)
        return ina_error_errno(error, ENOMEM, "software");
    model_restore(software->model, software->kept);
    r = model_links(software->model, OBJECT_DISTRIBUTION2TARGET, &links, &n, error);
    if (r == 0) {
        software->links = calloc(n ? n : 1, sizeof *software->links);
        r = software->links ? 0 : ina_error_errno(error, ENOMEM, "software");
    }
    if (r < 0) {
        unmade(software);
        return r;
    }
    for (size_t i = 0; i < n; i++)
        software->links[i] = (DistributionLink){.target = links[i].right, .distribution = links[i].left};
    software->n_links = n;
    qsort(software->links, n, sizeof *software->links, compare_links);
    return 0;
}

static int get_software(Targets *targets, int64_t revision, Software **ret, InaError *error)
{
    Software *place = &targets->software[0];
    int r;

    for (size_t i = 0; i < SOFTWARE_KEPT; i++) {
        Software *software = &targets->software[i];

        if (software->kept && software->revision == revision) {
            software->used = ++targets->uses;
            *ret = software;
            return software->model ? 0 : make_model(targets, software, error);
        }
        if (software->used < place->used)
            place = software;
    }
    software_free(targets, place);
    infos_clear(targets); /* of artifacts that were there once */
    place->shared = map_new();
    if (!place->shared)
        return ina_error_errno(error, ENOMEM, "software");
    r = repository_model_at(targets->repository, revision, &place->kept, error);
    if (r < 0) {
        place->shared = map_free(place->shared);
        return r;
    }
    place->revision = revision;
    place->used = ++targets->uses;
    r = make_model(targets, place, error);
    if (r == 0)
        *ret = place;
    return r;
}

int targets_ready(Targets *targets, int64_t revision, InaError *error)
{
    Software *software;

    return get_software(targets, revision, &software, error);
}

/* What cannot be had is told when it is asked for. */
void software_begin(Targets *targets)
{
    int64_t newest = repository_head(targets->repository);

    if (targets->n_list > 0 && targets->released > 0)
        (void)targets_ready(targets, targets->released, NULL);
    if (targets->n_list > 0 && newest > 0)
        (void)targets_ready(targets, newest, NULL);
}

static const DistributionLink *links_of(const Software *software, const Object *object, size_t *ret_n)
{
    size_t low = 0, high = software->n_links, n = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (software->links[middle].target < object)
            low = middle + 1;
        else
            high = middle;
    }
    while (low + n < software->n_links && software->links[low + n].target == object)
        n++;
    *ret_n = n;
    return &software->links[low];
}

static const char *told(const Object *object, const char *plain, const char *tag)
{
    const char *value = object_value(object, plain);

    value = value ? value : object_value(object, tag);
    return value ? value : "";
}

static int share_key(const Software *software, const Object *object, Buffer *key, InaError *error)
{
    size_t n;
    const DistributionLink *links = links_of(software, object, &n);
    const Object *last = NULL;

    for (size_t i = 0; i < n; i++)
        if (links[i].distribution != last) {
            last = links[i].distribution;
            buffer_print(key, "%p ", (const void *)last);
        }
    buffer_print(key, "|%s|%s|%s", told(object, "runtime", "target.runtime"),
                 told(object, "processor", "target.processor"), told(object, "platform", "target.platform"));
    return key->failed ? ina_error_errno(error, ENOMEM, "software") : 0;
}

static int fill_plan(Targets *targets, Shared *shared, InaError *error)
{
    AUTO_JSON json_t *names = json_object();

    shared->plan.items = calloc(shared->n_wanted ? shared->n_wanted : 1, sizeof *shared->plan.items);
    if (!shared->plan.items || !names)
        return ina_error_errno(error, ENOMEM, "software");
    for (size_t i = 0; i < shared->n_wanted; i++) {
        PlanItem *item = &shared->plan.items[i];
        const char *digest = object_attribute(shared->wanted[i].artifact, "sha256");
        const char *symbolic_name = object_attribute(shared->wanted[i].artifact, "Bundle-SymbolicName");
        const Text *text;
        int r;

        item->artifact = shared->wanted[i].artifact;
        item->paths = shared->wanted[i].paths;
        base_name(item->artifact, item->base);
        shared->plan.n = i + 1;
        char name[OBJECT_TEXT_SIZE];
        if (!digest || info_of(targets, digest, &item->blob) < 0)
            return ina_error_set(error, EINVAL, "the file of %s is not here",
                                 definition_text(object_definition(item->artifact), name));
        if (!symbolic_name && !object_attribute(item->artifact, "processorPid"))
            return ina_error_set(error, EINVAL, "%s has no processorPid", item->base);
        if (json_object_get(names, item->base))
            return ina_error_set(error, EINVAL, "two artifacts have the name %s", item->base);
        json_object_set_new(names, item->base, json_true());
        if (!symbolic_name) {
            r = text_of(targets, &item->blob, &text, error);
            if (r < 0)
                return r;
            shared->templates |= text->text != NULL;
        }
    }
    plan_digest(&shared->plan);
    memcpy(shared->content, shared->plan.content, sizeof shared->content);
    shared->empty = shared->plan.n == 0;
    return 0;
}

static int compare_objects(const void *a, const void *b)
{
    return strcmp(object_definition(*(const Object *const *)a), object_definition(*(const Object *const *)b));
}

static bool among(const Object *const *objects, size_t n, const Object *object)
{
    for (size_t i = 0; i < n; i++)
        if (objects[i] == object)
            return true;
    return false;
}

/* Distributions and features of these targets, for their templates. */
static int fill_context(const Software *software, const Object *object, Shared *shared, InaError *error)
{
    size_t n, n_links;
    const DistributionLink *own = links_of(software, object, &n);
    const ModelLink *links;
    int r = model_links(software->model, OBJECT_FEATURE2DISTRIBUTION, &links, &n_links, error);

    if (r < 0)
        return r;
    shared->distributions = calloc(n ? n : 1, sizeof *shared->distributions);
    shared->features = calloc(n_links ? n_links : 1, sizeof *shared->features);
    if (!shared->distributions || !shared->features)
        return ina_error_errno(error, ENOMEM, "software");
    for (size_t i = 0; i < n; i++)
        if (i == 0 || own[i].distribution != own[i - 1].distribution)
            shared->distributions[shared->n_distributions++] = own[i].distribution;
    for (size_t i = 0; i < n_links; i++)
        if (among(shared->distributions, shared->n_distributions, links[i].right))
            shared->features[shared->n_features++] = links[i].left;
    qsort(shared->features, shared->n_features, sizeof *shared->features, compare_objects);
    n = 0;
    for (size_t i = 0; i < shared->n_features; i++)
        if (i == 0 || shared->features[i] != shared->features[i - 1])
            shared->features[n++] = shared->features[i];
    shared->n_features = n;
    return 0;
}

static int make_shared(Targets *targets, const Software *software, const Object *object, Shared *shared,
                       InaError *error)
{
    InaError own = {0};
    AUTO_FREE char *reasons = NULL;
    int r = model_wanted(software->model, object, &shared->wanted, &shared->n_wanted, &reasons, &own);

    if (r == 0)
        r = fill_plan(targets, shared, &own);
    if (r == 0 && shared->templates)
        r = fill_context(software, object, shared, &own);
    if (r == -EINVAL) { /* that is a result */
        shared->code = r;
        free(shared->problem);
        shared->problem = reasons ? TAKE_PTR(reasons) : strdup(own.message);
        return shared->problem ? 0 : ina_error_errno(error, ENOMEM, "software");
    }
    return r < 0 ? ina_error_set(error, r, "%s", own.message) : 0;
}

/* `whole`: all of it, not only its digest. */
static int get_shared(Targets *targets, Software *software, const Object *object, bool whole, Shared **ret,
                      InaError *error)
{
    Buffer key = {0};
    Shared *shared;
    int r = share_key(software, object, &key, error);

    if (r < 0) {
        buffer_free(&key);
        return r;
    }
    shared = map_get(software->shared, key.data);
    if (!shared) {
        shared = calloc(1, sizeof *shared);
        r = shared ? make_shared(targets, software, object, shared, error) : ina_error_errno(error, ENOMEM, "software");
        if (r == 0) {
            shared->id = ++targets->shared_ids;
            r = map_set(software->shared, key.data, shared) < 0 ? ina_error_errno(error, ENOMEM, "software") : 0;
        }
        if (r < 0)
            shared = shared_free(targets, shared);
        else
            keep_whole(targets, shared);
    } else if (whole && !shared->whole) {
        shared_thin(shared);
        r = make_shared(targets, software, object, shared, error);
        if (r == 0)
            keep_whole(targets, shared);
        else
            shared_thin(shared);
    }
    buffer_free(&key);
    *ret = shared;
    return r;
}

/* --- templates ----------------------------------------------------------------------------- */

static int render_item(Targets *targets, const TemplateContext *context, PlanItem *item, InaError *error)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    const Text *text;
    int r = text_of(targets, &item->blob, &text, error);

    if (r < 0 || !text->text)
        return r;
    r = template_render(text->text, text->size, context, &item->rendered, &item->rendered_size, error);
    if (r < 0) {
        ina_error_wrap(error, "%s", item->base);
        return r == -EFBIG ? -EINVAL : r;
    }
    if (item->rendered) {
        crypto_hash_sha256(hash, (const unsigned char *)item->rendered, item->rendered_size);
        sodium_bin2hex(item->blob.digest, sizeof item->blob.digest, hash, sizeof hash);
        item->blob.size = item->rendered_size;
    }
    return 0;
}

/* A copy of what is shared, with this target's own files. */
static int own_plan(Targets *targets, const Object *object, const Shared *shared, Plan *ret, InaError *error)
{
    const Plan *plan = &shared->plan;
    AUTO_FREE const Object **artifacts = calloc(plan->n ? plan->n : 1, sizeof *artifacts);
    TemplateContext context = {
        .target = object,
        .distributions = shared->distributions,
        .n_distributions = shared->n_distributions,
        .features = shared->features,
        .n_features = shared->n_features,
        .artifacts = artifacts,
        .n_artifacts = plan->n,
    };
    int r = 0;

    *ret = (Plan){.items = calloc(plan->n ? plan->n : 1, sizeof *ret->items)};
    if (!artifacts || !ret->items)
        r = ina_error_errno(error, ENOMEM, "software");
    for (size_t i = 0; r == 0 && i < plan->n; i++) {
        artifacts[i] = plan->items[i].artifact;
        ret->items[i] = plan->items[i];
        ret->n = i + 1;
    }
    for (size_t i = 0; r == 0 && shared->templates && i < plan->n; i++)
        if (!object_attribute(plan->items[i].artifact, "Bundle-SymbolicName"))
            r = render_item(targets, &context, &ret->items[i], error);
    if (r < 0)
        plan_clear(ret);
    else
        plan_digest(ret);
    return r;
}

/* --- for others ------------------------------------------------------------------------------ */

/* The target as it is in the model: this may be asked between a commit and its announcement. */
static int find_shared(Targets *targets, const Target *target, int64_t revision, bool whole, const Object **ret_object,
                       Shared **ret, InaError *error)
{
    Software *software = NULL;
    int r;

    if (!target->object)
        return ina_error_set(error, EINVAL, "%s is not registered", target->id);
    r = get_software(targets, revision, &software, error);
    if (r < 0)
        return r;
    *ret_object = model_get(software->model, OBJECT_TARGET, object_definition(target->object));
    if (!*ret_object)
        return ina_error_set(error, EINVAL, "%s is not registered", target->id);
    return get_shared(targets, software, *ret_object, whole, ret, error);
}

int target_shared(Targets *targets, Target *target, int64_t revision, Shared **ret, InaError *error)
{
    const Object *object;
    int r = find_shared(targets, target, revision, false, &object, ret, error);

    if (r == 0 && (*ret)->code < 0)
        r = ina_error_set(error, EINVAL, "%.*s", (int)strcspn((*ret)->problem, "\n"), (*ret)->problem);
    return r;
}

int target_plan(Targets *targets, Target *target, int64_t revision, Plan *ret, char **ret_problem, InaError *error)
{
    InaError own = {0};
    const Object *object;
    Shared *shared;
    int r = find_shared(targets, target, revision, true, &object, &shared, error);

    if (ret_problem)
        *ret_problem = NULL;
    if (r < 0)
        return r;
    if (shared->code < 0) {
        if (ret_problem)
            *ret_problem = strdup(shared->problem);
        return ina_error_set(error, EINVAL, "%.*s", (int)strcspn(shared->problem, "\n"), shared->problem);
    }
    r = own_plan(targets, object, shared, ret, &own);
    if (r == -EINVAL && ret_problem)
        *ret_problem = strdup(own.message);
    return r < 0 ? ina_error_set(error, r, "%s", own.message) : 0;
}

void evaluation_clear(Evaluation *evaluation)
{
    free(evaluation->problem);
    *evaluation = (Evaluation){.shared = 0};
}

static int evaluate_own(Targets *targets, const Object *object, const Shared *shared, Evaluation *evaluation,
                        InaError *error)
{
    InaError own = {0};
    Plan plan = {.items = NULL};
    int r = own_plan(targets, object, shared, &plan, &own);

    if (r == 0) {
        memcpy(evaluation->content, plan.content, sizeof evaluation->content);
        evaluation->empty = plan.n == 0;
        plan_clear(&plan);
        return 0;
    }
    if (r != -EINVAL)
        return ina_error_set(error, r, "%s", own.message);
    evaluation->code = r;
    evaluation->problem = strdup(own.message);
    return evaluation->problem ? 0 : ina_error_errno(error, ENOMEM, "software");
}

int target_evaluate(Targets *targets, Target *target, int64_t revision, Evaluation *evaluation, InaError *error)
{
    const Object *object;
    Shared *shared;
    int r = find_shared(targets, target, revision, false, &object, &shared, error);

    if (r < 0)
        return r;
    if (evaluation->shared == shared->id && (evaluation->object == object || !shared->templates))
        return 0;
    evaluation_clear(evaluation);
    if (shared->code < 0) {
        evaluation->code = shared->code;
        evaluation->problem = strdup(shared->problem);
        if (!evaluation->problem)
            return ina_error_errno(error, ENOMEM, "software");
    } else if (shared->templates) {
        r = find_shared(targets, target, revision, true, &object, &shared, error);
        if (r == 0)
            r = evaluate_own(targets, object, shared, evaluation, error);
        if (r < 0)
            return r;
    } else {
        memcpy(evaluation->content, shared->content, sizeof evaluation->content);
        evaluation->empty = shared->empty;
    }
    evaluation->shared = shared->id;
    evaluation->object = object;
    return 0;
}
