/* original.c - the JSON endpoints of the INAETICS 1.1 viewer, as they answered. */
#include "viewer.h"

#include <stdlib.h>
#include <string.h>

static void get_utilisation(Viewer *viewer, InaHttpRequest *request)
{
    respond_json(request, 200,
                 json_pack("{s:s, s:s, s:s, s:o}", "name", "Utilization", "type", "utilization", "unit", "%", "value",
                           json_real(model_utilization(viewer->model))));
}

static bool number_field(InaHttpRequest *request, double minimum, double maximum, double *ret)
{
    char text[32], *end;
    if (form_field(request, "value", text, sizeof(text)) && *text) {
        double value = strtod(text, &end);
        if (*end == '\0' && value >= minimum && value <= maximum) {
            *ret = value;
            return true;
        }
    }
    ina_http_respond_text(request, 400, "A form field 'value' is needed, a number from %g to %g.\n", minimum, maximum);
    return false;
}

static void post_utilisation(Viewer *viewer, InaHttpRequest *request)
{
    double value;
    if (number_field(request, 0, 100, &value)) {
        viewer_set_preferred(viewer, value);
        ina_http_respond(request, 204, NULL, NULL, 0);
    }
}

static void post_scale(Viewer *viewer, InaHttpRequest *request, const char *name, ModelReplicas now)
{
    double value;
    if (!number_field(request, -100, 100, &value)) {
        return;
    }
    double requested = (double)now.requested + value;
    if (!now.known) {
        ina_http_respond_text(request, 503, "The coordinator has not answered yet; try again.\n");
    } else if (value != (double)(int)value || requested < 0 || requested > now.maximum) {
        ina_http_respond_text(request, 400,
                              "%s: %g requested, 0 to %u are allowed; 'value' is what to add to the %u there shall be "
                              "now, a whole number.\n",
                              name, requested, now.maximum, now.requested);
    } else if (!model_scale(viewer->model, name, (uint32_t)requested)) {
        ina_http_respond_text(request, 503, "No coordinator is there; it is looked for.\n");
    } else {
        ina_http_respond(request, 204, NULL, NULL, 0);
    }
}

void original_handle(Viewer *viewer, InaHttpRequest *request)
{
    const char *what = ina_http_path(request) + strlen("/coordinator");
    if (strcmp(ina_http_method(request), "POST") == 0) {
        if (!sessions_may_change(viewer->sessions, request)) {
            return;
        }
        if (strcmp(what, "/utilisation") == 0) {
            post_utilisation(viewer, request);
        } else if (strcmp(what, "/scaleProducer") == 0) {
            post_scale(viewer, request, "producer", model_producers(viewer->model));
        } else if (strcmp(what, "/scaleProcessor") == 0) {
            post_scale(viewer, request, "processor", model_processors(viewer->model));
        } else {
            respond_json(request, 404, json_object());
        }
        return;
    }
    if (strcmp(what, "/statistics") == 0) {
        respond_json(request, 200, model_original_statistics(viewer->model, ina_http_query(request, NULL)));
    } else if (strcmp(what, "/systemStats") == 0) {
        respond_json(request, 200, model_original_system(viewer->model));
    } else if (strcmp(what, "/utilisation") == 0) {
        get_utilisation(viewer, request);
    } else if (strcmp(what, "/clusterInfo") == 0) {
        respond_json(request, 200, cluster_panel_original(viewer->panel));
    } else {
        respond_json(request, 404, json_object());
    }
}
