/* sequences.h - sets of sequence numbers as sorted ranges, for counting. */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>
#include <stdint.h>

#define SEQUENCES_MAX (64u * 1024 * 1024) /* in one set */

typedef struct SequenceRange {
    uint64_t first, past;
} SequenceRange;

typedef struct Sequences {
    SequenceRange *items;
    size_t count, room;
    uint64_t added; /* sequence numbers added, each time counted */
} Sequences;

/* Adds [first, first + count). -EINVAL when it ends beyond 2^64 - 1. */
int sequences_add(Sequences *ranges, uint64_t first, uint64_t count, InaError *error);
/* Sorts and merges. Needed after adding and before all that follows. */
void sequences_settle(Sequences *ranges);
uint64_t sequences_size(const Sequences *ranges);
/* Sum of the sequence numbers, modulo 2^64. */
uint64_t sequences_sum(const Sequences *ranges);
/* `ret` (cleared before) becomes a settled set of its own. */
int sequences_union(const Sequences *a, const Sequences *b, Sequences *ret, InaError *error);
int sequences_intersection(const Sequences *a, const Sequences *b, Sequences *ret, InaError *error);
int sequences_difference(const Sequences *a, const Sequences *b, Sequences *ret, InaError *error);
void sequences_clear(Sequences *ranges);
