/* model.h - the objects of ACE's model and their associations, pure.
 *
 * Object = kind + attributes + tags, both maps from string to string. The
 * defining attributes of its kind make its definition, which never changes:
 * "artifact-Bundle-SymbolicName-foo-Bundle-Version-1.0.0", "feature-name-f1",
 * "target-id-t1"; '/' in a value becomes "&#47" (ACE's REST ids). An
 * association's definition is made from both endpoints (ACE has no better one);
 * where that is too long, from their SHA-256.
 *
 * Objects are immutable and shared by reference count; a Model is a set of
 * them, and copying one is cheap: each workspace has its own. Loop's thread
 * only.
 *
 * Endpoints are LDAP filters (RFC 4515) over attributes and tags together (an
 * attribute hides a tag of the same name); Bundle-Version and attributes named
 * "version" compare as versions. Cardinality absent: 1; matches are ordered
 * (bundles: highest version first, others by definition) and cut to it. */
#pragma once

#include <inaetics/error.h>
#include <inaetics/properties.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define MODEL_OBJECTS_MAX 100000u
#define MODEL_ENTRIES_MAX 128u /* attributes or tags of one object */
#define MODEL_KEY_MAX 255u     /* bytes */
#define MODEL_VALUE_MAX 4096u  /* bytes */
#define MODEL_DEFINITION_MAX 1024u

typedef enum ObjectKind {
    OBJECT_ARTIFACT,
    OBJECT_ARTIFACT2FEATURE,
    OBJECT_FEATURE,
    OBJECT_FEATURE2DISTRIBUTION,
    OBJECT_DISTRIBUTION,
    OBJECT_DISTRIBUTION2TARGET,
    OBJECT_TARGET,
    OBJECT_KINDS,
} ObjectKind; /* in ACE's order */

const char *object_kind_name(ObjectKind kind);            /* "artifact2feature" */
int object_kind_parse(const char *name, ObjectKind *ret); /* -EINVAL */
bool object_kind_is_association(ObjectKind kind);

typedef struct Object Object;
typedef struct Model Model;

/* `value`: {"attributes": {...}, "tags": {...}, ["provides", "requires", "contracts"]}
 * as the wire has it; strings only. For associations also "left"/"right"
 * (definitions) instead of endpoints, with attribute associationVersionStatement
 * for a dynamic link: those need the model to be looked up in. -EINVAL names
 * the attribute that is missing or wrong, and what would be right. */
int object_new(ObjectKind kind, const json_t *value, const Model *model, Object **ret, InaError *error);
Object *object_ref(const Object *object);
Object *object_unref(Object *object);
ObjectKind object_kind(const Object *object);
const char *object_definition(const Object *object);
/* What a definition stands for, as people call it: "processor@1.0.0", "config.json", "f1"; of a link the definition.
 * Cut when it is longer than there is room for. Returns `ret`. */
#define OBJECT_TEXT_SIZE 512u
const char *definition_text(const char *definition, char ret[OBJECT_TEXT_SIZE]);
const char *object_attribute(const Object *object, const char *key); /* NULL when absent; case does not matter */
const char *object_tag(const Object *object, const char *key);
/* Attribute, else tag: what a filter sees. */
const char *object_value(const Object *object, const char *key);
/* {"definition", "attributes", "tags", ...}; a new reference. */
json_t *object_json(const Object *object);
bool object_equal(const Object *a, const Object *b);
bool object_is_processor(const Object *object); /* an artifact that is a resource processor */

Model *model_new(void); /* NULL: out of memory */
Model *model_copy(const Model *model);
Model *model_free(Model *model);
const Object *model_get(const Model *model, ObjectKind kind, const char *definition);
size_t model_count(const Model *model, ObjectKind kind);
/* By index, in the order of definitions; NULL behind the last. In the time of log n. */
const Object *model_at(const Model *model, ObjectKind kind, size_t index);
/* -EEXIST: there is one with this definition. -ENOSPC. The model has a reference of its own: the caller keeps his. */
int model_add(Model *model, Object *object, InaError *error);
/* Replaces; the definition must be there: -ENOENT. */
int model_replace(Model *model, Object *object, InaError *error);
int model_remove(Model *model, ObjectKind kind, const char *definition, InaError *error); /* -ENOENT */
/* With the associations that name it alone: those with the endpoint that "left" or "right" with its definition makes.
 */
int model_remove_with_links(Model *model, ObjectKind kind, const char *definition, InaError *error);
/* Everything but the targets becomes as it is in `like`. */
void model_restore(Model *model, const Model *like);
/* Each difference once, kind by kind in the order of definitions: before NULL: added; after NULL: removed. */
void model_compare(const Model *before, const Model *after,
                   void (*each)(void *userdata, const Object *before, const Object *after), void *userdata);
/* The same differences in another model, up to the first that it refuses. Neither of the two is `model`. */
int model_apply(Model *model, const Model *before, const Model *after, InaError *error);

/* --- evaluation --------------------------------------------------------- */

/* Who is linked with whom; belongs to the model until its next change, made
 * when first asked for. What is looked at is in proportion to what changed since
 * a model of the same origin was asked (indexed; the list itself is as long as
 * it is). -E2BIG: more than a million links; the error names the association. */
typedef struct ModelLink {
    const Object *association, *left, *right;
    bool dynamic; /* takes the newest version in a range */
} ModelLink;

int model_links(const Model *model, ObjectKind association, const ModelLink **ret, size_t *ret_n, InaError *error);
/* An association that matches nothing on one side or both (shown on the page). */
bool model_dangling(const Model *model, const Object *association);

typedef struct Wanted {
    const Object *artifact;
    char *paths; /* ACE-RepositoryPath: "feature;distribution,feature;distribution" */
} Wanted;

/* What a target of the model is to have, ordered by definition; resource
 * processors that its configurations need are among it, the highest version of
 * each (without paths: ""). Freed with wanted_free. -ENOENT: the model has no
 * such target (for the software of an old revision: copy the newest model and
 * model_restore the old one into it). -E2BIG. Refused (-EINVAL) with all
 * reasons, one per line in `reasons` (malloc'ed, NULL with other errors; may
 * itself be NULL): a bundle for another runtime than the target's
 * (object_value(target, "runtime"), else "target.runtime"), or another
 * processor ("target.processor"); bundles of two runtimes where the target's is
 * not known; two versions of one bundle; a configuration that names no resource
 * processor, or one that is nowhere ("org.inaetics.rp.configuration" is part of
 * agents of runtime "c"); requirements that neither its own bundles nor the
 * platform meet ("target.platform": clauses of Provide-Capability; when a C
 * target says none: this framework's). Checked are the namespaces inaetics.*,
 * and for Java bundles, when the target says a platform, those it speaks of.
 * Targets that are alike are worked out once. */
int model_wanted(const Model *model, const Object *target, Wanted **ret, size_t *ret_n, char **reasons,
                 InaError *error);
void wanted_free(Wanted *wanted, size_t n);
