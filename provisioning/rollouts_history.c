/* rollouts_history.c - what happened in a rollout, a line each: kept with it, also when it is over.
 *
 * Of many lines the first and the last are kept: how it began to go wrong, and how it ended. */
#include "rollouts_internal.h"
#include <errno.h>

#define FIRST_KEPT (ROLLOUT_HISTORY_MAX / 2)

void rollouts_note(Running *running, int64_t time, const char *target, const char *text)
{
    json_t *line;

    if (!running->history)
        running->history = json_array();
    line = json_pack("{s:I, s:s?, s:s}", "time", (json_int_t)time, "target", target, "text", text);
    if (!running->history || !line || json_array_append_new(running->history, line) < 0)
        return; /* a line less, nothing worse */
    if (json_array_size(running->history) > ROLLOUT_HISTORY_MAX) {
        (void)json_array_remove(running->history, FIRST_KEPT);
        running->history_omitted++;
    }
}

int rollouts_put_history(const Running *running, json_t *value)
{
    json_t *lines = running->history ? json_incref(running->history) : json_array();

    if (!value || json_object_set_new(value, "history", lines) < 0 ||
        json_object_set_new(value, "historyOmitted", json_integer(running->history_omitted)) < 0)
        return -ENOMEM;
    return 0;
}

void rollouts_take_history(Running *running, const json_t *state)
{
    json_t *lines = json_object_get(state, "history");
    const json_t *omitted = json_object_get(state, "historyOmitted");

    running->history = json_is_array(lines) ? json_incref(lines) : json_array();
    running->history_omitted = json_integer_value(omitted);
}
