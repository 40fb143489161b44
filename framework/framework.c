/* framework.c - hosting bundles: the core and the bundles on it. */
#include "internal.h"

int framework_new(sd_event *event, const FrameworkOptions *options, Framework **ret, InaError *error)
{
    Framework *framework;
    int r = framework_open(event, options, &framework, error);
    if (r < 0)
        return r;
    r = bundles_new(framework, error);
    if (r < 0) {
        framework_free(framework);
        return r;
    }
    *ret = framework;
    return 0;
}

Framework *framework_free(Framework *framework)
{
    if (framework == NULL)
        return NULL;
    bundles_free(framework);
    return framework_close(framework);
}
