/* link_set.c - links of one kind in one state, found by their right ends. */
#include "evaluator.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

LinkSet *link_set_ref(LinkSet *set)
{
    set->references++;
    return set;
}

LinkSet *link_set_unref(LinkSet *set)
{
    if (!set || --set->references > 0)
        return NULL;
    tree_unref(set->left);
    tree_unref(set->associations);
    tree_unref(set->right);
    free(set->links);
    free(set->heads);
    free(set->next);
    free(set);
    return NULL;
}

/* The slot of an object: its own, or the empty one where it would be. */
static size_t head_slot(const LinkSet *set, const Object *right)
{
    size_t slot = (size_t)(((uintptr_t)right >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (set->n_heads - 1);
    while (set->heads[slot] != 0 && set->links[set->heads[slot] - 1].right != right)
        slot = (slot + 1) & (set->n_heads - 1);
    return slot;
}

static int make_chains(LinkSet *set)
{
    set->n_heads = 16;
    while (set->n_heads < 2 * set->n_links)
        set->n_heads *= 2;
    set->heads = calloc(set->n_heads, sizeof *set->heads);
    set->next = calloc(set->n_links + 1, sizeof *set->next);
    if (!set->heads || !set->next) {
        free(set->heads);
        free(set->next);
        set->heads = set->next = NULL;
        return -ENOMEM;
    }
    for (size_t i = set->n_links; i > 0; i--) { /* backwards: chains go forwards */
        size_t slot = head_slot(set, set->links[i - 1].right);
        set->next[i - 1] = set->heads[slot];
        set->heads[slot] = (unsigned)i;
    }
    return 0;
}

int link_set_first(LinkSet *set, const Object *right, size_t *ret_index)
{
    if (!set->heads && make_chains(set) < 0)
        return -ENOMEM;
    unsigned head = set->heads[head_slot(set, right)];
    *ret_index = head ? head - 1 : SIZE_MAX;
    return 0;
}

size_t link_set_next(const LinkSet *set, size_t index)
{
    return set->next[index] ? set->next[index] - 1 : SIZE_MAX;
}
