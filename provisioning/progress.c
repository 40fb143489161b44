/* progress.c - see progress.h. */
#include "progress.h"
#include "base/json.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const JsonField rate_fields[] = {
    {"name", JSON_TYPE_STRING, offsetof(ProgressRate, name), .flags = JSON_REQUIRED},
    {"perSecond", JSON_TYPE_DOUBLE, offsetof(ProgressRate, rate), .flags = JSON_REQUIRED, .maximum = PROGRESS_RATE_MAX},
    {"askedPerSecond", JSON_TYPE_DOUBLE, offsetof(ProgressRate, asked), .maximum = PROGRESS_RATE_MAX},
    {.name = NULL},
};

/* It is shown, and is part of reasons. */
static bool is_name(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > PROGRESS_NAME_MAX)
        return false;
    for (; *name; name++)
        if (*name < 0x20 || *name > 0x7e)
            return false;
    return true;
}

static int read_rate(const json_t *item, const Progress *before, ProgressRate *ret, InaError *error)
{
    int r = json_decode(item, rate_fields, ret, error);

    if (r < 0)
        return r;
    if (!json_is_number(json_object_get(item, "askedPerSecond")))
        ret->asked = -1;
    if (!is_name(ret->name))
        return ina_error_set(error, EINVAL, "name: not 1 to %u printable characters", PROGRESS_NAME_MAX);
    for (size_t i = 0; i < before->n; i++)
        if (strcmp(before->rates[i].name, ret->name) == 0)
            return ina_error_set(error, EINVAL, "name: '%.64s' is there twice", ret->name);
    return 0;
}

int progress_read(const json_t *value, Progress *ret, InaError *error)
{
    Progress progress = {.n = 0};
    size_t n = json_array_size(value);
    int r = 0;

    *ret = progress;
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_array(value) || n > PROGRESS_MAX)
        return ina_error_set(error, EINVAL, "not a list of at most %u rates", PROGRESS_MAX);
    progress.rates = calloc(n + 1, sizeof *progress.rates);
    if (!progress.rates)
        return ina_error_errno(error, ENOMEM, "progress");
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = read_rate(json_array_get(value, i), &progress, &progress.rates[i], error);
        progress.n = i + 1;
        if (r < 0)
            ina_error_wrap(error, "[%zu]", i);
    }
    if (r < 0)
        progress_clear(&progress);
    *ret = progress;
    return r;
}

json_t *progress_json(const Progress *progress)
{
    json_t *list = json_array();

    for (size_t i = 0; i < progress->n; i++) {
        const ProgressRate *rate = &progress->rates[i];
        json_t *item = json_pack("{s:s, s:f}", "name", rate->name, "perSecond", rate->rate);

        if (rate->asked >= 0 && json_object_set_new(item, "askedPerSecond", json_real(rate->asked)) < 0) {
            json_decref(item);
            item = NULL;
        }
        if (json_array_append_new(list, item) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

int progress_copy(const Progress *progress, Progress *ret)
{
    Progress copy = {.n = 0};

    *ret = copy;
    if (progress->n == 0)
        return 0;
    copy.rates = calloc(progress->n, sizeof *copy.rates);
    for (; copy.rates && copy.n < progress->n; copy.n++) {
        copy.rates[copy.n] = progress->rates[copy.n];
        copy.rates[copy.n].name = strdup(progress->rates[copy.n].name);
        if (!copy.rates[copy.n].name)
            break;
    }
    if (copy.n < progress->n) {
        progress_clear(&copy);
        return -ENOMEM;
    }
    *ret = copy;
    return 0;
}

void progress_clear(Progress *progress)
{
    for (size_t i = 0; i < progress->n; i++)
        free(progress->rates[i].name);
    free(progress->rates);
    *progress = (Progress){.n = 0};
}
