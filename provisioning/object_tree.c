#include "object_tree.h"
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A treap of 100,000 objects is some 45 deep; to be three times as deep its hash would have to be broken. */
#define TREE_DEPTH_MAX 160u

struct Tree {
    unsigned references;
    unsigned count; /* of objects in this subtree */
    uint64_t priority;
    Object *object;
    Tree *left, *right;
};

static unsigned char hash_key[crypto_shorthash_KEYBYTES];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void make_hash_key(void)
{
    randombytes_buf(hash_key, sizeof hash_key);
}

static uint64_t priority_of(const char *definition)
{
    union {
        unsigned char bytes[crypto_shorthash_BYTES];
        uint64_t number;
    } digest;

    pthread_once(&hash_key_once, make_hash_key);
    crypto_shorthash(digest.bytes, (const unsigned char *)definition, strlen(definition), hash_key);
    return digest.number;
}

Tree *tree_ref(Tree *tree)
{
    if (tree)
        tree->references++;
    return tree;
}

Tree *tree_unref(Tree *tree)
{
    if (!tree || --tree->references > 0)
        return NULL;
    tree_unref(tree->left);
    tree_unref(tree->right);
    object_unref(tree->object);
    free(tree);
    return NULL;
}

size_t tree_count(const Tree *tree)
{
    return tree ? tree->count : 0;
}

const Object *tree_get(const Tree *tree, const char *definition)
{
    while (tree) {
        int order = strcmp(definition, object_definition(tree->object));
        if (order == 0)
            return tree->object;
        tree = order < 0 ? tree->left : tree->right;
    }
    return NULL;
}

const Object *tree_at(const Tree *tree, size_t index)
{
    while (tree) {
        size_t left = tree_count(tree->left);
        if (index == left)
            return tree->object;
        if (index < left) {
            tree = tree->left;
        } else {
            index -= left + 1;
            tree = tree->right;
        }
    }
    return NULL;
}

/* --- changes: each function borrows the tree and gives a new reference --------- */

/* Takes over `left` and `right`, also when it fails. */
static int join(const Object *object, uint64_t priority, Tree *left, Tree *right, Tree **ret)
{
    Tree *tree = malloc(sizeof *tree);
    if (!tree) {
        tree_unref(left);
        tree_unref(right);
        return -ENOMEM;
    }
    *tree = (Tree){.references = 1,
                   .count = (unsigned)(tree_count(left) + tree_count(right) + 1),
                   .priority = priority,
                   .object = object_ref(object),
                   .left = left,
                   .right = right};
    *ret = tree;
    return 0;
}

/* In two: what is before the definition, and what is behind it (itself is not in it). */
static int split(const Tree *tree, const char *definition, Tree **ret_before, Tree **ret_behind)
{
    Tree *middle, *other;

    if (!tree) {
        *ret_before = *ret_behind = NULL;
        return 0;
    }
    bool before = strcmp(object_definition(tree->object), definition) < 0;
    int r = before ? split(tree->right, definition, &middle, &other) : split(tree->left, definition, &other, &middle);
    if (r < 0)
        return r;
    r = before ? join(tree->object, tree->priority, tree_ref(tree->left), middle, ret_before)
               : join(tree->object, tree->priority, middle, tree_ref(tree->right), ret_behind);
    if (r < 0) {
        tree_unref(other);
        return r;
    }
    *(before ? ret_behind : ret_before) = other;
    return 0;
}

static int put(const Tree *tree, Object *object, uint64_t priority, Tree **ret)
{
    Tree *left, *right;

    if (!tree)
        return join(object, priority, NULL, NULL, ret);
    int order = strcmp(object_definition(object), object_definition(tree->object));
    if (order == 0)
        return join(object, priority, tree_ref(tree->left), tree_ref(tree->right), ret);
    if (priority > tree->priority) { /* so it is not below: it would be above its parent */
        int r = split(tree, object_definition(object), &left, &right);
        return r < 0 ? r : join(object, priority, left, right, ret);
    }
    int r = order < 0 ? put(tree->left, object, priority, &left) : put(tree->right, object, priority, &right);
    if (r < 0)
        return r;
    return order < 0 ? join(tree->object, tree->priority, left, tree_ref(tree->right), ret)
                     : join(tree->object, tree->priority, tree_ref(tree->left), right, ret);
}

int tree_with(const Tree *tree, Object *object, Tree **ret)
{
    return put(tree, object, priority_of(object_definition(object)), ret);
}

/* All of `left` is before all of `right`. */
static int merge(Tree *left, Tree *right, Tree **ret)
{
    Tree *middle;

    if (!left || !right) {
        *ret = tree_ref(left ? left : right);
        return 0;
    }
    bool down = left->priority > right->priority;
    int r = down ? merge(left->right, right, &middle) : merge(left, right->left, &middle);
    if (r < 0)
        return r;
    return down ? join(left->object, left->priority, tree_ref(left->left), middle, ret)
                : join(right->object, right->priority, middle, tree_ref(right->right), ret);
}

int tree_without(const Tree *tree, const char *definition, Tree **ret)
{
    Tree *rest;

    if (!tree)
        return -ENOENT;
    int order = strcmp(definition, object_definition(tree->object));
    if (order == 0)
        return merge(tree->left, tree->right, ret);
    int r = tree_without(order < 0 ? tree->left : tree->right, definition, &rest);
    if (r < 0)
        return r;
    return order < 0 ? join(tree->object, tree->priority, rest, tree_ref(tree->right), ret)
                     : join(tree->object, tree->priority, tree_ref(tree->left), rest, ret);
}

/* --- comparison ------------------------------------------------------------- */

/* What is still to come, the next on top: whole subtrees, or the object of a node alone. */
typedef struct Cursor {
    struct {
        const Tree *tree;
        bool alone;
    } stack[3 * TREE_DEPTH_MAX];
    size_t depth;
} Cursor;

static void push(Cursor *cursor, const Tree *tree, bool alone)
{
    if (!tree)
        return;
    if (cursor->depth == 3 * TREE_DEPTH_MAX)
        abort(); /* see TREE_DEPTH_MAX */
    cursor->stack[cursor->depth].tree = tree;
    cursor->stack[cursor->depth++].alone = alone;
}

static const Tree *top(const Cursor *cursor, bool *ret_alone)
{
    if (cursor->depth == 0)
        return NULL;
    *ret_alone = cursor->stack[cursor->depth - 1].alone;
    return cursor->stack[cursor->depth - 1].tree;
}

static void open_top(Cursor *cursor)
{
    const Tree *tree = cursor->stack[--cursor->depth].tree;
    push(cursor, tree->right, false);
    push(cursor, tree, true);
    push(cursor, tree->left, false);
}

typedef struct Comparison {
    Cursor before, after;
    void (*each)(void *userdata, const Object *before, const Object *after);
    void *userdata;
} Comparison;

/* Both tops are single objects, or there is only one. */
static void compare_tops(Comparison *comparison, const Tree *before, const Tree *after)
{
    int order = !before ? 1 : !after ? -1 : strcmp(object_definition(before->object), object_definition(after->object));
    if (order <= 0)
        comparison->before.depth--;
    if (order >= 0)
        comparison->after.depth--;
    if (order == 0 && before->object == after->object)
        return;
    comparison->each(comparison->userdata, order <= 0 ? before->object : NULL, order >= 0 ? after->object : NULL);
}

/* What both share is passed over whole. The higher one is opened first: so
 * shared subtrees come to stand on top of both at the same time. */
static bool compare_step(Comparison *comparison)
{
    bool before_alone = true, after_alone = true;
    const Tree *before = top(&comparison->before, &before_alone), *after = top(&comparison->after, &after_alone);

    if (!before && !after)
        return false;
    if (before == after && !before_alone && !after_alone) {
        comparison->before.depth--;
        comparison->after.depth--;
    } else if (!before_alone && (after_alone || before->priority >= after->priority)) {
        open_top(&comparison->before);
    } else if (!after_alone) {
        open_top(&comparison->after);
    } else {
        compare_tops(comparison, before, after);
    }
    return true;
}

void tree_compare(const Tree *before, const Tree *after,
                  void (*each)(void *userdata, const Object *before, const Object *after), void *userdata)
{
    Comparison comparison = {.each = each, .userdata = userdata};

    push(&comparison.before, before, false);
    push(&comparison.after, after, false);
    while (compare_step(&comparison))
        ;
}

void tree_each(const Tree *tree, void (*each)(void *userdata, const Object *object), void *userdata)
{
    if (!tree)
        return;
    tree_each(tree->left, each, userdata);
    each(userdata, tree->object);
    tree_each(tree->right, each, userdata);
}
