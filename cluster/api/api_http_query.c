/* api_http_query.c - what the query of a request says, checked as kube-apiserver
 * checks it. */
#include "api_http_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

json_t *api_query_number(const InaHttpRequest *request, const char *name, int64_t otherwise, int64_t *ret)
{
    const char *text = ina_http_query(request, name);
    char *end;

    *ret = otherwise;
    if (!text || *text == '\0')
        return NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno == 0 && *end == '\0' && end > text) {
        *ret = value;
        return NULL;
    }
    AUTO_FREE char *quoted = kube_quote(text);
    return kube_status_bad_request("strconv.ParseInt: parsing %s: invalid syntax", quoted);
}

/* --- dry run --------------------------------------------------------------------------------------------- */

typedef struct DryRun {
    bool wanted, wrong;
    char value[64];
} DryRun;

static bool each_dry_run(void *userdata, const char *name, const char *value)
{
    DryRun *dry = userdata;

    dry->wanted = true;
    if (strcmp(value, "All") != 0) {
        dry->wrong = true;
        snprintf(dry->value, sizeof dry->value, "%s", value);
    }
    return !dry->wrong;
}

static json_t *parse_dry_run(const InaHttpRequest *request, ApiRequest *ret)
{
    static const char *const kinds[] = {[API_CREATE] = "CreateOptions",
                                        [API_UPDATE] = "UpdateOptions",
                                        [API_PATCH] = "PatchOptions",
                                        [API_DELETE] = "DeleteOptions",
                                        [API_DELETE_COLLECTION] = "DeleteOptions"};
    DryRun dry = {0};

    http_request_each(request, "dryRun", each_dry_run, &dry);
    ret->dry_run = dry.wanted;
    if (!dry.wrong || !kinds[ret->verb])
        return NULL;
    KubeCauses *causes = kube_causes_new();
    AUTO_FREE char *quoted = kube_quote(dry.value);
    kube_cause(causes, "FieldValueNotSupported", "dryRun", "Unsupported value: []string{%s}: supported values: \"All\"",
               quoted);
    return kube_causes_status(causes, "meta.k8s.io", kinds[ret->verb], "");
}

/* --- lists ------------------------------------------------------------------------------------------------- */

/* resourceVersionMatch: which version of a list is wanted. Lists are of now, or of their first page's version: what
 * is newer than asked for is NotOlderThan, and Exact is told from it only in being refused for "0". */
static json_t *check_match(const InaHttpRequest *request, const char *version)
{
    const char *match = ina_http_query(request, "resourceVersionMatch");
    KubeCauses *causes;

    if (!match || *match == '\0')
        return NULL;
    if (!(causes = kube_causes_new()))
        return kube_status_internal("out of memory");
    bool exact = strcmp(match, "Exact") == 0;
    if (!version || *version == '\0')
        kube_cause(causes, "FieldValueForbidden", "resourceVersionMatch",
                   "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
    if (ina_http_query(request, "continue") && *ina_http_query(request, "continue"))
        kube_cause(causes, "FieldValueForbidden", "resourceVersionMatch",
                   "Forbidden: resourceVersionMatch is forbidden when continue is provided");
    if (!exact && strcmp(match, "NotOlderThan") != 0) {
        AUTO_FREE char *quoted = kube_quote(match);
        kube_cause(causes, "FieldValueNotSupported", "resourceVersionMatch",
                   "Unsupported value: %s: supported values: \"Exact\", \"NotOlderThan\", \"\"", quoted);
    }
    if (exact && version && strcmp(version, "0") == 0)
        kube_cause(causes, "FieldValueForbidden", "resourceVersionMatch",
                   "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    return kube_causes_status(causes, "meta.k8s.io", "ListOptions", "");
}

static json_t *check_timeout(const InaHttpRequest *request)
{
    int64_t seconds;

    return api_query_number(request, "timeoutSeconds", 0, &seconds);
}

/* A watch that is to begin with what is there (sendInitialEvents) says so by NotOlderThan; no other has a match. */
json_t *api_query_watch(const InaHttpRequest *request)
{
    const char *match = ina_http_query(request, "resourceVersionMatch");
    bool initial = api_query_is(request, "sendInitialEvents");

    json_t *status = check_timeout(request);
    if (status || (!match || *match == '\0') || (initial && strcmp(match, "NotOlderThan") == 0))
        return status;
    KubeCauses *causes = kube_causes_new();
    kube_cause(causes, "FieldValueForbidden", "resourceVersionMatch",
               "Forbidden: resourceVersionMatch is forbidden for watch%s",
               initial ? " unless sendInitialEvents is set, and must then be NotOlderThan" : "");
    return kube_causes_status(causes, "meta.k8s.io", "ListOptions", "");
}

json_t *api_query_options(const InaHttpRequest *request, ApiRequest *ret)
{
    const char *validation = ina_http_query(request, "fieldValidation");

    json_t *status = api_query_number(request, "limit", 0, &ret->limit);
    if (!status)
        status = check_timeout(request);
    if (!status)
        status = api_query_number(request, "gracePeriodSeconds", -1, &ret->grace);
    if (status)
        return status;
    ret->label_selector = ina_http_query(request, "labelSelector");
    ret->field_selector = ina_http_query(request, "fieldSelector");
    ret->continue_ = ina_http_query(request, "continue");
    ret->resource_version = ina_http_query(request, "resourceVersion");
    ret->propagation = ina_http_query(request, "propagationPolicy");
    if (!ret->propagation && ina_http_query(request, "orphanDependents"))
        ret->propagation = api_query_is(request, "orphanDependents") ? "Orphan" : "Background";
    if (validation && strcmp(validation, "Strict") == 0)
        ret->unknown = SCHEMA_REFUSE;
    else if (validation && strcmp(validation, "Warn") == 0)
        ret->unknown = SCHEMA_WARN;
    if (ret->verb == API_LIST)
        return check_match(request, ret->resource_version);
    return parse_dry_run(request, ret);
}

json_t *api_query_include(const InaHttpRequest *request, const ApiAccept *accept)
{
    static const char *const known[] = {"", "Metadata", "Object", "None"};
    const char *text = ina_http_query(request, "includeObject");

    if (!text || accept->form != FORM_TABLE)
        return NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(text, known[i]) == 0)
            return NULL;
    AUTO_FREE char *quoted = kube_quote(text);
    return kube_status_bad_request("Unable to convert to Table as requested: includeObject: Invalid value: %s: must be "
                                   "'Metadata', 'Object', 'None', or empty",
                                   quoted);
}

/* --- logs ---------------------------------------------------------------------------------------------------- */

typedef struct LogNumber {
    const char *name;
    int64_t minimum;
} LogNumber;

json_t *api_query_log(const InaHttpRequest *request, const char *pod)
{
    static const LogNumber numbers[] = {{"tailLines", 0}, {"limitBytes", 1}, {"sinceSeconds", 1}};
    const char *since = ina_http_query(request, "sinceTime"), *seconds = ina_http_query(request, "sinceSeconds");
    KubeCauses *causes = kube_causes_new();

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int64_t value;
        json_t *status = api_query_number(request, numbers[i].name, numbers[i].minimum, &value);
        if (status) {
            kube_causes_free(causes);
            return status;
        }
        if (value < numbers[i].minimum)
            kube_cause(causes, "FieldValueInvalid", numbers[i].name, "Invalid value: %lld: must be greater than %s0",
                       (long long)value, numbers[i].minimum == 0 ? "or equal to " : "");
    }
    if (since && *since && seconds && *seconds)
        kube_cause(causes, "FieldValueForbidden", "[]",
                   "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified");
    return kube_causes_status(causes, "", "PodLogOptions", pod);
}

/* --- bodies -------------------------------------------------------------------------------------------------- */

/* In the words of Go's decoder, where it is the end that is missing. */
static const char *parse_error(const InaError *error)
{
    return strstr(error->message, "near end of file") ? "unexpected end of JSON input" : error->message;
}

/* The beginning of a body as Kubernetes shows it: as text where it begins as an object does, else in hex. */
static void summarize(const char *text, size_t size, char ret[80])
{
    const size_t most = 30;
    size_t shown = size < most ? size : most, n = 0;

    if (size == 0) {
        snprintf(ret, 80, "<empty>");
        return;
    }
    for (size_t i = 0; i < shown; i++)
        n += (size_t)snprintf(ret + n, 80 - n, text[0] == '{' ? "%c" : "%02x", (unsigned char)text[i]);
    if (size > most)
        snprintf(ret + n, 80 - n, " ...");
}

static const char *go_type(const json_t *value)
{
    if (json_is_array(value))
        return "array";
    if (json_is_string(value))
        return "string";
    return json_is_number(value) ? "number" : "bool";
}

json_t *api_body_unrecognized(const ApiTarget *target, const char *text, size_t size, const char *why)
{
    const Subresource *sub = resource_subresource(target->resource, target->subresource);
    char summary[80];

    summarize(text, size, summary);
    return kube_status_bad_request("the object provided is unrecognized (must be of type %s): %s (%s)",
                                   sub && sub->kind ? sub->kind : target->resource->kind, why, summary);
}

json_t *api_body_malformed(const ApiTarget *target, const ApiRequest *request, const char *text, size_t size,
                           const InaError *error, const json_t *value)
{
    char why[192];

    if (request->verb == API_PATCH && request->patch == API_PATCH_MERGE)
        return kube_status_bad_request("Invalid JSON Patch");
    if (request->verb == API_PATCH && request->patch == API_PATCH_STRATEGIC &&
        strstr(error->message, "near end of file"))
        return kube_status_bad_request("unexpected EOF");
    if (request->verb == API_PATCH)
        return kube_status_bad_request("%s", parse_error(error));
    if (value)
        snprintf(why, sizeof why,
                 "json: cannot unmarshal %s into Go value of type struct { APIVersion string "
                 "\"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
                 go_type(value));
    else
        snprintf(why, sizeof why, "%.*s", (int)sizeof why - 1, parse_error(error));
    if (request->verb == API_DELETE || request->verb == API_DELETE_COLLECTION)
        return kube_status_bad_request("couldn't get version/kind; json parse error: %s", why);
    AUTO_FREE char *what = NULL;
    if (asprintf(&what, "couldn't get version/kind; json parse error: %s", why) < 0)
        what = NULL;
    return api_body_unrecognized(target, text, size, what ? what : why);
}
