/* model_test.h - short ways to make objects in tests. */
#pragma once

#include "provisioning/model.h"
#include <stddef.h>

/* From JSON text with ' for ". Fails the test when it is refused. */
Object *made(ObjectKind kind, const Model *model, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The errno; `error` says why. */
int refused(ObjectKind kind, const Model *model, InaError *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Made and added; borrowed. */
const Object *add(Model *model, ObjectKind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
const Object *add_bundle(Model *model, const char *name, const char *version);
const Object *add_named(Model *model, ObjectKind kind, const char *name); /* feature, distribution, target */
const Object *add_link(Model *model, ObjectKind kind, const Object *left, const Object *right);
const Object *add_filters(Model *model, ObjectKind kind, const char *left, const char *left_cardinality,
                          const char *right, const char *right_cardinality);
void drop(Model *model, const Object *object);
