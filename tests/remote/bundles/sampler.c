/* sampler.c - a bundle that offers the Sampler service, for system tests. */
#include "sampler.service.h"
#include <inaetics/bundle.h>
#include <stdio.h>
#include <string.h>

typedef struct Sampler {
    InaComponent *component;
    const char *name;
} Sampler;

/* The text with our name and version before it, so that a caller sees who answered. */
static void echo(void *self, InaCall *call, const Sampler__V1__Everything *request)
{
    Sampler *sampler = self;
    Sampler__V1__Everything reply = *request;
    char text[300];
    snprintf(text, sizeof(text), "%s %s: %s", sampler->name, ina_bundle_version(sampler->component), request->text);
    reply.text = text;
    ina_call_reply(call, &reply.base);
}

static void refuse(void *self, InaCall *call, const Sampler__V1__FailRequest *request)
{
    ina_call_fail(call, (InaCode)request->code, "%s", request->message);
}

/* Answers when the caller left. */
static void wait_cancelled(InaCall *call, void *userdata)
{
    ina_call_fail(call, INA_CODE_CANCELED, "cancelled");
}

static void wait_for_ever(void *self, InaCall *call, const Sampler__V1__WaitRequest *request)
{
    ina_call_on_cancel(call, wait_cancelled, NULL);
}

static int start(void *self, InaComponent *component, InaError *error)
{
    Sampler *sampler = self;
    sampler->component = component;
    InaValue name = {.type = INA_TYPE_STRING, .string = sampler->name};
    return ina_provide_property(component, 0, "name", &name, error);
}

static const SamplerV1Sampler table = {.echo = echo, .fail = refuse, .wait = wait_for_ever};

static const InaProperty properties[] = {INA_STRING("type", "sampler"), INA_INTEGER("weight", 7),
                                         INA_DOUBLE("ratio", 2.0), INA_BOOLEAN("fast", true)};

static const InaProvided provides[] = {{
    .contract = &sampler_v1_sampler_contract,
    .table = &table,
    .exported = true,
    .properties = properties,
    .n_properties = INA_COUNT(properties),
}};

static const InaConfig config[] = {
    {.key = "name", .offset = offsetof(Sampler, name), .value = "sampler", .description = "who it says it is"},
};

static int save(void *self, void **ret_state, size_t *ret_size, InaError *error)
{
    *ret_state = NULL;
    *ret_size = 0;
    return 0;
}

static const InaComponentClass components[] = {{
    .name = "sampler",
    .size = sizeof(Sampler),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .save = save,
}};

INA_BUNDLE(components);
