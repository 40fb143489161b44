/* part.h - a component that tells what happens to it, in the roles of the tests. */
#pragma once

#include "core_fixture.h"

typedef struct Part {
    InaComponent *component;
    InaClient *echo;
    InaPlain plain;
    const char *text;
    int64_t number;
    double real;
    bool flag;
    int answers;
} Part;

/* What happened, as "name:event " words; each test starts with none. */
extern char story[8192];
void tell(const char *name, const char *event);
void expect_story(const char *expected); /* and begins a new one */

extern Part *last_part;             /* the one started last */
extern int start_result;            /* of part_start */
extern int (*in_start)(Part *part); /* done in start, when set */
int part_start(void *self, InaComponent *component, InaError *error);
void part_stop(void *self);
void part_say(void *self, InaCall *call, const Test__V1__SayRequest *request); /* answers with the text */

extern int answers; /* to say_hello */
void say_hello(InaClient *client);

#define PART(n, ...)                                                                                                   \
    {                                                                                                                  \
        .name = n, .size = sizeof(Part), .start = part_start, .stop = part_stop, __VA_ARGS__                           \
    }
#define PROVIDES(array) .provides = (array), .n_provides = INA_COUNT(array)
#define REQUIRES(array) .requires = (array), .n_requires = INA_COUNT(array)

extern const TestV1Echo echo_table;
extern const int plain_table; /* of plain services */
extern const InaProvided provides_echo[1];
extern const InaComponentClass providers[1]; /* "provider" of test.v1.Echo */
extern const InaComponentClass consumers[1]; /* "consumer" that cannot be without it */

int part_setup(void **state);
