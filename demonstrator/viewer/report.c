/* report.c - what was stored: aggregates, pages of results, exports. */
#include "viewer.h"
#include "series.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_TIMEOUT (30 * INA_SECOND)
#define EXPORT_PAGE 5000u
#define INTERVALS_MAX 1000u /* as store.proto has it */
#define RESULTS_MAX 10000u

static void fail(InaHttpRequest *request, const InaFailure *failure)
{
    int status = failure->code == INA_CODE_INVALID_ARGUMENT || failure->code == INA_CODE_OUT_OF_RANGE ? 400 : 503;
    respond_json(request, status,
                 json_pack("{s:s, s:s}", "code", ina_code_name(failure->code), "message", failure->message));
}

/* A query parameter in microseconds since 1970 (or `otherwise`); false: answered with 400. */
static bool time_parameter(InaHttpRequest *request, const char *name, int64_t otherwise, int64_t *ret)
{
    const char *text = ina_http_query(request, name);
    char *end;
    *ret = otherwise;
    if (text && *text) {
        errno = 0;
        *ret = strtoll(text, &end, 10);
        if (*end || errno || *ret < 0) {
            ina_http_respond_text(request, 400, "%s=%s: microseconds since 1970 are needed.\n", name, text);
            return false;
        }
    }
    return true;
}

/* A query parameter from 1 to `most` (or `otherwise`); false: answered with 400. */
static bool count_parameter(InaHttpRequest *request, const char *name, uint32_t otherwise, uint32_t most, uint32_t *ret)
{
    const char *text = ina_http_query(request, name);
    char *end;
    *ret = otherwise;
    if (text && *text) {
        unsigned long value = strtoul(text, &end, 10);
        if (*end || *text == '-' || value < 1 || value > most) {
            ina_http_respond_text(request, 400, "%s=%s: a number from 1 to %u is needed.\n", name, text, most);
            return false;
        }
        *ret = (uint32_t)value;
    }
    return true;
}

static const char *text_parameter(const InaHttpRequest *request, const char *name)
{
    const char *text = ina_http_query(request, name);
    return text ? text : "";
}

/* --- aggregate ------------------------------------------------------------ */

static void aggregated(void *userdata, const Demonstrator__V1__AggregateReply *reply, const InaFailure *failure)
{
    InaHttpRequest *request = userdata;
    if (failure) {
        fail(request, failure);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < reply->n_intervals; i++) {
        const Demonstrator__V1__Interval *from = reply->intervals[i];
        json_t *percentiles = json_array();
        for (size_t j = 0; j < from->n_percentiles; j++) {
            json_array_append_new(percentiles, from->count ? json_number(from->percentiles[j]) : json_null());
        }
        json_array_append_new(list, json_pack("{s:I, s:I, s:o, s:o, s:o, s:o}", "begin_us", (json_int_t)from->begin_us,
                                              "count", (json_int_t)from->count, "mean",
                                              from->count ? json_number(from->mean) : json_null(), "minimum",
                                              from->count ? json_number(from->minimum) : json_null(), "maximum",
                                              from->count ? json_number(from->maximum) : json_null(), "percentiles",
                                              percentiles));
    }
    respond_json(request, 200, json_pack("{s:o}", "intervals", list));
}

static void aggregate(Viewer *viewer, InaHttpRequest *request)
{
    static double percentiles[] = {50, 99};
    Demonstrator__V1__AggregateRequest message = DEMONSTRATOR__V1__AGGREGATE_REQUEST__INIT;
    int64_t now = ina_wall_clock_us();
    if (!time_parameter(request, "end_us", now, &message.end_us) ||
        !time_parameter(request, "begin_us", message.end_us - 600 * INT64_C(1000000), &message.begin_us)) {
        return;
    }
    if (!count_parameter(request, "intervals", 60, INTERVALS_MAX, &message.intervals)) {
        return;
    }
    message.producer = (char *)text_parameter(request, "producer");
    message.column = (char *)text_parameter(request, "column");
    message.n_percentiles = 2;
    message.percentiles = percentiles;
    if (!demonstrator_v1_store_aggregate(viewer->store, &message, CALL_TIMEOUT, aggregated, request)) {
        ina_http_respond_text(request, 503, "Out of memory.\n");
    }
}

/* --- a page of results ---------------------------------------------------- */

static void result_row(const Demonstrator__V1__ResultBatch *batch, size_t i, json_t *list)
{
    const Demonstrator__V1__SampleBatch *samples = batch->samples;
    json_array_append_new(
        list, json_pack("{s:s, s:I, s:I, s:o, s:o, s:I, s:o}", "producer", samples->producer, "sequence",
                        (json_int_t)(samples->first_sequence + i), "time_us", (json_int_t)samples->time_us[i], "value1",
                        json_number(samples->value1[i]), "value2", json_number(samples->value2[i]),
                        "processing_time_us", (json_int_t)batch->processing_time_us[i], "result",
                        json_number(batch->result[i])));
}

static size_t rows_of(const Demonstrator__V1__ResultBatch *batch)
{
    const Demonstrator__V1__SampleBatch *samples = batch->samples;
    if (!samples || samples->n_value1 != samples->n_time_us || samples->n_value2 != samples->n_time_us ||
        batch->n_result != samples->n_time_us || batch->n_processing_time_us != samples->n_time_us) {
        return 0;
    }
    return samples->n_time_us;
}

static void queried(void *userdata, const Demonstrator__V1__QueryReply *reply, const InaFailure *failure)
{
    InaHttpRequest *request = userdata;
    if (failure) {
        fail(request, failure);
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < reply->n_batches; i++) {
        for (size_t j = 0; j < rows_of(reply->batches[i]); j++) {
            result_row(reply->batches[i], j, list);
        }
    }
    respond_json(request, 200, json_pack("{s:o, s:s}", "results", list, "next_page", reply->next_page));
}

static bool query_parameters(InaHttpRequest *request, Demonstrator__V1__QueryRequest *message)
{
    message->producer = (char *)text_parameter(request, "producer");
    message->page = (char *)text_parameter(request, "page");
    return time_parameter(request, "begin_us", 0, &message->begin_us) &&
           time_parameter(request, "end_us", ina_wall_clock_us(), &message->end_us);
}

static void results(Viewer *viewer, InaHttpRequest *request)
{
    Demonstrator__V1__QueryRequest message = DEMONSTRATOR__V1__QUERY_REQUEST__INIT;
    if (!query_parameters(request, &message) ||
        !count_parameter(request, "maximum", 100, RESULTS_MAX, &message.maximum)) {
        return;
    }
    if (!demonstrator_v1_store_query(viewer->store, &message, CALL_TIMEOUT, queried, request)) {
        ina_http_respond_text(request, 503, "Out of memory.\n");
    }
}

/* --- exports: all pages, one after the other ------------------------------- */

typedef struct Export {
    Viewer *viewer;
    InaHttpStream *http;
    InaPending *asked;
    bool csv;
    int64_t begin_us, end_us;
    char *producer, *page;
    char *text; /* of a page that waits for the client to read on */
    size_t size;
} Export;

static void export_next(Export *export);

static void export_free(Export *export)
{
    ina_pending_cancel(export->asked);
    export->viewer->n_exports--;
    free(export->producer);
    free(export->page);
    free(export->text);
    free(export);
}

static void export_closed(void *userdata)
{
    export_free(userdata);
}

static void export_end(Export *export)
{
    ina_http_stream_close(export->http);
    export_free(export);
}

/* Sends the page that is in hand and asks for the next; one is in memory at a time. */
static void export_send(Export *export)
{
    int r = ina_http_stream_write(export->http, export->text, export->size);
    if (r == -ENOBUFS) {
        return; /* `export_drained` goes on */
    }
    free(export->text);
    export->text = NULL;
    if (r < 0 || !*export->page) {
        export_end(export);
    } else {
        export_next(export);
    }
}

static void export_drained(void *userdata)
{
    Export *export = userdata;
    if (export->text) {
        export_send(export);
    }
}

static void print_row(FILE *out, bool csv, const Demonstrator__V1__ResultBatch *batch, size_t i)
{
    const Demonstrator__V1__SampleBatch *samples = batch->samples;
    if (csv) {
        /* A producer's name has no comma or quote: the queue refuses such. */
        fprintf(out, "%s,%" PRIu64 ",%" PRId64 ",%.17g,%.17g,%" PRId64 ",%.17g\n", samples->producer,
                samples->first_sequence + i, samples->time_us[i], samples->value1[i], samples->value2[i],
                batch->processing_time_us[i], batch->result[i]);
        return;
    }
    json_t *list = json_array();
    result_row(batch, i, list);
    char *line = json_dumps(json_array_get(list, 0), JSON_COMPACT | JSON_REAL_PRECISION(17));
    fprintf(out, "%s\n", line ? line : "");
    free(line);
    json_decref(list);
}

/* The status is long sent: what shows the client that something is missing is a
 * last line that is no result; it waits for its turn like any other text. */
static void export_break_off(Export *export)
{
    static const char incomplete[] = "# incomplete: the store stopped answering\n";
    free(export->text);
    export->text = strdup(incomplete);
    export->size = sizeof(incomplete) - 1;
    free(export->page);
    export->page = strdup("");
    if (export->text && export->page) {
        export_send(export);
    } else {
        export_end(export);
    }
}

static void exported(void *userdata, const Demonstrator__V1__QueryReply *reply, const InaFailure *failure)
{
    Export *export = userdata;
    export->asked = NULL;
    FILE *out = failure ? NULL : open_memstream(&export->text, &export->size);
    char *page = out ? strdup(reply->next_page) : NULL;
    if (!out || !page) {
        if (out) {
            fclose(out);
        }
        export_break_off(export);
        return;
    }
    for (size_t i = 0; i < reply->n_batches; i++) {
        for (size_t j = 0; j < rows_of(reply->batches[i]); j++) {
            print_row(out, export->csv, reply->batches[i], j);
        }
    }
    bool failed = ferror(out);
    failed = fclose(out) != 0 || failed;
    free(export->page);
    export->page = page;
    if (failed || !export->text) {
        export_break_off(export);
        return;
    }
    export_send(export);
}

static void export_next(Export *export)
{
    Demonstrator__V1__QueryRequest message = DEMONSTRATOR__V1__QUERY_REQUEST__INIT;
    message.begin_us = export->begin_us;
    message.end_us = export->end_us;
    message.producer = export->producer;
    message.page = export->page;
    message.maximum = EXPORT_PAGE;
    InaClient *store = export->viewer->store;
    export->asked = store ? demonstrator_v1_store_query(store, &message, CALL_TIMEOUT, exported, export) : NULL;
    if (!export->asked) {
        export_break_off(export);
    }
}

static void export_results(Viewer *viewer, InaHttpRequest *request, bool csv)
{
    Demonstrator__V1__QueryRequest message = DEMONSTRATOR__V1__QUERY_REQUEST__INIT;
    if (!query_parameters(request, &message)) {
        return;
    }
    Export *export = viewer->n_exports < VIEWER_EXPORTS_MAX ? calloc(1, sizeof(*export)) : NULL;
    if (!export) {
        ina_http_set_header(request, "Retry-After", "10");
        ina_http_respond_text(request, 503, "Too many exports are running (at most %u).\n", VIEWER_EXPORTS_MAX);
        return;
    }
    viewer->n_exports++;
    *export = (Export){.viewer = viewer, .csv = csv, .begin_us = message.begin_us, .end_us = message.end_us,
                       .producer = strdup(message.producer), .page = strdup("")};
    ina_http_set_header(request, "Content-Disposition",
                        csv ? "attachment; filename=\"results.csv\"" : "attachment; filename=\"results.ndjson\"");
    export->http = export->producer && export->page
                       ? ina_http_respond_stream(request, 200, csv ? "text/csv; charset=utf-8" : "application/x-ndjson",
                                                 export_drained, export_closed, export)
                       : NULL;
    if (!export->http) {
        export_free(export);
        return;
    }
    if (csv) {
        static const char header[] = "producer,sequence,time_us,value1,value2,processing_time_us,result\n";
        ina_http_stream_write(export->http, header, sizeof(header) - 1);
    }
    export_next(export);
}

void report_handle(Viewer *viewer, InaHttpRequest *request)
{
    const char *what = ina_http_path(request) + strlen("/report");
    if (!viewer->store) {
        ina_http_respond_text(request, 503, "No store is there; it is looked for.\n");
    } else if (strcmp(what, "/aggregate") == 0) {
        aggregate(viewer, request);
    } else if (strcmp(what, "/results") == 0) {
        results(viewer, request);
    } else if (strcmp(what, "/results.csv") == 0) {
        export_results(viewer, request, true);
    } else if (strcmp(what, "/results.ndjson") == 0) {
        export_results(viewer, request, false);
    } else {
        ina_http_respond_text(request, 404, "Reports: /report/aggregate, /report/results, /report/results.csv, "
                                            "/report/results.ndjson.\n");
    }
}
