/* model_internal.h - what the files of the model share. */
#pragma once

#include "framework/description.h"
#include "model.h"
#include "object_tree.h"
#include <errno.h>

#define CARDINALITY_MANY 2147483647u /* as ACE writes "N" */

#define DYNAMIC_ATTRIBUTE "associationVersionStatement"
#define PROCESSOR_ATTRIBUTE "Deployment-ProvidesResourceProcessor"

typedef enum Side { SIDE_LEFT, SIDE_RIGHT, SIDES } Side;

typedef struct Entry {
    const char *key, *value;
} Entry;

typedef struct Endpoint {
    InaFilter *filter;
    unsigned cardinality; /* at least 1 */
} Endpoint;

struct Object {
    unsigned references;
    ObjectKind kind;
    char *definition;
    Entry *entries; /* attributes, then tags, in the order given; they point into `texts` */
    size_t n_attributes, n_tags;
    char *texts;
    json_t *clauses; /* {"provides", "requires", "contracts"}, what there is of them; NULL: nothing */
    bool is_bundle, is_processor;
    bool is_dynamic; /* an association that takes the newest version */
    Version version; /* of a bundle */
    Endpoint endpoints[SIDES];
    Description *description; /* of a bundle, made when first asked for */
};

ObjectKind association_end(ObjectKind association, Side side); /* the kind of what it links */
/* The same attributes with endpoints in place of definitions; a new reference. */
int association_complete(ObjectKind kind, const json_t *value, const Model *model, json_t **ret, InaError *error);
/* "(name=f1)": the filter that names this object alone; malloc'ed. */
char *exact_endpoint(const Object *object);
/* Reads endpoints and cardinalities. */
int association_read(Object *object, InaError *error);

static inline int out_of_memory(InaError *error)
{
    (void)ina_error_set(error, ENOMEM, "out of memory");
    return -ENOMEM;
}
