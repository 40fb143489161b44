/* queue_model.h - what a queue log must still know after whatever happened.
 *
 * A world drives a log on a simulated disk with samples that can be told from
 * their values, and remembers for each what was promised. */
#pragma once

#include "queue_log.h"
#include "sim_disk.h"

#define MODEL_PRODUCERS 3u
#define MODEL_SAMPLES 60000u /* of each producer */
#define MODEL_LEASES 512u

typedef enum PutState {
    PUT_NOT,      /* not offered, or refused for good */
    PUT_OFFERED,  /* in a group that is not answered */
    PUT_ANSWERED, /* promised */
} PutState;

typedef enum TakeState {
    TAKE_NOT,
    TAKE_ACKNOWLEDGING, /* not answered */
    TAKE_DONE,          /* promised */
} TakeState;

typedef struct Known {
    uint8_t put, taken, seen;
} Known;

/* Promised when its ticket is committed. */
typedef struct Pending {
    uint64_t ticket, first, count;
    uint32_t producer;
    bool acknowledge;
} Pending;

typedef struct ModelLease {
    uint64_t id; /* 0: free */
    uint64_t count;
    struct ModelPart {
        uint32_t producer;
        uint64_t first, count;
    } * parts;
    unsigned n_parts, allocated_parts;
} ModelLease;

typedef struct World {
    SimDisk disk;
    QueueIo io;
    QueueLogOptions options;
    QueueLog *log;
    uint64_t now;
    uint64_t seed;
    Known known[MODEL_PRODUCERS][MODEL_SAMPLES];
    uint64_t next[MODEL_PRODUCERS]; /* sequence to be offered */
    ModelLease leases[MODEL_LEASES];
    Pending *pending;
    size_t n_pending, allocated_pending;
    unsigned notices; /* all of them */
    unsigned damage_notices, lost_notices;
    char last_notice[512];
    bool verbose;
} World;

World *world_new(uint64_t seed);
void world_free(World *world);
void world_open(World *world); /* asserts that it works */

/* Each returns how much was accepted or taken. */
size_t world_put(World *world, uint32_t producer, size_t count, QueueRefusal *ret_refusal);
/* Seals, runs and ends a commit, with all its attempts; the result of it. 0 when there was nothing. */
int world_commit(World *world);
int world_prepare(World *world);
ModelLease *world_take(World *world, uint64_t maximum, uint64_t time); /* NULL: nothing */
void world_forget_leases(World *world);
void world_acknowledge(World *world, ModelLease *lease);
void world_release(World *world, ModelLease *lease);
/* The process ends and comes again: with power lost, or without. */
void world_restart(World *world, bool power);
/* Takes everything, checks it against what was promised, and gives it back. */
void world_check(World *world);
/* Prepares all segments that are wanted. */
void world_prepare_all(World *world);
/* A new world with its log open and its segments prepared. */
World *world_ready(uint64_t seed);
/* Puts and commits; all must be accepted. */
void world_put_all(World *world, uint32_t producer, size_t count);
QueueLogStatus world_status(World *world);
double world_value1(uint32_t producer, uint64_t sequence);
