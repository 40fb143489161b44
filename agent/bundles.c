#include "bundles.h"
#include "base/files.h"
#include "base/log.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REST_SECONDS 2

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

static int set_folder(Agent *agent, const char *folder, bool platform, InaError *error)
{
    char **paths = NULL;
    size_t count = 0;
    int r = list(folder, &paths, &count, error);
    if (r < 0)
        return r;
    const FrameworkSet set = {.zips = (const char *const *)paths, .n_zips = count, .platform = platform};
    if (count == 0 || count > AGENT_BUNDLES_MAX)
        r = ina_error_set(error, EINVAL, "bundles: %s has %zu files *.zip, 1 to %d are needed", folder, count,
                          AGENT_BUNDLES_MAX);
    else
        r = framework_apply(agent->framework, &set, error);
    for (size_t i = 0; i < count; i++)
        free(paths[i]);
    free(paths);
    return r;
}

static bool has_platform(Agent *agent)
{
    Bundle *bundles[AGENT_BUNDLES_MAX];
    size_t count = framework_bundles(agent->framework, bundles, AGENT_BUNDLES_MAX);
    for (size_t i = 0; i < count && i < AGENT_BUNDLES_MAX; i++)
        if (bundle_is_platform(bundles[i]))
            return true;
    return false;
}

static int set_platform(Agent *agent, InaError *error)
{
    const FrameworkSet none = {.platform = true};
    if (agent->options.platform)
        return set_folder(agent, agent->options.platform, true, error);
    return has_platform(agent) ? framework_apply(agent->framework, &none, error) : 0;
}

/* What is in the cache goes on, if there is anything. */
static int go_on_without(Agent *agent, const InaError *problem, InaError *error)
{
    if (framework_bundles(agent->framework, NULL, 0) == 0)
        return ina_error_set(error, problem->code, "%s", problem->message);
    log_record(INA_LOG_ERROR, problem->message, NULL);
    return 0;
}

static int on_start_time(sd_event_source *source, uint64_t when, void *userdata)
{
    (void)framework_start(((Agent *)userdata)->framework, NULL);
    return 0;
}

/* One that does not start is reported, and tried again: the agent runs with the others. What ends the
 * process again and again gets a rest, in which the provisioning server can put something else in its place. */
static int start_cached(Agent *agent, InaError *error)
{
    bool first = !agent->start_timer;
    if (!agent->deployer)
        return framework_start(agent->framework, error);
    if (first && deployer_is_troubled(agent->deployer)) {
        log_record(INA_LOG_WARNING, "the last starts ended soon; the deployment is started after the server was asked",
                   NULL);
        int r = sd_event_add_time_relative(agent->event, &agent->start_timer, CLOCK_MONOTONIC, REST_SECONDS * 1000000,
                                           0, on_start_time, agent);
        return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
    }
    (void)framework_start(agent->framework, NULL);
    return 0;
}

int agent_set_bundles(Agent *agent, InaError *error)
{
    InaError problem = {0};
    agent->platform_failed = set_platform(agent, &problem) < 0;
    if (agent->platform_failed && go_on_without(agent, &problem, error) < 0)
        return -error->code;
    if (!agent->options.bundles)
        return start_cached(agent, error);
    agent->bundles_failed = set_folder(agent, agent->options.bundles, false, &problem) < 0;
    if (!agent->bundles_failed)
        return 0;
    if (go_on_without(agent, &problem, error) < 0)
        return -error->code;
    return framework_start(agent->framework, error);
}
