/* The picture of a simulation. Colours follow the reader's light or dark page. */
#include "simulation.h"

#include "base/map.h"

#include <math.h>
#include <stdlib.h>

#define WIDTH 960.0
#define LEFT 64.0
#define RIGHT 56.0
#define TOP 56.0
#define LOAD_HEIGHT 110.0
#define PANEL_HEIGHT 92.0
#define GAP 44.0
#define BOTTOM 56.0
#define COLUMNS_MAX 300u

static const char style[] =
    "<style>\n"
    ".page{fill:#fff}.ink{fill:#1b1f24}.dim{fill:#57606a}.grid{stroke:#d0d7de;stroke-width:1}\n"
    ".load{fill:none;stroke:#0969da;stroke-width:1.6}.backlog{fill:#bf8700;fill-opacity:.35;stroke:#9a6700}\n"
    ".asked{fill:none;stroke:#1a7f37;stroke-width:2}.bad{fill:#cf222e}\n"
    ".backlogtext{fill:#9a6700}.askedtext{fill:#1a7f37}.badtext{fill:#cf222e}.loadtext{fill:#0969da}\n"
    "text{font:12px system-ui,sans-serif}.title{font-size:16px;font-weight:600}.name{font-weight:600}\n"
    "@media (prefers-color-scheme:dark){\n"
    ".page{fill:#0d1117}.ink{fill:#e6edf3}.dim{fill:#9198a1}.grid{stroke:#30363d}\n"
    ".load{stroke:#58a6ff}.backlog{fill:#d29922;stroke:#d29922}.asked{stroke:#3fb950}.bad{fill:#f85149}\n"
    ".backlogtext{fill:#d29922}.askedtext{fill:#3fb950}.badtext{fill:#f85149}.loadtext{fill:#58a6ff}\n"
    "}\n</style>\n";

typedef struct Picture {
    Buffer out;
    const Workload *workload;
    double maximum; /* processors */
    double backlog; /* samples: top of the panels */
    size_t columns;
} Picture;

static double x_of(const Picture *picture, double time)
{
    return LEFT + (WIDTH - LEFT - RIGHT) * time / picture->workload->duration;
}

/* 1, 2 or 5 times a power of ten, not below `value`. */
static double nice(double value)
{
    double power = pow(10, floor(log10(fmax(value, 1e-9))));
    double lead = value / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

static void text(Picture *picture, double x, double y, const char *classes, const char *anchor, const char *words)
{
    buffer_print(&picture->out, "<text x=\"%.0f\" y=\"%.0f\" class=\"%s\" text-anchor=\"%s\">", x, y, classes, anchor);
    for (const char *c = words; *c; c++)
        if (*c == '<' || *c == '&' || *c == '>')
            buffer_print(&picture->out, "&#%d;", *c);
        else
            buffer_append(&picture->out, c, 1);
    buffer_print(&picture->out, "</text>\n");
}

static void number(Picture *picture, double x, double y, const char *classes, const char *anchor, double value)
{
    buffer_print(&picture->out, "<text x=\"%.0f\" y=\"%.0f\" class=\"%s\" text-anchor=\"%s\">%g</text>\n", x, y,
                 classes, anchor, value);
}

static void frame(Picture *picture, double y, double height)
{
    buffer_print(&picture->out, "<path class=\"grid\" d=\"M%.0f %.1fH%.0fM%.0f %.1fH%.0f\"/>\n", LEFT, y + 0.5,
                 WIDTH - RIGHT, LEFT, y + height + 0.5, WIDTH - RIGHT);
}

static void draw_load(Picture *picture)
{
    double top = 0;
    for (size_t i = 0; i <= picture->columns; i++)
        top = fmax(
            top, workload_rate(picture->workload, picture->workload->duration * (double)i / (double)picture->columns));
    top = nice(fmax(top, 1));
    frame(picture, TOP, LOAD_HEIGHT);
    text(picture, LEFT, TOP - 8, "name loadtext", "start", "load, samples/s");
    number(picture, LEFT - 6, TOP + 10, "dim", "end", top);
    number(picture, LEFT - 6, TOP + LOAD_HEIGHT, "dim", "end", 0);
    buffer_print(&picture->out, "<path class=\"load\" d=\"");
    for (size_t i = 0; i <= picture->columns; i++) {
        double time = picture->workload->duration * (double)i / (double)picture->columns;
        buffer_print(&picture->out, "%c%.1f %.1f", i == 0 ? 'M' : 'L', x_of(picture, time),
                     TOP + LOAD_HEIGHT * (1 - workload_rate(picture->workload, time) / top));
    }
    buffer_print(&picture->out, "\"/>\n");
}

static void draw_backlog(Picture *picture, const SimulationResult *result, double y)
{
    buffer_print(&picture->out, "<path class=\"backlog\" d=\"M%.1f %.1f", LEFT, y + PANEL_HEIGHT);
    for (size_t i = 0; i < picture->columns; i++) {
        double most = 0;
        for (size_t k = i * result->n_trace / picture->columns; k < (i + 1) * result->n_trace / picture->columns; k++)
            most = fmax(most, (double)result->trace[k].backlog);
        double time = picture->workload->duration * ((double)i + 0.5) / (double)picture->columns;
        buffer_print(&picture->out, "L%.1f %.1f", x_of(picture, time),
                     y + PANEL_HEIGHT * (1 - most / picture->backlog));
    }
    buffer_print(&picture->out, "L%.1f %.1fZ\"/>\n", WIDTH - RIGHT, y + PANEL_HEIGHT);
}

static void draw_processors(Picture *picture, const SimulationResult *result, double y)
{
    unsigned before = result->n_trace > 0 ? result->trace[0].requested : 0;
    buffer_print(&picture->out, "<path class=\"asked\" d=\"M%.1f %.1f", LEFT,
                 y + PANEL_HEIGHT * (1 - before / picture->maximum));
    for (size_t k = 1; k < result->n_trace; k++) {
        if (result->trace[k].requested == before)
            continue;
        before = result->trace[k].requested;
        buffer_print(&picture->out, "H%.1fV%.1f", x_of(picture, (double)k),
                     y + PANEL_HEIGHT * (1 - before / picture->maximum));
    }
    buffer_print(&picture->out, "H%.1f\"/>\n", WIDTH - RIGHT);
}

static void draw_bad(Picture *picture, const SimulationResult *result, double y)
{
    for (size_t k = 0; k < result->n_trace;) {
        size_t begin = k;
        while (k < result->n_trace && result->trace[k].bad)
            k++;
        if (k > begin)
            buffer_print(&picture->out, "<rect class=\"bad\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"5\"/>\n",
                         x_of(picture, (double)begin), y + PANEL_HEIGHT + 2,
                         fmax(1, x_of(picture, (double)k) - x_of(picture, (double)begin)));
        else
            k++;
    }
}

static void draw_panel(Picture *picture, const SimulationPanel *panel, double y)
{
    const SimulationResult *result = panel->result;
    char words[200];
    frame(picture, y, PANEL_HEIGHT);
    text(picture, LEFT, y - 8, "name ink", "start", panel->policy);
    snprintf(words, sizeof words, "out of quality %.1f s, %.0f processor-seconds, %u scalings%s", result->bad,
             result->processor_seconds, result->scalings, result->refused > 0 ? ", samples refused" : "");
    text(picture, WIDTH - RIGHT, y - 8, result->bad > 0 ? "badtext" : "dim", "end", words);
    number(picture, LEFT - 6, y + 10, "backlogtext", "end", picture->backlog);
    number(picture, LEFT - 6, y + PANEL_HEIGHT, "backlogtext", "end", 0);
    number(picture, WIDTH - RIGHT + 6, y + 10, "askedtext", "start", picture->maximum);
    number(picture, WIDTH - RIGHT + 6, y + PANEL_HEIGHT, "askedtext", "start", 0);
    draw_backlog(picture, result, y);
    draw_processors(picture, result, y);
    draw_bad(picture, result, y);
}

static void draw_time(Picture *picture, double y)
{
    double step = nice(picture->workload->duration / 10);
    for (unsigned i = 0; i * step <= picture->workload->duration; i++)
        number(picture, x_of(picture, i * step), y, "dim", "middle", i * step);
    text(picture, WIDTH - RIGHT, y + 18, "dim", "end", "seconds");
    text(picture, LEFT, y + 18, "backlogtext", "start", "backlog, samples (left)");
    text(picture, LEFT + 160, y + 18, "askedtext", "start", "processors asked for (right)");
    text(picture, LEFT + 350, y + 18, "badtext", "start", "out of quality");
}

char *simulation_svg(const Workload *workload, const SimulationOptions *options, double maximum,
                     const SimulationPanel *panels, size_t n_panels)
{
    Picture picture = {.workload = workload, .maximum = fmax(maximum, 1), .backlog = 1, .columns = COLUMNS_MAX};
    for (size_t i = 0; i < n_panels; i++)
        picture.backlog = fmax(picture.backlog, panels[i].result->backlog_max);
    picture.backlog = fmin(nice(picture.backlog), fmax(options->capacity, 1));
    if (workload->duration < COLUMNS_MAX)
        picture.columns = (size_t)fmax(1, workload->duration);
    double panel_top = TOP + LOAD_HEIGHT + GAP;
    double height = panel_top + (double)n_panels * (PANEL_HEIGHT + GAP) - GAP + BOTTOM;
    buffer_print(&picture.out,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
                 "role=\"img\">\n%s<rect class=\"page\" width=\"100%%\" height=\"100%%\"/>\n",
                 WIDTH, height, WIDTH, height, style);
    char title[160];
    snprintf(title, sizeof title, "%s: %s", workload->name, workload->summary);
    text(&picture, LEFT, 24, "title ink", "start", title);
    draw_load(&picture);
    for (size_t i = 0; i < n_panels; i++)
        draw_panel(&picture, &panels[i], panel_top + (double)i * (PANEL_HEIGHT + GAP));
    draw_time(&picture, height - BOTTOM + 26);
    buffer_print(&picture.out, "</svg>\n");
    if (picture.out.failed) {
        buffer_free(&picture.out);
        return NULL;
    }
    return picture.out.data;
}
