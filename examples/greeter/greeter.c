/* greeter.c - the smallest useful bundle: one component that provides one
 * service and has one thing to configure. */
#include "greeter.service.h"
#include <inaetics/bundle.h>
#include <stdio.h>

typedef struct Greeter {
    const char *greeting;
} Greeter;

static void greet(void *self, InaCall *call, const Example__V1__GreetRequest *request)
{
    char text[200];
    snprintf(text, sizeof(text), "%s, %s!", ((Greeter *)self)->greeting, request->name);
    Example__V1__GreetReply reply = EXAMPLE__V1__GREET_REPLY__INIT;
    reply.text = text;
    ina_call_reply(call, &reply.base);
}

static const ExampleV1Greeter table = {.greet = greet};

static const InaProvided provides[] = {{.contract = &example_v1_greeter_contract, .table = &table, .exported = true}};

static const InaConfig config[] = {
    {.key = "greeting", .offset = offsetof(Greeter, greeting), .value = "Hello", .description = "what comes before the name"},
};

static const InaComponentClass components[] = {{
    .name = "greeter",
    .size = sizeof(Greeter),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .config = config,
    .n_config = INA_COUNT(config),
}};

INA_BUNDLE(components);
