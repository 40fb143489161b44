/* crashes.c - a version of the processor that works, and ends its agent five seconds after its start. */
#include "processor.h"

#include <signal.h>

typedef struct Crashing {
    Processor processor;
    InaTimer *timer;
} Crashing;

#define SELF Crashing

static void crash(void *userdata)
{
    raise(SIGKILL); /* as a crash, without the core and the sanitizer's report */
}

static void compute(void *self, const Demonstrator__V1__SampleBatch *batch, double *result)
{
    for (size_t i = 0; i < batch->n_time_us; i++) {
        result[i] = batch->value1[i] + batch->value2[i];
    }
}

static int start(void *self, InaComponent *component, InaError *error)
{
    static const ProcessorKind kind = {.result = "sum", .compute = compute};
    Crashing *crashing = self;
    crashing->timer = ina_timer_new(component, crash, crashing);
    ina_timer_after(crashing->timer, 5 * INA_SECOND);
    return processor_start(self, component, &kind, error);
}

static void stop(void *self)
{
    processor_stop(self);
}

#include "component.h"
