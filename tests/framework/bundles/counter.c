/* counter.c - a bundle that counts and hands its count over in an update. What
 * is wrong with it is a matter of VARIANT. */
#include "counter.service.h"
#include <errno.h>
#include <inaetics/bundle.h>
#include <inaetics/shell.h>
#include <stdlib.h>
#include <string.h>

#define SOUND 0
#define FAILS_START 1
#define FAILS_RESTORE 2
#define FAILS_SAVE 3
#define NO_SYMBOL 4
#define WRONG_ABI 5
#define UNDEFINED 6
#define BAD_TABLE 7
#define WAITS 8        /* requires what is not there */
#define LATE_FAILURE 9 /* a second component fails when the first one runs */
#define CRASHES 10     /* at its start */
#define CRASHES_SOON 11

typedef struct Counter {
    InaComponent *component;
    int64_t total, step;
    double factor;
    bool loud;
    const char *label;
} Counter;

#if VARIANT == UNDEFINED
extern int ina_function_that_no_framework_has(void);
#endif

#if VARIANT == CRASHES_SOON
static void crash(void *userdata)
{
    abort();
}
#endif

static int start(void *self, InaComponent *component, InaError *error)
{
    Counter *counter = self;

    counter->component = component;
    ina_log(component, INA_LOG_INFO, "counting from %lld", (long long)counter->total);
#if VARIANT == CRASHES
    abort();
#elif VARIANT == CRASHES_SOON
    InaTimer *timer = ina_timer_new(component, crash, counter);
    ina_timer_after(timer, 200 * INA_MILLISECOND);
    return 0;
#elif VARIANT == FAILS_START
    return getenv("TEST_ROOM_TO_COUNT") ? 0 : ina_error_set(error, ENOSPC, "there is no room to count");
#elif VARIANT == UNDEFINED
    return ina_function_that_no_framework_has();
#else
    return 0;
#endif
}

static void count(void *self, InaCall *call, const Counter__V1__CountRequest *request)
{
    Counter *counter = self;
    Counter__V1__CountReply reply = COUNTER__V1__COUNT_REPLY__INIT;

    counter->total += request->by * counter->step;
    reply.total = counter->total;
    reply.version = (char *)ina_bundle_version(counter->component);
    ina_call_reply(call, &reply.base);
}

static int configured(void *self, InaError *error)
{
    const Counter *counter = self;
    return strcmp(counter->label, "refuse") == 0 ? ina_error_set(error, EINVAL, "not this label") : 0;
}

static int save(void *self, void **ret_state, size_t *ret_size, InaError *error)
{
#if VARIANT == FAILS_SAVE
    return ina_error_set(error, EIO, "the count cannot be saved");
#else
    const Counter *counter = self;
    int64_t *state = malloc(sizeof *state);

    if (!state)
        return ina_error_set(error, ENOMEM, "out of memory");
    *state = counter->total;
    *ret_state = state;
    *ret_size = sizeof *state;
    return 0;
#endif
}

static int restore(void *self, const char *version, const void *state, size_t size, InaError *error)
{
    Counter *counter = self;

#if VARIANT == FAILS_RESTORE
    return ina_error_set(error, EPROTO, "version %s counts in another way", version);
#endif
    if (size != sizeof counter->total)
        return ina_error_set(error, EPROTO, "a state of %zu bytes", size);
    memcpy(&counter->total, state, size);
    return 0;
}

static int run_total(void *self, int argc, char *const *argv, InaShellOutput *output, InaError *error)
{
    const Counter *counter = self;

    if (argc > 1)
        return ina_error_set(error, EINVAL, "total takes no words");
    ina_shell_print(output, "total %lld\n.hidden\n", (long long)counter->total);
    return 0;
}

static const CounterV1Counter table = {.count = count};
static const InaShellCommand command = {"total", "total", "tells the count", run_total};
static const InaProperty properties[] = {INA_STRING("type", "test"), INA_INTEGER("weight", 7)};

static const InaProvided provides[] = {
    {.contract = &counter_v1_counter_contract,
     .table = &table,
     .exported = true,
     .properties = properties,
     .n_properties = INA_COUNT(properties)},
    {.plain = INA_SHELL_COMMAND, .table = &command},
};

static const InaConfig config[] = {
    {.key = "step",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(Counter, step),
     .value = "1",
     .minimum = 1,
     .maximum = 100,
     .description = "what one counts for"},
    {.key = "factor",
     .type = INA_TYPE_DOUBLE,
     .offset = offsetof(Counter, factor),
     .value = "0.5",
     .minimum = 0,
     .maximum = 1,
     .description = "a share"},
    {.key = "loud",
     .type = INA_TYPE_BOOLEAN,
     .offset = offsetof(Counter, loud),
     .value = "false",
     .description = "whether to say it"},
    {.key = "label", .type = INA_TYPE_STRING, .offset = offsetof(Counter, label), .value = "", .description = "a name"},
};

#if VARIANT == WAITS
typedef struct Waiting {
    Counter counter;
    InaPlain missing;
} Waiting;
static const InaRequired requires[] = {
    {.plain = "test.Missing", .cardinality = INA_ONE, .offset = offsetof(Waiting, missing)},
};
#endif

#if VARIANT == LATE_FAILURE
static int start_late(void *self, InaComponent *component, InaError *error)
{
    return ina_error_set(error, ENOTSUP, "the second one cannot start");
}
#endif

static const InaComponentClass components[] = {
    {
        .name = "counter",
#if VARIANT == BAD_TABLE
        .size = 1,
#elif VARIANT == WAITS
        .size = sizeof(Waiting),
        .requires = requires,
        .n_requires = INA_COUNT(requires),
#else
        .size = sizeof(Counter),
#endif
        .provides = provides,
        .n_provides = INA_COUNT(provides),
        .config = config,
        .n_config = INA_COUNT(config),
        .start = start,
        .configured = configured,
        .save = save,
        .restore = restore,
    },
#if VARIANT == LATE_FAILURE
    {.name = "late", .size = 1, .start = start_late},
#endif
};

#if VARIANT == NO_SYMBOL
__attribute__((visibility("default"))) const InaComponentClass *not_a_bundle(void);
const InaComponentClass *not_a_bundle(void)
{
    return components;
}
#elif VARIANT == WRONG_ABI
__attribute__((visibility("default"))) extern const InaBundleTable ina_bundle;
const InaBundleTable ina_bundle = {999, components, 1};
#else
INA_BUNDLE(components);
#endif
