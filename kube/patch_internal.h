/* patch_internal.h - what the three kinds of patches share. */
#pragma once

#include "patch.h"

/* Takes `result`: hands it out, or refuses it when it is too deep or too large. */
int patch_finish(json_t *result, json_t **ret, InaError *error);
/* Counts `count` items against PATCH_WORK_MAX. */
int patch_work(size_t *work, size_t count, InaError *error);
int patch_check_depth(const json_t *value, InaError *error);
