/* core_fixture.h - a framework without bundles, and a loop to run it in. */
#pragma once

#include "echo.service.h"
#include "echo_next.service.h"
#include "framework/call.h"
#include "framework/internal.h"
#include "framework/registry.h"
#include "unit.h"
#include <string.h>

typedef struct Fixture {
    sd_event *event;
    Framework *framework;
    char log[4096]; /* what components logged, one per line: "component level message" */
} Fixture;

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* One turn of the loop, at most 10 ms. */
void fixture_turn(Fixture *fixture);
/* Turns until nothing is ready. */
void fixture_drain(Fixture *fixture);

#define FIXTURE_PATIENCE (120 * INA_SECOND)

/* Turns until it is so; fails after half a minute. */
#define RUN_UNTIL(fixture, condition)                                                                                  \
    do {                                                                                                               \
        uint64_t fixture_end = ina_now() + FIXTURE_PATIENCE;                                                           \
        while (!(condition)) {                                                                                         \
            if (ina_now() > fixture_end)                                                                               \
                fail_msg("waited in vain for: %s", #condition);                                                        \
            fixture_turn(fixture);                                                                                     \
        }                                                                                                              \
    } while (0)

/* Fails with the error's message. */
#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        InaError fixture_error = {.message = ""};                                                                      \
        InaError *error = &fixture_error;                                                                              \
        if ((call) < 0)                                                                                                \
            fail_msg("%s: %s", #call, error->message);                                                                 \
    } while (0)

#define assert_contains(text, part)                                                                                    \
    do {                                                                                                               \
        if (strstr((text), (part)) == NULL)                                                                            \
            fail_msg("\"%s\" is not in \"%s\"", (part), (text));                                                       \
    } while (0)

/* A started set of the components of an array. */
ComponentSet *fixture_start(Fixture *fixture, const char *bundle, const InaComponentClass *classes, size_t count);
#define START(fixture, bundle, classes) fixture_start((fixture), (bundle), (classes), INA_COUNT(classes))
ComponentSet *fixture_add(Fixture *fixture, const char *bundle, const char *version, const InaComponentClass *classes,
                          size_t count);

/* State and reason of the component of that name. */
ComponentState fixture_state(Fixture *fixture, const char *component);
const char *fixture_reason(Fixture *fixture, const char *component);
