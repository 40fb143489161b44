/* desired_export.c - a model as a desired state.
 *
 * A short form of a link is taken when it makes the very same link again. */
#include "desired.h"
#include "desired_internal.h"

#include <errno.h>
#include <string.h>

/* Whether `value` (stolen) makes just this link. */
static bool makes(const Model *model, const Object *link, json_t *value)
{
    AUTO_JSON json_t *own = value;
    Object *made = NULL;
    if (!own || object_new(object_kind(link), own, model, &made, NULL) < 0)
        return false;
    bool same = desired_same(made, link);
    object_unref(made);
    return same;
}

typedef struct Export {
    const Model *model;
    json_t *state, *names; /* names: of files that are taken */
    bool failed;
} Export;

static void append(Export *export, json_t *object, const char *key, json_t *value)
{
    json_t *list = json_object_get(object, key);
    if (!list) {
        list = json_array();
        if (json_object_set_new(object, key, list) < 0)
            export->failed = true;
    }
    if (json_array_append_new(list, value) < 0)
        export->failed = true;
}

/* The definition of what a reference of a link's left means: that of the link's own left. */
static bool export_artifact_link(Export *export, const Object *link, const Object *left)
{
    AUTO_FREE char *feature = desired_end_name(link, false), *reference = desired_end_name(link, true);
    AUTO_FREE char *right = feature ? desired_definition("feature", feature) : NULL;
    json_t *group = feature ? json_object_get(json_object_get(export->state, "features"), feature) : NULL;
    const char *range = object_attribute(link, "associationVersionStatement");
    if (!group || !right || !left || !reference || *reference == '(' ||
        !makes(export->model, link, desired_link_value(object_definition(left), right, range)))
        return false;
    append(export, group, "artifacts", json_string(reference));
    return true;
}

static bool export_feature_link(Export *export, const Object *link)
{
    AUTO_FREE char *feature = desired_end_name(link, true), *distribution = desired_end_name(link, false);
    AUTO_FREE char *left = feature ? desired_definition("feature", feature) : NULL;
    AUTO_FREE char *right = distribution ? desired_definition("distribution", distribution) : NULL;
    json_t *group = right ? json_object_get(json_object_get(export->state, "distributions"), distribution) : NULL;
    if (!group || !left || !makes(export->model, link, desired_link_value(left, right, NULL)))
        return false;
    append(export, group, "features", json_string(feature));
    return true;
}

static bool export_assignment(Export *export, const Object *link)
{
    AUTO_FREE char *distribution = desired_end_name(link, true);
    AUTO_FREE char *left = distribution ? desired_definition("distribution", distribution) : NULL;
    const char *targets = object_attribute(link, "rightEndpoint");
    if (!left || !json_object_get(json_object_get(export->state, "distributions"), distribution) ||
        !makes(export->model, link, desired_assignment_value(left, targets)))
        return false;
    append(export, export->state, "assignments",
           json_pack("{s:s, s:s}", "distribution", distribution, "targets", targets));
    return true;
}

static void export_link(Export *export, const Object *link, const Object *left)
{
    ObjectKind kind = object_kind(link);
    if (kind == OBJECT_ARTIFACT2FEATURE       ? export_artifact_link(export, link, left)
        : kind == OBJECT_FEATURE2DISTRIBUTION ? export_feature_link(export, link)
                                              : export_assignment(export, link))
        return;
    AUTO_JSON json_t *value = object_json(link);
    json_t *tags = json_object_get(value, "tags");
    json_t *item =
        json_pack("{s:s, s:O}", "kind", object_kind_name(kind), "attributes", json_object_get(value, "attributes"));
    if (item && json_object_size(tags) > 0)
        json_object_set(item, "tags", tags);
    append(export, export->state, "links", item);
}

/* Links with an artifact on their left, by definition of the link. */
static int export_links(Export *export, ObjectKind kind, InaError *error)
{
    const ModelLink *links;
    size_t n;
    AUTO_JSON json_t *lefts = json_object();
    int r = model_links(export->model, kind, &links, &n, error);
    if (r < 0 || !lefts)
        return r < 0 ? r : ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        json_object_set_new(lefts, object_definition(links[i].association), json_integer((json_int_t)i));
    for (size_t i = 0; i < model_count(export->model, kind); i++) {
        const Object *link = model_at(export->model, kind, i);
        const json_t *index = json_object_get(lefts, object_definition(link));
        export_link(export, link, index ? links[json_integer_value(index)].left : NULL);
    }
    return 0;
}

/* What another file has is called by its digest, too. */
static void export_artifact(Export *export, const Object *artifact)
{
    const char *digest = object_attribute(artifact, "sha256"), *file = object_attribute(artifact, "filename");
    AUTO_FREE char *other = NULL;
    if (!digest || !file || json_object_get(export->names, digest))
        return;
    if (json_object_get(export->names, file)) {
        if (asprintf(&other, "%.12s-%s", digest, file) < 0) {
            export->failed = true;
            return;
        }
        file = other;
    }
    json_object_set_new(export->names, file, json_true());
    json_object_set_new(export->names, digest, json_true());
    append(export, export->state, "artifacts", json_pack("{s:s, s:s}", "file", file, "sha256", digest));
}

/* Configurations first, whose file names are theirs; what is linked, and what applies configurations. */
static int export_artifacts(Export *export, InaError *error)
{
    const ModelLink *links;
    size_t n;
    int r = model_links(export->model, OBJECT_ARTIFACT2FEATURE, &links, &n, error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        if (!object_attribute(links[i].left, "Bundle-SymbolicName"))
            export_artifact(export, links[i].left);
    for (size_t i = 0; i < n; i++)
        export_artifact(export, links[i].left);
    for (size_t i = 0; i < model_count(export->model, OBJECT_ARTIFACT); i++)
        if (object_is_processor(model_at(export->model, OBJECT_ARTIFACT, i)))
            export_artifact(export, model_at(export->model, OBJECT_ARTIFACT, i));
    return 0;
}

static void export_named(Export *export, ObjectKind kind, const char *key)
{
    json_t *groups = json_object_get(export->state, key);
    for (size_t i = 0; i < model_count(export->model, kind); i++) {
        const Object *object = model_at(export->model, kind, i);
        AUTO_JSON json_t *value = object_json(object);
        json_t *group = json_object(), *tags = json_object_get(value, "tags");
        const char *description = object_attribute(object, "description");
        if (description)
            json_object_set_new(group, "description", json_string(description));
        if (json_object_size(tags) > 0)
            json_object_set(group, "tags", tags);
        if (json_object_set_new(groups, object_attribute(object, "name"), group) < 0)
            export->failed = true;
    }
}

int desired_export(const Model *model, json_t *settings, json_t *rollout, json_t **ret, InaError *error)
{
    AUTO_JSON json_t *state = json_pack("{s:i, s:[], s:{}, s:{}, s:[]}", "version", DESIRED_VERSION, "artifacts",
                                        "features", "distributions", "assignments");
    AUTO_JSON json_t *names = json_object();
    Export export = {.model = model, .state = state, .names = names};
    if (!state || !names)
        return ina_error_set(error, ENOMEM, "out of memory");
    export_named(&export, OBJECT_FEATURE, "features");
    export_named(&export, OBJECT_DISTRIBUTION, "distributions");
    int r = export_artifacts(&export, error);
    r = r < 0 ? r : export_links(&export, OBJECT_ARTIFACT2FEATURE, error);
    r = r < 0 ? r : export_links(&export, OBJECT_FEATURE2DISTRIBUTION, error);
    r = r < 0 ? r : export_links(&export, OBJECT_DISTRIBUTION2TARGET, error);
    if (r < 0)
        return r;
    if ((settings && json_object_set(state, "settings", settings) < 0) ||
        (rollout && json_object_set(state, "rollout", rollout) < 0) || export.failed)
        return ina_error_set(error, ENOMEM, "out of memory");
    *ret = TAKE_PTR(state);
    return 0;
}
