/* component.h - what makes a component of `start` and `stop`, for the faulty versions. */
#ifndef SELF
#define SELF Processor
#endif

static int save(void *self, void **ret_state, size_t *ret_size, InaError *error)
{
    Demonstrator__V1__ProcessorState state = DEMONSTRATOR__V1__PROCESSOR_STATE__INIT;
    return processor_save(self, &state, ret_state, ret_size, error);
}

static int restore(void *self, const char *version, const void *state, size_t size, InaError *error)
{
    return processor_restore(self, state, size, NULL, error);
}

static const InaProvided provides[] = {PROCESSOR_PROVIDES};
static const InaRequired requires[] = {PROCESSOR_REQUIRES};
static const InaConfig config[] = {PROCESSOR_CONFIG};

static const InaComponentClass components[] = {{
    .name = "processor",
    .size = sizeof(SELF),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
    .save = save,
    .restore = restore,
}};

INA_BUNDLE(components);
