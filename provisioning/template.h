/* template.h - configuration artifacts with what differs per target, pure.
 *
 * Of ACE's Velocity templates the part that its users use:
 *   ${context.KEY} ${context.a.b}   attribute or tag of the target, else of its
 *                                   distributions, features, artifacts (first found)
 *   #foreach ($x in $context.getDistributions()) ... $x.KEY ... #end   (also getFeatures, getArtifacts)
 *   #if (${context.KEY}) ... #else ... #end   ("", "false" and what is nowhere: no)
 * The braces may be left out: $context.a.b, and put: ${x.KEY}. A line's end right
 * behind a directive goes with it. A key that is nowhere is left as it stands,
 * as Velocity does; anything else too. Output and work are limited; loops nest at
 * most four deep, all blocks sixteen. Values go in as they are: quotes in a tag
 * are quotes in the file. */
#pragma once

#include "model.h"

#define TEMPLATE_OUTPUT_MAX (4u * 1024u * 1024u)
#define TEMPLATE_DEPTH_MAX 4u                   /* loops */
#define TEMPLATE_BLOCKS_MAX 16u                 /* loops and conditions */
#define TEMPLATE_WORK_MAX (64u * 1024u * 1024u) /* bytes looked at, with repetitions, and objects asked */

typedef struct TemplateContext {
    const Object *target;
    const Object *const *distributions, *const *features, *const *artifacts;
    size_t n_distributions, n_features, n_artifacts;
} TemplateContext;

/* `ret` is malloc'ed, NUL behind it; NULL when nothing was replaced: the artifact goes out as it is (also one with a
 * NUL in it: that is no text). -EINVAL: a block without its #end, #elseif; -EFBIG: a limit. Both name the line. */
int template_render(const char *text, size_t size, const TemplateContext *context, char **ret, size_t *ret_size,
                    InaError *error);
