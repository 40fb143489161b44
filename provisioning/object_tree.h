/* object_tree.h - a set of objects in the order of their definitions, that
 * never changes: putting one in makes a new set, which shares all but the path
 * to it with the old one. So a copy costs nothing, and two sets that are alike
 * are compared in the time of their differences.
 *
 * A treap (Seidel, Aragon: Randomized Search Trees, 1996) whose priorities are
 * a keyed hash of the definition: no outsider can make it deep. */
#pragma once

#include "model.h"

typedef struct Tree Tree; /* NULL is the empty set */

Tree *tree_ref(Tree *tree);
Tree *tree_unref(Tree *tree);
size_t tree_count(const Tree *tree);
const Object *tree_get(const Tree *tree, const char *definition); /* NULL when absent */
const Object *tree_at(const Tree *tree, size_t index);
/* The set with the object, in place of one of the same definition. -ENOMEM. */
int tree_with(const Tree *tree, Object *object, Tree **ret);
int tree_without(const Tree *tree, const char *definition, Tree **ret);
/* Each place where there is not the same object (by its address), in the order of definitions: before NULL: added;
 * after NULL: removed. */
void tree_compare(const Tree *before, const Tree *after,
                  void (*each)(void *userdata, const Object *before, const Object *after), void *userdata);
void tree_each(const Tree *tree, void (*each)(void *userdata, const Object *object), void *userdata);
