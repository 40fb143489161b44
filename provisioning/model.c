#include "base/cleanup.h"
#include "evaluator.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct Model {
    Tree *trees[OBJECT_KINDS];
    Evaluator *evaluator;         /* shared with what it was copied from */
    LinkSet *links[OBJECT_KINDS]; /* NULL: not asked for since the last change */
};

Model *model_new(void)
{
    Model *model = calloc(1, sizeof *model);
    if (model && !(model->evaluator = evaluator_new()))
        return model_free(model);
    return model;
}

Model *model_copy(const Model *model)
{
    Model *copy = calloc(1, sizeof *copy);
    if (!copy)
        return NULL;
    copy->evaluator = evaluator_ref(model->evaluator);
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++) {
        copy->trees[kind] = tree_ref(model->trees[kind]);
        copy->links[kind] = model->links[kind] ? link_set_ref(model->links[kind]) : NULL;
    }
    return copy;
}

Model *model_free(Model *model)
{
    if (!model)
        return NULL;
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++) {
        link_set_unref(model->links[kind]);
        tree_unref(model->trees[kind]);
    }
    evaluator_unref(model->evaluator);
    free(model);
    return NULL;
}

const Object *model_get(const Model *model, ObjectKind kind, const char *definition)
{
    return tree_get(model->trees[kind], definition);
}

size_t model_count(const Model *model, ObjectKind kind)
{
    return tree_count(model->trees[kind]);
}

const Object *model_at(const Model *model, ObjectKind kind, size_t index)
{
    return tree_at(model->trees[kind], index);
}

static size_t count_all(const Model *model)
{
    size_t count = 0;
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++)
        count += tree_count(model->trees[kind]);
    return count;
}

static void set_tree(Model *model, ObjectKind kind, Tree *tree)
{
    tree_unref(model->trees[kind]);
    model->trees[kind] = tree;
    for (ObjectKind i = 0; i < OBJECT_KINDS; i++)
        model->links[i] = link_set_unref(model->links[i]);
}

static int refuse_absent(ObjectKind kind, const char *definition, InaError *error)
{
    char text[OBJECT_TEXT_SIZE];
    return ina_error_set(error, ENOENT, "there is no %s '%.200s'", object_kind_name(kind),
                         definition_text(definition, text));
}

static int put_object(Model *model, Object *object, InaError *error)
{
    ObjectKind kind = object_kind(object);
    Tree *tree;

    if (tree_with(model->trees[kind], object, &tree) < 0)
        return out_of_memory(error);
    set_tree(model, kind, tree);
    return 0;
}

int model_add(Model *model, Object *object, InaError *error)
{
    if (model_get(model, object_kind(object), object_definition(object)))
        return ina_error_set(error, EEXIST, "there is a %s '%.200s' already", object_kind_name(object_kind(object)),
                             object_definition(object));
    if (count_all(model) >= MODEL_OBJECTS_MAX)
        return ina_error_set(error, ENOSPC, "there are %u objects already, more are not allowed", MODEL_OBJECTS_MAX);
    return put_object(model, object, error);
}

int model_replace(Model *model, Object *object, InaError *error)
{
    if (!model_get(model, object_kind(object), object_definition(object)))
        return refuse_absent(object_kind(object), object_definition(object), error);
    return put_object(model, object, error);
}

int model_remove(Model *model, ObjectKind kind, const char *definition, InaError *error)
{
    Tree *tree;

    int r = tree_without(model->trees[kind], definition, &tree);
    if (r == -ENOENT)
        return refuse_absent(kind, definition, error);
    if (r < 0)
        return out_of_memory(error);
    set_tree(model, kind, tree);
    return 0;
}

typedef struct Removing {
    Model *model;
    const char *endpoint;
    Side side;
    int r;
    InaError *error;
} Removing;

/* The tree that is walked stays while the model gets others. */
static void remove_if_alone(void *userdata, const Object *association)
{
    Removing *removing = userdata;
    if (removing->r == 0 &&
        strcmp(ina_filter_text(association->endpoints[removing->side].filter), removing->endpoint) == 0)
        removing->r = model_remove(removing->model, association->kind, association->definition, removing->error);
}

static int remove_links(Model *model, ObjectKind association, Side side, const char *endpoint, InaError *error)
{
    Removing removing = {.model = model, .endpoint = endpoint, .side = side, .error = error};
    Tree *tree = tree_ref(model->trees[association]);

    tree_each(tree, remove_if_alone, &removing);
    tree_unref(tree);
    return removing.r;
}

int model_remove_with_links(Model *model, ObjectKind kind, const char *definition, InaError *error)
{
    const Object *object = model_get(model, kind, definition);
    if (!object || object_kind_is_association(kind))
        return model_remove(model, kind, definition, error);
    char *AUTO_FREE endpoint = exact_endpoint(object);
    int r = endpoint ? 0 : out_of_memory(error);
    for (ObjectKind association = 0; association < OBJECT_KINDS && r == 0; association++)
        for (Side side = 0; side < SIDES && r == 0 && object_kind_is_association(association); side++)
            if (association_end(association, side) == kind)
                r = remove_links(model, association, side, endpoint, error);
    return r < 0 ? r : model_remove(model, kind, definition, error);
}

typedef struct Comparing {
    void (*each)(void *userdata, const Object *before, const Object *after);
    void *userdata;
} Comparing;

static void pass_on_difference(void *userdata, const Object *before, const Object *after)
{
    const Comparing *comparing = userdata;
    if (!before || !after || !object_equal(before, after))
        comparing->each(comparing->userdata, before, after);
}

void model_compare(const Model *before, const Model *after,
                   void (*each)(void *userdata, const Object *before, const Object *after), void *userdata)
{
    Comparing comparing = {each, userdata};
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++)
        tree_compare(before->trees[kind], after->trees[kind], pass_on_difference, &comparing);
}

typedef struct Applying {
    Model *model;
    int r;
    InaError *error;
} Applying;

static void apply_difference(void *userdata, const Object *before, const Object *after)
{
    Applying *applying = userdata;
    if (applying->r < 0)
        return;
    if (!after)
        applying->r = model_remove(applying->model, object_kind(before), object_definition(before), applying->error);
    else if (before)
        applying->r = model_replace(applying->model, (Object *)after, applying->error);
    else
        applying->r = model_add(applying->model, (Object *)after, applying->error);
}

int model_apply(Model *model, const Model *before, const Model *after, InaError *error)
{
    Applying applying = {model, 0, error};
    model_compare(before, after, apply_difference, &applying);
    return applying.r;
}

void model_restore(Model *model, const Model *like)
{
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++)
        if (kind != OBJECT_TARGET)
            set_tree(model, kind, tree_ref(like->trees[kind]));
}

/* --- links ---------------------------------------------------------------------- */

int model_link_set(const Model *model, ObjectKind association, LinkSet **ret, InaError *error)
{
    LinkSet **links = (LinkSet **)&model->links[association]; /* only a memory of what the trees say */

    if (!*links) {
        int r = evaluator_links(model->evaluator, model->trees, association, links, error);
        if (r < 0)
            return r;
    }
    *ret = *links;
    return 0;
}

int model_links(const Model *model, ObjectKind association, const ModelLink **ret, size_t *ret_n, InaError *error)
{
    LinkSet *set;
    int r = model_link_set(model, association, &set, error);
    if (r < 0)
        return r;
    *ret = set->links;
    *ret_n = set->n_links;
    return 0;
}

/* Links stand in the order of their associations. */
bool model_dangling(const Model *model, const Object *association)
{
    LinkSet *set;

    if (model_link_set(model, object_kind(association), &set, NULL) < 0)
        return false;
    size_t low = 0, high = set->n_links;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(object_definition(set->links[middle].association), object_definition(association));
        if (order == 0)
            return false;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return true;
}

Tree *model_tree(const Model *model, ObjectKind kind)
{
    return model->trees[kind];
}

Evaluator *model_evaluator(const Model *model)
{
    return model->evaluator;
}
