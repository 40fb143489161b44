/* targets_versions.c - deployment versions: what was minted never changes. */
#include "base/cleanup.h"
#include "targets_internal.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define NAME_MAX_BYTES 200u /* of an entry in a package */

/* --- what versions hold ---------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Moves a text into the pool, which has room for all of them. */
static const char *pooled(char **pool, const char *text)
{
    char *place = *pool;

    if (!text)
        return NULL;
    *pool = stpcpy(place, text) + 1;
    return place;
}

static size_t pool_size(const json_t *list)
{
    static const char *const keys[] = {"name", "base", "symbolicName", "version", "processor", "paths"};
    size_t size = 1;

    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            const char *text = text_of(json_array_get(list, i), keys[k]);

            size += text ? strlen(text) + 1 : 0;
        }
    return size;
}

static int fill_item(const json_t *json, char **pool, PackageItem *item, const char **base)
{
    const char *digest = text_of(json, "sha256");

    *item = (PackageItem){
        .name = pooled(pool, text_of(json, "name")),
        .blob.size = (uint64_t)json_integer_value(json_object_get(json, "size")),
        .blob.crc32 = (uint32_t)json_integer_value(json_object_get(json, "crc32")),
        .symbolic_name = pooled(pool, text_of(json, "symbolicName")),
        .version = pooled(pool, text_of(json, "version")),
        .customizer = json_is_true(json_object_get(json, "customizer")),
        .processor = pooled(pool, text_of(json, "processor")),
        .paths = pooled(pool, text_of(json, "paths")),
    };
    *base = pooled(pool, text_of(json, "base"));
    *base = *base ? *base : item->name;
    if (!item->name || !digest || !blob_digest_valid(digest))
        return -EINVAL;
    memcpy(item->blob.digest, digest, BLOB_DIGEST_SIZE);
    return 0;
}

static void items_free(Items *items)
{
    if (!items)
        return;
    free(items->texts);
    free(items->items);
    free(items->bases);
    free(items);
}

static void count_blobs(Targets *targets, const Items *items, int by)
{
    for (size_t i = 0; i < items->n; i++) {
        const char *digest = items->items[i].blob.digest;
        uintptr_t n = (uintptr_t)map_get(targets->used, digest) + (uintptr_t)by;

        if (n == 0)
            map_remove(targets->used, digest);
        else
            (void)map_set(targets->used, digest, (void *)n);
    }
}

/* Put into targets->items without a reference; NULL on failure. */
Items *items_from_json(Targets *targets, const char *key, const char *content, const json_t *json, InaError *error)
{
    Items *items = calloc(1, sizeof *items);
    size_t n = json_array_size(json);
    char *pool;

    if (items) {
        (void)snprintf(items->key, sizeof items->key, "%s", key);
        (void)snprintf(items->content, sizeof items->content, "%s", content);
        items->texts = malloc(pool_size(json));
        items->n = n;
        items->items = calloc(n ? n : 1, sizeof *items->items);
        items->bases = calloc(n ? n : 1, sizeof *items->bases);
    }
    if (!items || !items->texts || !items->items || !items->bases) {
        items_free(items);
        ina_error_errno(error, ENOMEM, "deployment version");
        return NULL;
    }
    pool = items->texts;
    for (size_t i = 0; i < n; i++)
        if (fill_item(json_array_get(json, i), &pool, &items->items[i], &items->bases[i]) < 0) {
            items_free(items);
            ina_error_set(error, EINVAL, "database: an artifact of a version has no name or digest");
            return NULL;
        }
    if (map_set(targets->items, key, items) < 0) {
        items_free(items);
        ina_error_errno(error, ENOMEM, "deployment version");
        return NULL;
    }
    count_blobs(targets, items, 1);
    return items;
}

Items *items_ref(Targets *targets, Items *items)
{
    (void)targets;
    items->references++;
    return items;
}

void items_unref(Targets *targets, Items *items)
{
    if (--items->references > 0)
        return;
    map_remove(targets->items, items->key);
    count_blobs(targets, items, -1);
    items_free(items);
}

void target_clear_versions(Targets *targets, Target *target)
{
    for (size_t i = 0; i < target->n_versions; i++) {
        free(target->versions[i].author);
        items_unref(targets, target->versions[i].items);
    }
    free(target->versions);
    target->versions = NULL;
    target->n_versions = 0;
}

bool targets_use(Targets *targets, const char *digest)
{
    return map_get(targets->used, digest) != NULL;
}

/* --- minting --------------------------------------------------------------------- */

bool target_matches_newest(const Target *target, const Evaluation *evaluation)
{
    if (target->n_versions == 0)
        return evaluation->empty;
    return strcmp(target->versions[target->n_versions - 1].items->content, evaluation->content) == 0;
}

/* "c.json" for t1 in 3.0.0: "c_t1_3.0.0.json"; a long target is abbreviated by its hash. */
static void own_name(const char *base, const char *target, const char *version, char ret[NAME_MAX_BYTES + 1])
{
    const char *dot = strrchr(base, '.');
    size_t stem = dot ? (size_t)(dot - base) : strlen(base), extension = dot ? strlen(dot) : 0;
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[17];
    size_t room;

    if (extension > 16) {
        stem = strlen(base);
        extension = 0;
    }
    if (strlen(target) > 64) {
        crypto_hash_sha256(hash, (const unsigned char *)target, strlen(target));
        sodium_bin2hex(hex, sizeof hex, hash, 8);
        target = hex;
    }
    room = NAME_MAX_BYTES - strlen(target) - strlen(version) - extension - 2;
    if (stem > room)
        stem = room;
    (void)snprintf(ret, NAME_MAX_BYTES + 1, "%.*s_%s_%s%s", (int)stem, base, target, version, extension > 0 ? dot : "");
}

/* The name that the same file had in the newest version; NULL: none. */
static const char *earlier_name(const Target *target, const char *base, const char *digest)
{
    const Items *items = target->n_versions > 0 ? target->versions[target->n_versions - 1].items : NULL;

    for (size_t i = 0; items && i < items->n; i++)
        if (strcmp(items->bases[i], base) == 0 && strcmp(items->items[i].blob.digest, digest) == 0)
            return items->items[i].name;
    return NULL;
}

static void put(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (json_object_set_new(object, key, value) < 0)
        *failed = true;
}

static json_t *item_json(Targets *targets, const Target *target, const PlanItem *item, const char *version,
                         InaError *error)
{
    const char *symbolic_name = object_attribute(item->artifact, "Bundle-SymbolicName");
    const char *name = item->base;
    char own[NAME_MAX_BYTES + 1];
    BlobInfo blob = item->blob;
    json_t *object;
    bool failed;

    if (item->rendered) {
        if (blobs_put(targets->blobs, item->rendered, item->rendered_size, &blob, error) < 0)
            return NULL;
        name = earlier_name(target, item->base, blob.digest);
        if (!name) {
            own_name(item->base, target->id, version, own);
            name = own;
        }
    }
    object = json_object();
    failed = !object;
    put(object, "name", json_string(name), &failed);
    if (name != item->base)
        put(object, "base", json_string(item->base), &failed);
    put(object, "sha256", json_string(blob.digest), &failed);
    put(object, "size", json_integer((json_int_t)blob.size), &failed);
    put(object, "crc32", json_integer(blob.crc32), &failed);
    if (symbolic_name) {
        put(object, "symbolicName", json_string(symbolic_name), &failed);
        put(object, "version", json_string(object_attribute(item->artifact, "Bundle-Version")), &failed);
        if (object_is_processor(item->artifact))
            put(object, "customizer", json_true(), &failed);
    } else {
        put(object, "processor", json_string(object_attribute(item->artifact, "processorPid")), &failed);
    }
    if (item->paths)
        put(object, "paths", json_string(item->paths), &failed);
    if (failed) {
        json_decref(object);
        ina_error_errno(error, ENOMEM, "deployment version");
        return NULL;
    }
    return object;
}

/* Found or made; `ret_text`: what the database is to keep of new ones, malloc'ed; NULL: it has them. */
static int make_items(Targets *targets, const Target *target, const Plan *plan, const char *version, Items **ret,
                      char **ret_text, InaError *error)
{
    AUTO_JSON json_t *list = json_array();
    AUTO_FREE char *text = NULL;
    unsigned char hash[crypto_hash_sha256_BYTES];
    char key[BLOB_DIGEST_SIZE];

    for (size_t i = 0; i < plan->n; i++) {
        json_t *item = item_json(targets, target, &plan->items[i], version, error);

        if (!item)
            return -(error && error->code ? error->code : ENOMEM);
        if (json_array_append_new(list, item) < 0)
            return ina_error_errno(error, ENOMEM, "deployment version");
    }
    text = list ? json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!text)
        return ina_error_errno(error, ENOMEM, "deployment version");
    crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
    sodium_bin2hex(key, sizeof key, hash, sizeof hash);
    *ret = map_get(targets->items, key);
    if (*ret)
        return 0;
    *ret = items_from_json(targets, key, plan->content, list, error);
    if (!*ret)
        return -EINVAL;
    *ret_text = TAKE_PTR(text);
    return 0;
}

static void version_text(uint32_t major, char ret[32])
{
    (void)snprintf(ret, 32, "%u.0.0", (unsigned)major);
}

/* Minting does not make the same twice in a row, so those are repeats. */
static unsigned count_repeats(const Target *target)
{
    const char *content = target->versions[target->n_versions - 1].items->content;
    unsigned count = 0;

    for (size_t i = target->n_versions - 1; i > 0 && strcmp(target->versions[i - 1].items->content, content) == 0; i--)
        count++;
    return count;
}

/* Takes the oldest away, but not what is installed: fix packages begin there; nor what the newest repeats, by which it
 * is known how often that was done. */
static int purge(Targets *targets, Target *target, InaError *error)
{
    unsigned kept = targets->settings.versions_kept, run = target->n_versions > 0 ? count_repeats(target) + 1 : 0;
    size_t to = 0, excess = kept > 0 && target->n_versions > kept ? target->n_versions - kept : 0;

    if (run > kept && excess > 0)
        excess = target->n_versions - run;

    for (size_t i = 0; i < target->n_versions; i++) {
        Version *version = &target->versions[i];
        char text[32];

        version_text(version->major, text);
        /* Neither what it tried last, nor what it runs meanwhile. */
        if (i < excess && strcmp(text, target->installed) != 0 && strcmp(text, target->health.version) != 0) {
            char key[BLOB_DIGEST_SIZE];
            int r = store_remove_version(targets, target, version->major, error);

            memcpy(key, version->items->key, sizeof key);
            free(version->author);
            items_unref(targets, version->items);
            if (r == 0 && !map_get(targets->items, key))
                r = store_remove_items(targets, key, error);
            if (r < 0) { /* the roll back that follows reads all anew: only keep the list sound */
                memmove(&target->versions[to], &target->versions[i + 1],
                        (target->n_versions - i - 1) * sizeof *target->versions);
                target->n_versions -= i + 1 - to;
                return r;
            }
            continue;
        }
        target->versions[to++] = *version;
    }
    target->n_versions = to;
    return 0;
}

static int note_minted(Targets *targets, const Target *target, uint32_t major, InaError *error)
{
    if (targets->n_minted == targets->minted_capacity) {
        size_t capacity = targets->minted_capacity ? targets->minted_capacity * 2 : 16;
        Minted *grown = reallocarray(targets->minted, capacity, sizeof *grown);

        if (!grown)
            return ina_error_errno(error, ENOMEM, "deployment version");
        targets->minted = grown;
        targets->minted_capacity = capacity;
    }
    targets->minted[targets->n_minted] = (Minted){.target = strdup(target->id), .major = major};
    if (!targets->minted[targets->n_minted].target)
        return ina_error_errno(error, ENOMEM, "deployment version");
    targets->n_minted++;
    return 0;
}

/* Within a transaction. `known`: items that are in the database; NULL: made from the plan. */
static int append(Targets *targets, Target *target, const Plan *plan, Items *known, Version version, InaError *error)
{
    Version *grown = reallocarray(target->versions, target->n_versions + 1, sizeof *grown);
    AUTO_FREE char *items_text = NULL;
    char text[32];
    int r = 0;

    version.major = target->last_major + 1;
    version.created = targets_stamp(targets);
    version.serial = version.created > targets->serial ? version.created : targets->serial + 1;
    version.items = known;
    if (!grown || version.major == 0) {
        free(version.author);
        target->versions = grown ? grown : target->versions;
        return ina_error_errno(error, grown ? EOVERFLOW : ENOMEM, "deployment version of %s", target->id);
    }
    target->versions = grown;
    version_text(version.major, text);
    if (!known)
        r = make_items(targets, target, plan, text, &version.items, &items_text, error);
    if (r < 0) {
        free(version.author);
        return r;
    }
    items_ref(targets, version.items);
    r = store_version(targets, target, &version, items_text, error);
    if (r == 0)
        r = store_number(targets, "serial", version.serial, error);
    if (r < 0) {
        free(version.author);
        items_unref(targets, version.items);
        return r;
    }
    targets->serial = version.serial;
    target->versions[target->n_versions++] = version;
    target->last_major = version.major;
    r = purge(targets, target, error);
    if (r == 0)
        r = store_target(targets, target, error);
    return r < 0 ? r : note_minted(targets, target, version.major, error);
}

static int mint(Targets *targets, Target *target, const Plan *plan, Items *known, int64_t revision, int64_t rollout,
                const char *author, InaError *error)
{
    Version version = {.revision = revision, .rollout = rollout, .author = strndup(author, REPOSITORY_AUTHOR_MAX)};
    int r;

    if (!version.author)
        return ina_error_errno(error, ENOMEM, "deployment version");
    r = database_begin(targets->database, error);
    if (r < 0) {
        free(version.author);
        return r;
    }
    r = append(targets, target, plan, known, version, error);
    if (r < 0) {
        database_rollback(targets->database);
        return r;
    }
    r = database_commit(targets->database, error);
    if (r < 0)
        return r;
    target_note(targets, target);
    return 1;
}

int target_mint(Targets *targets, Target *target, int64_t revision, int64_t rollout, const char *author,
                InaError *error)
{
    const Items *newest = target->n_versions > 0 ? target->versions[target->n_versions - 1].items : NULL;
    Plan plan = {.items = NULL};
    Shared *shared;
    Items *items;
    int r = target_shared(targets, target, revision, &shared, error);

    if (r < 0)
        return r;
    /* Most have what others have already: that is kept, and nothing is to be put together. */
    if (!shared->templates && (newest ? strcmp(newest->content, shared->content) == 0 : shared->empty))
        return 0;
    items = shared->templates || !shared->items_key[0] ? NULL : map_get(targets->items, shared->items_key);
    if (items)
        return mint(targets, target, NULL, items, revision, rollout, author, error);
    r = target_plan(targets, target, revision, &plan, NULL, error);
    if (r < 0)
        return r;
    r = 0;
    if (newest ? strcmp(newest->content, plan.content) != 0 : plan.n > 0)
        r = mint(targets, target, &plan, NULL, revision, rollout, author, error);
    if (r > 0 && !shared->templates)
        memcpy(shared->items_key, target->versions[target->n_versions - 1].items->key, BLOB_DIGEST_SIZE);
    plan_clear(&plan);
    return r;
}

/* Of the newest; -EBUSY: too often. */
static int repeat(Targets *targets, Target *target, InaError *error)
{
    const Version *last = &target->versions[target->n_versions - 1];
    char author[REPOSITORY_AUTHOR_MAX + 1];
    int r;

    if (count_repeats(target) >= TARGETS_REPEATS_MAX)
        return ina_error_set(error, EBUSY, "version %u.0.0 of %.64s was repeated %u times already",
                             (unsigned)last->major, target->id, TARGETS_REPEATS_MAX);
    (void)snprintf(author, sizeof author, "%s", last->author);
    r = mint(targets, target, NULL, last->items, last->revision, last->rollout, author, error);
    return r > 0 ? 0 : r;
}

int targets_repeat(Targets *targets, const char *id, const char *version, InaError *error)
{
    Target *target = target_find(targets, id);
    char newest[32];
    int r;

    if (!target || target->n_versions == 0)
        return 0;
    version_text(target->versions[target->n_versions - 1].major, newest);
    if (strcmp(newest, version) != 0)
        return 0;
    r = repeat(targets, target, error);
    targets_deliver(targets);
    return r;
}

int target_catch_up(Targets *targets, Target *target, InaError *error)
{
    int r;

    if (target->n_versions == 0 || target->versions[target->n_versions - 1].major == target->last_major)
        return 0;
    r = repeat(targets, target, error);
    return r == -EBUSY ? 0 : r;
}

/* --- looking at them ---------------------------------------------------------------- */

void version_fill(const Target *target, const Version *version, DeploymentVersion *ret)
{
    *ret = (DeploymentVersion){
        .serial = version->serial,
        .created = version->created,
        .revision = version->revision,
        .rollout = version->rollout,
        .items = version->items->items,
        .n_items = version->items->n,
    };
    (void)snprintf(ret->target, sizeof ret->target, "%s", target->id);
    version_text(version->major, ret->version);
    (void)snprintf(ret->author, sizeof ret->author, "%s", version->author);
    memcpy(ret->content, version->items->content, sizeof ret->content);
}

static DeploymentVersion *room(Targets *targets, size_t n)
{
    if (n > targets->n_answer) {
        DeploymentVersion *grown = reallocarray(targets->answer, n, sizeof *grown);

        if (!grown)
            return NULL;
        targets->answer = grown;
        targets->n_answer = n;
    }
    return targets->answer;
}

size_t targets_versions(Targets *targets, const char *id, const DeploymentVersion **ret)
{
    const Target *target = target_find(targets, id);
    DeploymentVersion *list = target ? room(targets, target->n_versions) : NULL;

    *ret = list;
    if (!list)
        return 0;
    for (size_t i = 0; i < target->n_versions; i++)
        version_fill(target, &target->versions[i], &list[i]);
    return target->n_versions;
}

static const Version *find_version(const Target *target, const char *text)
{
    for (size_t i = target ? target->n_versions : 0; i > 0; i--) {
        char its[32];

        version_text(target->versions[i - 1].major, its);
        if (strcmp(its, text) == 0)
            return &target->versions[i - 1];
    }
    return NULL;
}

const DeploymentVersion *targets_version(Targets *targets, const char *id, const char *version)
{
    const Target *target = target_find(targets, id);
    const Version *found = find_version(target, version);
    DeploymentVersion *answer = found ? room(targets, 1) : NULL;

    if (answer)
        version_fill(target, found, answer);
    return answer;
}

json_t *targets_statement(const DeploymentVersion *version)
{
    json_t *artifacts = json_array();

    for (size_t i = 0; i < version->n_items; i++) {
        const PackageItem *item = &version->items[i];
        json_t *object = json_pack("{s:s, s:s, s:I}", "name", item->name, "sha256", item->blob.digest, "size",
                                   (json_int_t)item->blob.size);

        if (item->symbolic_name)
            (void)json_object_update_new(object, json_pack("{s:s, s:s, s:b}", "symbolicName", item->symbolic_name,
                                                           "version", item->version, "customizer", item->customizer));
        else
            (void)json_object_set_new(object, "processor", json_string(item->processor));
        (void)json_array_append_new(artifacts, object);
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:o}", "type", "inaetics.deployment.v1", "target", version->target,
                     "version", version->version, "serial", (json_int_t)version->serial, "artifacts", artifacts);
}

/* --- packages ------------------------------------------------------------------------- */

static bool in_items(const Items *items, const PackageItem *wanted)
{
    for (size_t i = 0; i < items->n; i++)
        if (strcmp(items->items[i].name, wanted->name) == 0 &&
            strcmp(items->items[i].blob.digest, wanted->blob.digest) == 0)
            return true;
    return false;
}

static int make_package(Targets *targets, const Target *target, const Version *version, const Version *from,
                        Package **ret, InaError *error)
{
    AUTO_FREE PackageItem *items = calloc(version->items->n ? version->items->n : 1, sizeof *items);
    char text[32], from_text[32];
    PackageSpec spec = {.target = target->id, .version = text, .items = items, .n_items = version->items->n};

    if (!items)
        return ina_error_errno(error, ENOMEM, "package");
    version_text(version->major, text);
    for (size_t i = 0; i < version->items->n; i++) {
        items[i] = version->items->items[i];
        items[i].missing = from && in_items(from->items, &items[i]);
    }
    if (from) {
        version_text(from->major, from_text);
        spec.from = from_text;
    }
    return package_new(&spec, targets->blobs, ret, error);
}

void packages_clear(Targets *targets)
{
    for (size_t i = 0; i < PACKAGES_KEPT; i++) {
        free(targets->packages[i].key);
        package_unref(targets->packages[i].package);
        targets->packages[i].key = NULL;
        targets->packages[i].package = NULL;
    }
}

int targets_package(Targets *targets, const char *id, const char *version, const char *from, Package **ret,
                    InaError *error)
{
    const Target *target = target_find(targets, id);
    const Version *found = find_version(target, version), *base = from ? find_version(target, from) : NULL;
    struct CachedPackage *place = &targets->packages[0];
    AUTO_FREE char *key = NULL;
    Package *package = NULL;
    int r;

    if (!found)
        return ina_error_set(error, ENOENT, "%.64s has no version %.32s", id, version);
    /* The serial is of this version alone, also when the target was forgotten and came back. */
    if (asprintf(&key, "%lld/%lld", (long long)found->serial, base ? (long long)base->serial : 0) < 0) {
        key = NULL;
        return ina_error_errno(error, ENOMEM, "package");
    }
    for (size_t i = 0; i < PACKAGES_KEPT; i++) {
        struct CachedPackage *cached = &targets->packages[i];

        if (cached->key && strcmp(cached->key, key) == 0) {
            cached->used = ++targets->uses;
            *ret = package_ref(cached->package);
            return 0;
        }
        if (cached->used < place->used)
            place = cached;
    }
    r = make_package(targets, target, found, base, &package, error);
    if (r < 0)
        return r;
    free(place->key);
    package_unref(place->package);
    place->key = TAKE_PTR(key);
    place->package = package;
    place->used = ++targets->uses;
    *ret = package_ref(package);
    return 0;
}
