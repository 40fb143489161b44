/* template.h - configuration artifacts with what differs per target, pure.
 *
 * Of ACE's Velocity templates the part that its users use:
 *   ${context.KEY} ${context.a.b}   attribute or tag of the target, else of its
 *                                   distributions, features, artifacts (first found)
 *   #foreach ($x in $context.getDistributions()) ... $x.KEY ... #end   (also getFeatures, getArtifacts)
 *   #if (${context.KEY}) ... #else ... #end
 * A key that is nowhere is left as it stands, as Velocity does; anything else
 * too. Output is limited; loops nest at most four deep. */
#pragma once

#include "model.h"

#define TEMPLATE_OUTPUT_MAX (4u * 1024u * 1024u)
#define TEMPLATE_DEPTH_MAX 4u

typedef struct TemplateContext {
    const Object *target;
    const Object *const *distributions, *const *features, *const *artifacts;
    size_t n_distributions, n_features, n_artifacts;
} TemplateContext;

/* `ret` is malloc'ed, NUL behind it; ret_changed false: nothing was replaced (the artifact goes out as it is). */
int template_render(const char *text, size_t size, const TemplateContext *context, char **ret, size_t *ret_size,
                    bool *ret_changed, InaError *error);
