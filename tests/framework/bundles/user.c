/* user.c - a bundle that requires the counter; keeps what it was answered. */
#include "counter.service.h"
#include <inaetics/bundle.h>

typedef struct User {
    InaClient *counter;
    int64_t limit;
} User;

static const InaRequired requires[] = {
    {.contract = &counter_v1_counter_contract,
     .filter = "(type=test)",
     .cardinality = INA_ONE,
     .offset = offsetof(User, counter)},
};

static const InaComponentClass components[] = {{
    .name = "user",
    .size = sizeof(User),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
}};

INA_BUNDLE(components);
