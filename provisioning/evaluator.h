/* evaluator.h - follows a model from one state to another, and knows for each
 * association what its endpoints match there.
 *
 * Models that come from one another by model_copy share one. Asked for another
 * state it looks at what differs only: with each object that came or went, at
 * the endpoints that wait for one of its values (or for any). So the work is in
 * proportion to the changes; for a model that has nothing in common with the
 * last, to objects and links. What it fails to do for want of memory it begins
 * anew next time. */
#pragma once

#include "model_internal.h"

#define LINKS_MAX 1000000u         /* of one kind */
#define COMPARISONS_MAX 100000000u /* of values with filters, from one state to another: some seconds */
#define LINK_SETS_KEPT 4u

typedef struct Evaluator Evaluator;

/* Of one kind of association, in one state; never changes. */
typedef struct LinkSet {
    unsigned references;
    Tree *left, *associations, *right; /* the state; it keeps the objects alive */
    ModelLink *links;                  /* by association, then in the order of matches */
    size_t n_links;
    /* By their right end: chains of links. Made when first asked for. */
    unsigned *heads, *next; /* index + 1; 0: none */
    size_t n_heads;
} LinkSet;

Evaluator *evaluator_new(void);
Evaluator *evaluator_ref(Evaluator *evaluator);
Evaluator *evaluator_unref(Evaluator *evaluator);
/* A new reference. -E2BIG: more than LINKS_MAX links (the error names the association with most), or COMPARISONS_MAX.
 */
int evaluator_links(Evaluator *evaluator, Tree *const trees[OBJECT_KINDS], ObjectKind association, LinkSet **ret,
                    InaError *error);
/* Which associations were looked at since the last call; for tests and measurements. */
size_t evaluator_work(Evaluator *evaluator);

struct Plans **evaluator_plans(Evaluator *evaluator); /* kept here for plan.h */

LinkSet *link_set_ref(LinkSet *set);
LinkSet *link_set_unref(LinkSet *set);
/* Links whose right end it is: *ret_index, then link_set_next; SIZE_MAX: no more. -ENOMEM. */
int link_set_first(LinkSet *set, const Object *right, size_t *ret_index);
size_t link_set_next(const LinkSet *set, size_t index);

int model_link_set(const Model *model, ObjectKind association, LinkSet **ret, InaError *error); /* borrowed */
Tree *model_tree(const Model *model, ObjectKind kind);                                          /* borrowed */
Evaluator *model_evaluator(const Model *model);
