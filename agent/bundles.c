#include "bundles.h"
#include "base/files.h"
#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_zip(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && entry->d_name[0] != '.' && strcmp(entry->d_name + length - 4, ".zip") == 0;
}

/* Paths of the folder's zips in order of their names. */
static int list(const char *folder, char ***ret, size_t *ret_count, InaError *error)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_zip, alphasort);
    if (n < 0)
        return ina_error_errno(error, errno, "bundles: %s", folder);
    char **paths = calloc((size_t)n + 1, sizeof(*paths));
    bool failed = !paths;
    for (int i = 0; i < n; i++) {
        if (!failed && !(paths[i] = path_join(folder, entries[i]->d_name)))
            failed = true;
        free(entries[i]);
    }
    free(entries);
    for (int i = 0; failed && paths && i < n; i++)
        free(paths[i]);
    if (failed) {
        free(paths);
        return ina_error_set(error, ENOMEM, "no memory");
    }
    *ret = paths;
    *ret_count = (size_t)n;
    return 0;
}

static int set_folder(Agent *agent, InaError *error)
{
    char **paths = NULL;
    size_t count = 0;
    int r = list(agent->options.bundles, &paths, &count, error);
    if (r < 0)
        return r;
    if (count == 0 || count > AGENT_BUNDLES_MAX)
        r = ina_error_set(error, EINVAL, "bundles: %s has %zu files *.zip, 1 to %d are needed", agent->options.bundles,
                          count, AGENT_BUNDLES_MAX);
    else
        r = framework_set(agent->framework, (const char *const *)paths, count, error);
    for (size_t i = 0; i < count; i++)
        free(paths[i]);
    free(paths);
    return r;
}

int agent_set_bundles(Agent *agent, InaError *error)
{
    InaError problem = {0};
    if (!agent->options.bundles)
        return framework_start(agent->framework, error);
    agent->bundles_failed = set_folder(agent, &problem) < 0;
    if (!agent->bundles_failed)
        return 0;
    if (framework_bundles(agent->framework, NULL, 0) == 0)
        return ina_error_set(error, problem.code, "%s", problem.message);
    log_record(INA_LOG_ERROR, problem.message, NULL);
    return framework_start(agent->framework, error);
}
