/* queued.c - the queue's own reader of its log. */
#include "queued.h"

#ifdef VERIFY_QUEUE_INSPECT
#include "queue_inspect.h"

int queued_read(const char *directory,
                int (*each)(void *userdata, const char *producer, uint64_t first, uint64_t count, InaError *error),
                void *userdata, InaError *error)
{
    return queue_log_inspect(directory, each, userdata, error);
}
#else
#include <errno.h>
#include <unistd.h>

int queued_read(const char *directory,
                int (*each)(void *userdata, const char *producer, uint64_t first, uint64_t count, InaError *error),
                void *userdata, InaError *error)
{
    if (access(directory, F_OK) < 0 && errno == ENOENT)
        return 0;
    return ina_error_set(error, ENOSYS, "%s cannot be read: this program was built without the queue", directory);
}
#endif
