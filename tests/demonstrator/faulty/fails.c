/* fails.c - a version of the processor whose component fails to start. */
#include "processor.h"

#include <errno.h>

static int start(void *self, InaComponent *component, InaError *error)
{
    return ina_error_set(error, EIO, "this version cannot start");
}

static void stop(void *self)
{
}

#include "component.h"
