/* asker.c - a bundle that calls a Sampler for whoever asks it at /ask, for
 * system tests: GET /ask?text=hello&timeout-ms=1000 -> "ok ..." or "CODE ...". */
#include "sampler.service.h"
#include <inaetics/bundle.h>
#include <inaetics/http.h>
#include <stdlib.h>
#include <string.h>

typedef struct Asker {
    InaClient *sampler;
} Asker;

static void echoed(void *userdata, const Sampler__V1__Everything *reply, const InaFailure *failure)
{
    if (reply)
        ina_http_respond_text(userdata, 200, "ok %s", reply->text);
    else
        ina_http_respond_text(userdata, 200, "%s %s", ina_code_name(failure->code), failure->message);
}

static void handle(void *self, InaHttpRequest *request)
{
    Asker *asker = self;
    const char *text = ina_http_query(request, "text"), *timeout = ina_http_query(request, "timeout-ms");
    Sampler__V1__Everything everything = SAMPLER__V1__EVERYTHING__INIT;
    if (text)
        everything.text = (char *)text;
    if (!asker->sampler)
        ina_http_respond_text(request, 200, "none");
    else if (!sampler_v1_sampler_echo(asker->sampler, &everything,
                                      timeout ? strtoull(timeout, NULL, 10) * INA_MILLISECOND : 0, echoed, request))
        ina_http_respond_text(request, 503, "no memory");
}

static const InaHttpMount mount = {.prefix = "/ask", .handle = handle};

static const InaProvided provides[] = {{.plain = INA_HTTP_MOUNT, .table = &mount}};

static const InaRequired requires[] = {{
    .contract = &sampler_v1_sampler_contract,
    .filter = "(&(type=sampler)(weight>=7)(ratio=2.0)(fast=true))",
    .cardinality = INA_OPTIONAL,
    .offset = offsetof(Asker, sampler),
}};

static const InaComponentClass components[] = {{
    .name = "asker",
    .size = sizeof(Asker),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
}};

INA_BUNDLE(components);
