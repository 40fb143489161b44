/* progress.h - how fast the components of a target do what they are for, as
 * its agent counts it: calls a second that got a reply, of each method that a
 * component calls or answers. An agent reports it with its health; rollouts
 * compare what a target does before and after a change. */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stddef.h>

#define PROGRESS_MAX 32u       /* rates of a target */
#define PROGRESS_NAME_MAX 160u /* bytes, printable ASCII */
#define PROGRESS_RATE_MAX 1e9  /* a second */

typedef struct ProgressRate {
    char *name;   /* "processor calls demonstrator.v1.Queue/Acknowledge" */
    double rate;  /* a second */
    double asked; /* what others asked for, a second; negative: nobody, it is what the component does by itself */
} ProgressRate;

typedef struct Progress {
    ProgressRate *rates;
    size_t n; /* 0: nothing is known */
} Progress;

/* [{"name", "perSecond", "askedPerSecond"}], the last not of all; NULL and null are an empty list. -EINVAL names what
 * is wrong. */
int progress_read(const json_t *value, Progress *ret, InaError *error);
json_t *progress_json(const Progress *progress);            /* NULL: out of memory */
int progress_copy(const Progress *progress, Progress *ret); /* -ENOMEM */
void progress_clear(Progress *progress);
