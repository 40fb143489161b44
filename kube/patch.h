/* patch.h - JSON patch (RFC 6902), merge patch (RFC 7386), and Kubernetes'
 * strategic merge patch (directives $patch, $retainKeys, $deleteFromPrimitiveList,
 * $setElementOrder; lists merged by the keys that the schema names).
 *
 * Each makes a new tree and leaves its arguments alone. A failed test, a
 * missing path: -EINVAL with the message for the 422 or 400. */
#pragma once

#include "schema.h"

#define PATCH_OPERATIONS_MAX 10000u
#define PATCH_DEPTH_MAX 64u
#define PATCH_RESULT_MAX (4u * 1024u * 1024u) /* serialised; a JSON patch can multiply a value by copying it */

int patch_json(const json_t *object, const json_t *operations, json_t **ret, InaError *error);
int patch_merge(const json_t *object, const json_t *patch, json_t **ret, InaError *error);
/* `schema` of the object's kind; NULL: lists are replaced. */
int patch_strategic(const json_t *object, const json_t *patch, const Schema *schema, json_t **ret, InaError *error);
