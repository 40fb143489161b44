/* node_life.c - see node_life.h. */
#include "node_life.h"

#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

typedef struct Record {
    uint64_t since; /* of the last change, or of what gave another grace period */
    NodeVerdict verdict, told;
    bool heard; /* since our start */
    bool alone; /* judged by itself: one of those that fell silent with it has returned */
} Record;

struct NodeLife {
    Map *nodes;
    uint64_t silence;
    uint64_t base; /* no silence counts from before */
    uint64_t due;  /* of the next step */
    bool hold;
};

NodeLife *node_life_new(uint64_t silence, uint64_t now)
{
    NodeLife *life = calloc(1, sizeof *life);
    if (!life || !(life->nodes = map_new()))
        return node_life_free(life);
    life->silence = silence;
    life->base = now;
    return life;
}

int node_life_add(NodeLife *life, const char *node, bool given_up, uint64_t now)
{
    if (map_get(life->nodes, node))
        return 0;
    Record *record = calloc(1, sizeof *record);
    if (!record || map_set(life->nodes, node, record) < 0) {
        free(record);
        return -ENOMEM;
    }
    record->since = now;
    if (given_up)
        record->verdict = record->told = NODE_SILENT;
    return 0;
}

void node_life_remove(NodeLife *life, const char *node)
{
    free(map_remove(life->nodes, node));
}

static uint64_t age(const NodeLife *life, const Record *record, uint64_t now)
{
    uint64_t since = record->since > life->base ? record->since : life->base;
    return now > since ? now - since : 0;
}

static bool is_suspect(const NodeLife *life, const Record *record, uint64_t now)
{
    return record->verdict == NODE_HELD || age(life, record, now) > life->silence / 2;
}

/* One of those that fell silent together is back: the way is open, so whoever stays silent now is judged by itself,
 * after a full grace period. */
static void end_hold(NodeLife *life, const Record *returned, uint64_t now)
{
    size_t position = 0;
    void *value;

    life->hold = false;
    while (map_next(life->nodes, &position, NULL, &value)) {
        Record *record = value;
        if (record == returned || record->verdict == NODE_SILENT || !is_suspect(life, record, now))
            continue;
        record->since = now;
        record->alone = true;
    }
}

void node_life_renewed(NodeLife *life, const char *node, uint64_t now)
{
    Record *record = map_get(life->nodes, node);
    if (!record)
        return;
    if (life->hold && record->verdict != NODE_SILENT && is_suspect(life, record, now))
        end_hold(life, record, now);
    *record = (Record){.since = now, .verdict = NODE_ALIVE, .told = record->told, .heard = true};
}

/* Whether more than half of those that are not given up yet are silent. */
static bool most_are_silent(const NodeLife *life, uint64_t now)
{
    size_t position = 0, suspects = 0, all = 0;
    void *value;

    while (map_next(life->nodes, &position, NULL, &value)) {
        const Record *record = value;
        if (record->verdict == NODE_SILENT || record->alone)
            continue;
        all++;
        suspects += is_suspect(life, record, now);
    }
    return 2 * suspects > all;
}

uint64_t node_life_step(NodeLife *life, uint64_t healthy_since, uint64_t now,
                        void (*changed)(void *userdata, const char *node, NodeVerdict verdict), void *userdata)
{
    /* Steps come at least every twelfth of the limit. One that is late by twice that was held up, and the renewals
     * of that time have not been read yet. */
    bool late = life->due && now > life->due + life->silence / 6;
    if (late || healthy_since == 0)
        life->base = now;
    else if (healthy_since > life->base)
        life->base = healthy_since;

    bool most = most_are_silent(life, now);
    uint64_t due = now + life->silence / 12;
    size_t position = 0;
    const char *name;
    void *value;
    bool any_held = false;

    while (map_next(life->nodes, &position, &name, &value)) {
        Record *record = value;
        uint64_t is = age(life, record, now);

        if (record->verdict != NODE_SILENT && is > life->silence)
            record->verdict = most && !record->alone ? NODE_HELD : NODE_SILENT;
        else if (record->verdict != NODE_SILENT && is <= life->silence && now + life->silence - is < due)
            due = now + life->silence - is + 1;
        any_held |= record->verdict == NODE_HELD;
        if (record->verdict != record->told) {
            record->told = record->verdict;
            changed(userdata, name, record->verdict);
        }
    }
    life->hold = any_held && most;
    life->due = due;
    return due;
}

NodeVerdict node_life_verdict(const NodeLife *life, const char *node)
{
    const Record *record = map_get(life->nodes, node);
    return record ? record->verdict : NODE_GRACE;
}

NodeLife *node_life_free(NodeLife *life)
{
    if (!life)
        return NULL;
    size_t position = 0;
    void *value;
    while (map_next(life->nodes, &position, NULL, &value))
        free(value);
    map_free(life->nodes);
    free(life);
    return NULL;
}
