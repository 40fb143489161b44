#include "targets_fixture.h"
#include "base/cleanup.h"
#include "tests/leftovers.h"

InaError world_error;

static int64_t world_now(void *userdata)
{
    return ((World *)userdata)->now;
}

static void __attribute__((format(printf, 2, 3))) tell(World *world, const char *format, ...)
{
    size_t used = strlen(world->told);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(world->told + used, sizeof world->told - used, format, arguments);
    va_end(arguments);
}

static void on_changed(void *userdata, const char *id, bool gone)
{
    tell(userdata, "%s%s ", id, gone ? "!" : "");
}

static void on_minted(void *userdata, const DeploymentVersion *version)
{
    tell(userdata, "v:%s/%s ", version->target, version->version);
}

void world_open(World *world)
{
    char path[128];

    snprintf(path, sizeof path, "%s/file.db", world->folder);
    must(database_open(path, &world->database, &world_error));
    must(repository_open(world->database, &world->repository, &world_error));
    must(blobs_open(world->folder, &world->blobs, &world_error));
    must(audit_open(world->database, &world->audit, &world_error));
    must(targets_open(world->database, world->repository, world->blobs, world->audit, &world->settings, &world->targets,
                      &world_error));
    targets_set_clock(world->targets, world_now, world);
    targets_watch(world->targets, on_changed, world);
    targets_watch_versions(world->targets, on_minted, world);
}

void world_close(World *world)
{
    workspace_free(world->workspace);
    world->workspace = NULL;
    world->targets = targets_close(world->targets);
    world->audit = audit_close(world->audit);
    world->repository = repository_close(world->repository);
    world->blobs = blobs_close(world->blobs);
    world->database = database_close(world->database);
}

void world_reopen(World *world)
{
    world_close(world);
    world_open(world);
}

int world_set_up(void **state)
{
    World *world = calloc(1, sizeof *world);

    strcpy(world->folder, "/tmp/inaetics-targets-XXXXXX");
    if (!make_test_folder(world->folder))
        return -1;
    world->now = 1700000000000;
    world->settings = (TargetSettings){.versions_kept = 20, .forget_ms = 600000};
    world_open(world);
    *state = world;
    return 0;
}

int world_tear_down(void **state)
{
    World *world = *state;
    int r;

    world_close(world);
    r = folder_remove(world->folder, NULL);
    free(world);
    return r;
}

Model *world_edit(World *world)
{
    if (!world->workspace)
        must(workspace_new(world->repository, "d", &world->workspace, &world_error));
    return workspace_model(world->workspace);
}

int64_t world_store(World *world)
{
    int64_t revision = 0;

    must(workspace_commit(world->workspace, "d", "a message", &revision, &world_error));
    workspace_free(world->workspace);
    world->workspace = NULL;
    return revision;
}

const Object *world_bundle_of(World *world, const char *name, const char *version, const char *attributes)
{
    Model *model = world_edit(world);
    char text[256], definition[256];
    const Object *there;
    BlobInfo blob;

    snprintf(definition, sizeof definition, "artifact-Bundle-SymbolicName-%s-Bundle-Version-%s", name, version);
    there = model_get(model, OBJECT_ARTIFACT, definition);
    if (there)
        return there;
    snprintf(text, sizeof text, "bundle %s %s", name, version);
    must(blobs_put(world->blobs, text, strlen(text), &blob, &world_error));
    return add(model, OBJECT_ARTIFACT,
               "{'attributes':{'Bundle-SymbolicName':'%s','Bundle-Version':'%s','filename':'%s.zip','sha256':'%s',"
               "'runtime':'c','mimetype':'application/vnd.osgi.bundle'%s},'tags':{}}",
               name, version, name, blob.digest, attributes);
}

const Object *world_bundle(World *world, const char *name, const char *version)
{
    return world_bundle_of(world, name, version, "");
}

const Object *world_config(World *world, const char *name, const char *text)
{
    Model *model = world_edit(world);
    BlobInfo blob;

    must(blobs_put(world->blobs, text, strlen(text), &blob, &world_error));
    return add(model, OBJECT_ARTIFACT,
               "{'attributes':{'filename':'%s','artifactName':'%s','sha256':'%s','mimetype':'application/json',"
               "'processorPid':'org.inaetics.rp.configuration'},'tags':{}}",
               name, name, blob.digest);
}

void world_assign(World *world, const char *name, const Object *const *artifacts, size_t n, const char *targets)
{
    Model *model = world_edit(world);
    const Object *feature = add_named(model, OBJECT_FEATURE, name);
    const Object *distribution = add_named(model, OBJECT_DISTRIBUTION, name);
    char left[128];

    for (size_t i = 0; i < n; i++)
        add_link(model, OBJECT_ARTIFACT2FEATURE, artifacts[i], feature);
    add_link(model, OBJECT_FEATURE2DISTRIBUTION, feature, distribution);
    snprintf(left, sizeof left, "(name=%s)", name);
    add_filters(model, OBJECT_DISTRIBUTION2TARGET, left, "1", targets, "2147483647");
}

static void remove_all(Model *model, ObjectKind kind)
{
    while (model_count(model, kind) > 0)
        drop(model, model_at(model, kind, 0));
}

int64_t world_software(World *world, const char *bundles)
{
    Model *model = world_edit(world);
    const Object *list[16];
    char copy[256], *place = NULL;
    size_t n = 0;

    remove_all(model, OBJECT_ARTIFACT2FEATURE);
    remove_all(model, OBJECT_FEATURE2DISTRIBUTION);
    remove_all(model, OBJECT_DISTRIBUTION2TARGET);
    remove_all(model, OBJECT_FEATURE);
    remove_all(model, OBJECT_DISTRIBUTION);
    snprintf(copy, sizeof copy, "%s", bundles);
    for (char *word = strtok_r(copy, " ", &place); word; word = strtok_r(NULL, " ", &place)) {
        char *slash = strchr(word, '/');

        *slash = '\0';
        list[n++] = world_bundle(world, word, slash + 1);
    }
    world_assign(world, "all", list, n, "(id=*)");
    return world_store(world);
}

int64_t world_release(World *world, const char *bundles)
{
    int64_t revision = world_software(world, bundles);

    must(targets_release(world->targets, revision, &world_error));
    must(targets_flush(world->targets, &world_error));
    return revision;
}

TargetView world_view(World *world, const char *id)
{
    TargetView view;

    if (!targets_view(world->targets, id, &view))
        fail_msg("no target %s", id);
    return view;
}

const char *world_items(World *world, const char *id)
{
    static char text[1024];
    const DeploymentVersion *versions;
    size_t n = targets_versions(world->targets, id, &versions);

    text[0] = '\0';
    for (size_t i = 0; n > 0 && i < versions[n - 1].n_items; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", versions[n - 1].items[i].name);
    return text;
}

void world_properties(World *world, const char *id, const char *json)
{
    AUTO_JSON json_t *value = json_loads(json, 0, NULL);

    assert_non_null(value);
    must(targets_properties(world->targets, id, value, &world_error));
    must(targets_flush(world->targets, &world_error));
}

void world_filters(World *world, const char *register_filter, const char *approve, const char *autoapprove)
{
    const TargetSettings given = {(char *)register_filter, (char *)approve, (char *)autoapprove,
                                  world->settings.versions_kept, world->settings.forget_ms};

    must(targets_set_settings(world->targets, &given, &world_error));
    must(targets_flush(world->targets, &world_error));
}
