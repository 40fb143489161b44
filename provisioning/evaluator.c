#include "evaluator.h"
#include "base/map.h"
#include "object_index.h"
#include "object_match.h"
#include "plan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NECESSARY_MAX 4u /* comparisons of a filter that are considered for looking candidates up */
#define RESTART_CHANGES_MIN 1000u
#define CHANGES_MAX                                                                                                    \
    100000u /* and as many as there are objects: then it begins anew, without the values that are gone */

typedef struct Matched {
    const Endpoint *endpoint;
    Pointers objects; /* in match_order, not cut to the cardinality */
    Pointers *waits;  /* where it waits for objects */
} Matched;

typedef struct Follower {
    const Object *association;
    Matched sides[SIDES];
} Follower;

struct Evaluator {
    unsigned references;
    Tree *trees[OBJECT_KINDS];                   /* the state it is in */
    ObjectIndex indexes[OBJECT_KINDS];           /* of what is linked */
    Pointers followers[OBJECT_KINDS];            /* of associations, by definition */
    LinkSet *kept[OBJECT_KINDS][LINK_SETS_KEPT]; /* the last one asked for first */
    Plans *plans;
    size_t changes;     /* since it began anew */
    size_t comparisons; /* in the step that is being done */
    size_t work;
};

static const ObjectKind associations[] = {OBJECT_ARTIFACT2FEATURE, OBJECT_FEATURE2DISTRIBUTION,
                                          OBJECT_DISTRIBUTION2TARGET};
static const ObjectKind ends[] = {OBJECT_ARTIFACT, OBJECT_FEATURE, OBJECT_DISTRIBUTION, OBJECT_TARGET};
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- what an endpoint matches -------------------------------------------------------- */

/* Where the object stands, or would stand. */
static size_t position_of(const Pointers *objects, const Object *object)
{
    size_t low = 0, high = objects->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (match_order(objects->items[middle], object) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

typedef struct Gathering {
    Evaluator *evaluator;
    Matched *matched;
    int r;
} Gathering;

static void gather(void *userdata, const Object *object)
{
    Gathering *gathering = userdata;
    Pointers *objects = &gathering->matched->objects;

    gathering->evaluator->work++;
    if (gathering->evaluator->comparisons > COMPARISONS_MAX)
        gathering->r = -E2BIG;
    if (gathering->r == 0 && endpoint_matches(gathering->matched->endpoint, object, &gathering->evaluator->comparisons))
        gathering->r = pointers_insert(objects, objects->count, object);
}

static int order_pointers(const void *a, const void *b)
{
    return match_order(*(const Object *const *)a, *(const Object *const *)b);
}

static void sort(Pointers *objects)
{
    for (size_t i = 1; i < objects->count; i++)
        if (match_order(objects->items[i - 1], objects->items[i]) > 0) {
            qsort(objects->items, objects->count, sizeof *objects->items, order_pointers);
            return;
        }
}

static bool defining(const char *key)
{
    static const char *const keys[] = {"Bundle-SymbolicName", "name", "id", "filename"};
    for (size_t i = 0; i < COUNT(keys); i++)
        if (strcasecmp(keys[i], key) == 0)
            return true;
    return false;
}

static Bucket *term_bucket(Evaluator *evaluator, ObjectKind kind, const FilterTerm *term)
{
    char buffer[VERSION_TEXT_MAX];
    IndexKey *key = index_key(&evaluator->indexes[kind], term->key, evaluator->trees[kind]);
    return key ? index_bucket(key, canonical_value(term->key, term->value, buffer)) : NULL;
}

/* The bucket in which everything is that the filter can match: of a key that
 * names the object, else the smallest. NULL: there is none. */
static Bucket *choose_bucket(Evaluator *evaluator, ObjectKind kind, const InaFilter *filter)
{
    FilterTerm terms[NECESSARY_MAX];
    Bucket *best = NULL;

    size_t n = filter_necessary(filter, terms, NECESSARY_MAX);
    for (size_t i = 0; i < n; i++)
        if (defining(terms[i].key))
            return term_bucket(evaluator, kind, &terms[i]);
    for (size_t i = 0; i < n; i++) {
        Bucket *bucket = term_bucket(evaluator, kind, &terms[i]);
        if (bucket && (!best || bucket->objects.count < best->objects.count))
            best = bucket;
    }
    return best;
}

static int start_matching(Evaluator *evaluator, ObjectKind kind, Matched *matched, const Endpoint *endpoint)
{
    Gathering gathering = {.evaluator = evaluator, .matched = matched};

    matched->endpoint = endpoint;
    Bucket *bucket = choose_bucket(evaluator, kind, endpoint->filter);
    Pointers *waits = bucket ? &bucket->waiting : &evaluator->indexes[kind].waiting;
    int r = pointers_insert(waits, waits->count, matched);
    if (r < 0)
        return r;
    matched->waits = waits;
    if (bucket) {
        for (size_t i = 0; i < bucket->objects.count; i++)
            gather(&gathering, bucket->objects.items[i]);
    } else {
        tree_each(evaluator->trees[kind], gather, &gathering);
    }
    sort(&matched->objects);
    return gathering.r;
}

/* --- followers of associations ----------------------------------------------------------- */

static Follower *follower_free(Follower *follower)
{
    for (Side side = 0; side < SIDES; side++) {
        if (follower->sides[side].waits)
            pointers_discard(follower->sides[side].waits, &follower->sides[side]);
        pointers_free(&follower->sides[side].objects);
    }
    free(follower);
    return NULL;
}

static int follower_new(Evaluator *evaluator, const Object *association, Follower **ret)
{
    Follower *follower = calloc(1, sizeof *follower);
    if (!follower)
        return -ENOMEM;
    follower->association = association;
    for (Side side = 0; side < SIDES; side++) {
        int r = start_matching(evaluator, association_end(object_kind(association), side), &follower->sides[side],
                               &association->endpoints[side]);
        if (r < 0) {
            follower_free(follower);
            return r;
        }
    }
    *ret = follower;
    return 0;
}

static size_t follower_position(const Pointers *followers, const char *definition)
{
    size_t low = 0, high = followers->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(object_definition(((const Follower *)followers->items[middle])->association), definition) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* --- following ------------------------------------------------------------------------------ */

typedef struct Following {
    Evaluator *evaluator;
    const Object *object;
    size_t changes;
    int r;
} Following;

static int object_leaves(void *userdata, void *waiting)
{
    const Following *following = userdata;
    Pointers *objects = &((Matched *)waiting)->objects;
    size_t position = position_of(objects, following->object);

    following->evaluator->work++;
    if (position < objects->count && objects->items[position] == following->object)
        pointers_remove(objects, position);
    return 0;
}

static int object_enters(void *userdata, void *waiting)
{
    const Following *following = userdata;
    Matched *matched = waiting;

    following->evaluator->work++;
    if (!endpoint_matches(matched->endpoint, following->object, &following->evaluator->comparisons))
        return following->evaluator->comparisons > COMPARISONS_MAX ? -E2BIG : 0;
    return pointers_insert(&matched->objects, position_of(&matched->objects, following->object), following->object);
}

static void follow_object(void *userdata, const Object *before, const Object *after)
{
    Following *following = userdata;
    ObjectIndex *index = &following->evaluator->indexes[object_kind(before ? before : after)];

    if (following->r < 0)
        return;
    if (before) {
        following->object = before;
        index_remove(index, before);
        index_waiting(index, before, object_leaves, following);
    }
    if (after) {
        following->object = after;
        following->r = index_add(index, after);
        if (following->r == 0)
            following->r = index_waiting(index, after, object_enters, following);
    }
}

static void follow_association(void *userdata, const Object *before, const Object *after)
{
    Following *following = userdata;
    const Object *association = before ? before : after;
    Pointers *followers = &following->evaluator->followers[object_kind(association)];

    if (following->r < 0)
        return;
    size_t position = follower_position(followers, object_definition(association));
    if (before) {
        follower_free((Follower *)followers->items[position]);
        pointers_remove(followers, position);
    }
    if (!after)
        return;
    Follower *follower = NULL;
    following->r = follower_new(following->evaluator, after, &follower);
    if (following->r < 0)
        return;
    following->r = pointers_insert(followers, position, follower);
    if (following->r < 0)
        follower_free(follower);
}

static void count_change(void *userdata, const Object *before, const Object *after)
{
    ((Following *)userdata)->changes++;
}

/* To the empty state. Link sets stay: they know theirs. */
static void reset(Evaluator *evaluator)
{
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++) {
        Pointers *followers = &evaluator->followers[kind];
        for (size_t i = 0; i < followers->count; i++) {
            Follower *follower = (Follower *)followers->items[i];
            follower->sides[SIDE_LEFT].waits = follower->sides[SIDE_RIGHT].waits = NULL; /* these go, too */
            follower_free(follower);
        }
        pointers_free(followers);
    }
    evaluator->changes = 0;
    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++) {
        index_clear(&evaluator->indexes[kind]);
        evaluator->trees[kind] = tree_unref(evaluator->trees[kind]);
    }
}

/* Where most is different it is faster to begin anew than to move one by one;
 * and from time to time it forgets values that no object has any more. */
static void reset_when_far(Evaluator *evaluator, Tree *const trees[OBJECT_KINDS])
{
    Following following = {0};
    size_t total = 0;

    for (ObjectKind kind = 0; kind < OBJECT_KINDS; kind++) {
        total += tree_count(trees[kind]);
        if (evaluator->trees[kind])
            tree_compare(evaluator->trees[kind], trees[kind], count_change, &following);
    }
    evaluator->changes += following.changes;
    if ((following.changes > RESTART_CHANGES_MIN && following.changes > total / 2) ||
        evaluator->changes > CHANGES_MAX + total)
        reset(evaluator);
}

static void follow_kind(Evaluator *evaluator, Following *following, ObjectKind kind, Tree *tree)
{
    Tree *old = evaluator->trees[kind];
    if (following->r < 0 || old == tree)
        return;
    evaluator->trees[kind] = tree_ref(tree);
    tree_compare(old, tree, object_kind_is_association(kind) ? follow_association : follow_object, following);
    tree_unref(old);
}

static int follow(Evaluator *evaluator, Tree *const trees[OBJECT_KINDS])
{
    Following following = {.evaluator = evaluator};

    evaluator->comparisons = 0;
    reset_when_far(evaluator, trees);
    for (size_t i = 0; i < COUNT(ends); i++)
        follow_kind(evaluator, &following, ends[i], trees[ends[i]]);
    for (size_t i = 0; i < COUNT(associations); i++)
        follow_kind(evaluator, &following, associations[i], trees[associations[i]]);
    if (following.r < 0)
        reset(evaluator);
    return following.r;
}

/* --- link sets ---------------------------------------------------------------------------------- */

static size_t cut(const Matched *matched)
{
    return matched->objects.count < matched->endpoint->cardinality ? matched->objects.count
                                                                   : matched->endpoint->cardinality;
}

static int count_links(const Pointers *followers, size_t *ret, InaError *error)
{
    const Follower *largest = NULL;
    uint64_t total = 0, most = 0;

    for (size_t i = 0; i < followers->count; i++) {
        const Follower *follower = followers->items[i];
        uint64_t n = (uint64_t)cut(&follower->sides[SIDE_LEFT]) * cut(&follower->sides[SIDE_RIGHT]);
        if (n > most) {
            most = n;
            largest = follower;
        }
        total += n;
    }
    if (total > LINKS_MAX)
        return ina_error_set(
            error, E2BIG, "the associations link %llu times, at most %u are allowed; '%.200s' alone does %llu times",
            (unsigned long long)total, LINKS_MAX, object_definition(largest->association), (unsigned long long)most);
    *ret = (size_t)total;
    return 0;
}

static void put_links(LinkSet *set, const Follower *follower)
{
    const Pointers *left = &follower->sides[SIDE_LEFT].objects, *right = &follower->sides[SIDE_RIGHT].objects;
    size_t n_left = cut(&follower->sides[SIDE_LEFT]), n_right = cut(&follower->sides[SIDE_RIGHT]);

    for (size_t i = 0; i < n_left; i++)
        for (size_t j = 0; j < n_right; j++)
            set->links[set->n_links++] =
                (ModelLink){follower->association, left->items[i], right->items[j], follower->association->is_dynamic};
}

static int link_set_new(const Evaluator *evaluator, ObjectKind association, LinkSet **ret, InaError *error)
{
    const Pointers *followers = &evaluator->followers[association];
    size_t n_links = 0;

    int r = count_links(followers, &n_links, error);
    if (r < 0)
        return r;
    LinkSet *set = calloc(1, sizeof *set);
    if (set)
        set->links = calloc(n_links + 1, sizeof *set->links);
    if (!set || !set->links) {
        free(set);
        return out_of_memory(error);
    }
    set->references = 1;
    set->left = tree_ref(evaluator->trees[association_end(association, SIDE_LEFT)]);
    set->associations = tree_ref(evaluator->trees[association]);
    set->right = tree_ref(evaluator->trees[association_end(association, SIDE_RIGHT)]);
    for (size_t i = 0; i < followers->count; i++)
        put_links(set, followers->items[i]);
    *ret = set;
    return 0;
}

/* --- asking ------------------------------------------------------------------------------------- */

static void keep_in_front(LinkSet **kept, size_t position, LinkSet *set)
{
    memmove(kept + 1, kept, position * sizeof *kept);
    kept[0] = set;
}

static bool keep_find(Evaluator *evaluator, Tree *const trees[OBJECT_KINDS], ObjectKind association, LinkSet **ret)
{
    LinkSet **kept = evaluator->kept[association];

    for (size_t i = 0; i < LINK_SETS_KEPT && kept[i]; i++)
        if (kept[i]->associations == trees[association] &&
            kept[i]->left == trees[association_end(association, SIDE_LEFT)] &&
            kept[i]->right == trees[association_end(association, SIDE_RIGHT)]) {
            keep_in_front(kept, i, kept[i]);
            *ret = link_set_ref(kept[0]);
            return true;
        }
    return false;
}

int evaluator_links(Evaluator *evaluator, Tree *const trees[OBJECT_KINDS], ObjectKind association, LinkSet **ret,
                    InaError *error)
{
    LinkSet *set = NULL, **kept = evaluator->kept[association];

    if (keep_find(evaluator, trees, association, ret))
        return 0;
    int r = follow(evaluator, trees);
    if (r == -E2BIG)
        return ina_error_set(error, E2BIG,
                             "the associations' endpoints need more than %u comparisons; right would be endpoints that "
                             "name what they link, as (Bundle-SymbolicName=x), (name=x) or (id=x)",
                             COMPARISONS_MAX);
    if (r < 0)
        return out_of_memory(error);
    r = link_set_new(evaluator, association, &set, error);
    if (r < 0)
        return r;
    link_set_unref(kept[LINK_SETS_KEPT - 1]);
    keep_in_front(kept, LINK_SETS_KEPT - 1, set);
    *ret = link_set_ref(set);
    return 0;
}

Plans **evaluator_plans(Evaluator *evaluator)
{
    return &evaluator->plans;
}

size_t evaluator_work(Evaluator *evaluator)
{
    size_t work = evaluator->work;
    evaluator->work = 0;
    return work;
}

/* --- life --------------------------------------------------------------------------------------- */

Evaluator *evaluator_new(void)
{
    Evaluator *evaluator = calloc(1, sizeof *evaluator);
    if (evaluator)
        evaluator->references = 1;
    return evaluator;
}

Evaluator *evaluator_ref(Evaluator *evaluator)
{
    evaluator->references++;
    return evaluator;
}

Evaluator *evaluator_unref(Evaluator *evaluator)
{
    if (!evaluator || --evaluator->references > 0)
        return NULL;
    reset(evaluator);
    plans_free(evaluator->plans);
    for (size_t i = 0; i < COUNT(associations); i++)
        for (size_t j = 0; j < LINK_SETS_KEPT; j++)
            link_set_unref(evaluator->kept[associations[i]][j]);
    free(evaluator);
    return NULL;
}
