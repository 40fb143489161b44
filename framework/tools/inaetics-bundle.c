/* inaetics-bundle - packs bundles while building; see framework/bundle_tool.h. */
#include "framework/bundle_tool.h"
#include <errno.h>
#include <string.h>

int main(int argc, char **argv)
{
    InaError error = {0};

    if (argc < 2) {
        fprintf(stderr, "Usage: inaetics-bundle COMMAND ...\n\n%s", bundle_tool_usage);
        return 2;
    }
    int r = bundle_tool(argc - 1, argv + 1, stdout, &error);
    if (r < 0)
        fprintf(stderr, "inaetics-bundle: %s\n", error.message);
    return r == 0 ? 0 : r == -EINVAL ? 2 : 1;
}
