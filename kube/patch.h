/* patch.h - JSON patch (RFC 6902), merge patch (RFC 7386), and Kubernetes'
 * strategic merge patch (directives $patch, $retainKeys, $deleteFromPrimitiveList,
 * $setElementOrder; lists merged by the keys that the schema names).
 *
 * Each makes a new tree and leaves its arguments alone. The code says what was
 * wrong, the message how Kubernetes words it:
 *   -EBADMSG  the patch itself is malformed: 400
 *   -EINVAL   it does not apply (a failed test, a missing path): 422
 *   -EPROTO   it would make something else than an object: 422
 *   -EREMOTE  it cannot be merged (an unknown directive, an element without its key): 500, as Kubernetes has it
 *   -E2BIG    more operations than PATCH_OPERATIONS_MAX: 413
 *   -EFBIG    the result would be too large or too deep, or cost too much: 413 */
#pragma once

#include "schema.h"

#define PATCH_OPERATIONS_MAX 10000u
#define PATCH_DEPTH_MAX 64u
#define PATCH_RESULT_MAX (4u * 1024u * 1024u) /* serialised; a JSON patch can multiply a value by copying it */
#define PATCH_WORK_MAX (16u * 1024u * 1024u)  /* list items moved; a comparison counts for some */

int patch_json(const json_t *object, const json_t *operations, json_t **ret, InaError *error);
int patch_merge(const json_t *object, const json_t *patch, json_t **ret, InaError *error);
/* `schema` of the object's kind; NULL: lists are replaced. */
int patch_strategic(const json_t *object, const json_t *patch, const Schema *schema, json_t **ret, InaError *error);

/* A value as Go prints it: "map[spec:map[replicas:3]]". malloc'ed; NULL: out of memory. */
char *patch_text(const json_t *value);
/* The Status that kube-apiserver answers for such an error. NULL: out of memory. */
json_t *patch_status(const InaError *error);
