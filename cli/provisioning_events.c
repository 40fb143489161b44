/* provisioning_events.c - the live stream of a provisioning server, a line for each event. */
#include "provisioning.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "table.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define EVENT_LINE_MAX (1024u * 1024u) /* of the stream */
#define AGAIN_SECONDS 1u

typedef struct Listener {
    bool json;
    char *line; /* that has not ended yet */
    size_t size, room;
    char type[32], id[128];
    char *data; /* of the event */
} Listener;

/* What people want to see of an event. */
static void describe(const char *type, const json_t *data)
{
    static const char *const keys[] = {"id",      "target", "number",  "version",      "name",  "phase", "author",
                                       "message", "group",  "current", "provisioning", "store", "reason"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(data, keys[i]);
        if (json_is_integer(value))
            printf(" %s=%" JSON_INTEGER_FORMAT, keys[i], json_integer_value(value));
        if (json_is_string(value) && *json_string_value(value)) {
            printf(" %s=", keys[i]);
            print_text(json_string_value(value));
        }
    }
}

static void end_event(Listener *listener)
{
    if (strcmp(listener->type, "cursor") == 0) {
        /* Only how far we are: what came up to there is not for this account. */
    } else if (listener->data && listener->json) {
        puts(listener->data);
    } else if (listener->data || listener->type[0]) {
        AUTO_JSON json_t *data = NULL;
        char when[TIME_TEXT_SIZE];
        if (listener->data)
            json_parse(listener->data, strlen(listener->data), EVENT_LINE_MAX, &data, NULL);
        printf("%s  %-12s", time_text((json_int_t)time(NULL) * 1000, when), listener->type);
        describe(listener->type, data);
        putchar('\n');
    }
    fflush(stdout);
    free(listener->data);
    listener->data = NULL;
    listener->type[0] = '\0';
}

/* Server-sent events, as the HTML standard has them: the fields that are used here. */
static void take_line(Listener *listener, const char *line)
{
    const char *value = strchr(line, ':');
    if (!*line) {
        end_event(listener);
        return;
    }
    if (!value || value == line)
        return;
    size_t length = (size_t)(value - line);
    value += value[1] == ' ' ? 2 : 1;
    if (strncmp(line, "event", length) == 0 && length == 5)
        snprintf(listener->type, sizeof listener->type, "%s", value);
    else if (strncmp(line, "id", length) == 0 && length == 2)
        snprintf(listener->id, sizeof listener->id, "%s", value);
    else if (strncmp(line, "data", length) == 0 && length == 4) {
        free(listener->data);
        listener->data = strdup(value);
    }
}

static bool add(Listener *listener, const char *data, size_t size)
{
    if (listener->size + size > EVENT_LINE_MAX)
        return false;
    if (listener->size + size + 1 > listener->room) {
        size_t room = 2 * (listener->size + size + 1);
        char *line = realloc(listener->line, room);
        if (!line)
            return false;
        listener->line = line;
        listener->room = room;
    }
    memcpy(listener->line + listener->size, data, size);
    listener->size += size;
    listener->line[listener->size] = '\0';
    return true;
}

static void take_chunk(void *userdata, const void *data, size_t size)
{
    Listener *listener = userdata;
    const char *text = data;
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;
        if (!add(listener, text, length))
            listener->size = 0; /* too long for any event of ours */
        if (end) {
            if (listener->size > 0 && listener->line[listener->size - 1] == '\r')
                listener->line[listener->size - 1] = '\0';
            take_line(listener, listener->size > 0 ? listener->line : "");
            listener->size = 0;
        }
        text += length + (end != NULL);
        size -= length + (end != NULL);
    }
}

int provisioning_events(Provisioning *provisioning, int count, char *const *items)
{
    AUTO_JSON json_t *state = NULL;
    Listener listener = {.json = provisioning->arguments->json};
    bool right = provisioning_ask(provisioning, "GET", "/v1/state", NULL, &state);
    snprintf(listener.id, sizeof listener.id, "%s", text_of(state, "cursor"));
    /* Until the user ends it, or the server stays away; events of a break come afterwards. */
    while (right) {
        AUTO_FREE char *path = provisioning_path("/v1/events?after=%s", listener.id);
        ProvisioningAnswer answer;
        ProvisioningCall call = {.method = "GET", .path = path, .chunk = take_chunk, .userdata = &listener};
        right = path && provisioning_call(provisioning, &call, &answer);
        if (right && answer.status != 200)
            right = provisioning_refused(&answer) == CLI_OK;
        if (right) {
            provisioning_clear(&answer);
            listener.size = 0;
            sleep(AGAIN_SECONDS);
        }
    }
    free(listener.line);
    free(listener.data);
    return CLI_FAILED;
}
