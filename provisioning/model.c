#include "model_internal.h"
#include <errno.h>
#include <stdlib.h>

struct Model {
    Tree *trees[OBJECT_KINDS];
};

Model *model_new(void)
{
    return calloc(1, sizeof(Model));
}

Model *model_copy(const Model *model)
{
    Model *copy = model_new();
    for (ObjectKind kind = 0; copy && kind < OBJECT_KINDS; kind++)
        copy->trees[kind] = tree_ref(model->trees[kind]);
    return copy;
}

Model *model_free(Model *model)
{
    if (!model)
        return NULL;
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++)
        tree_unref(model->trees[kind]);
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
}

static int refuse_absent(ObjectKind kind, const char *definition, InaError *error)
{
    return ina_error_set(error, ENOENT, "there is no %s '%.200s'", object_kind_name(kind), definition);
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

void model_compare(const Model *before, const Model *after,
                   void (*each)(void *userdata, const Object *before, const Object *after), void *userdata)
{
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++)
        tree_compare(before->trees[kind], after->trees[kind], each, userdata);
}

void model_restore(Model *model, const Model *like)
{
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++)
        if (kind != OBJECT_TARGET)
            set_tree(model, kind, tree_ref(like->trees[kind]));
}
