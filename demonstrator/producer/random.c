/* random.c - producers of random values, uniform in [-100, 100): evenly spread
 * over time, or (component burst) in bursts of `burst` samples. */
#include "producer.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

typedef struct RandomProducer {
    Producer producer;
    int64_t burst;
    uint64_t state[4]; /* xoshiro256** (Blackman and Vigna, 2018) */
    uint64_t held;     /* samples that wait for their burst to be full */
} RandomProducer;

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t next_random(uint64_t *s)
{
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

static double uniform(uint64_t *s)
{
    return -100 + 200 * ((double)(next_random(s) >> 11) * 0x1p-53);
}

static size_t make(void *self, size_t due, int64_t *time_us, double *value1, double *value2)
{
    RandomProducer *random = self;
    size_t count = due;
    if (random->burst > 1) {
        /* Held until a burst is full: the rate is kept, the flow is not even. */
        random->held += due;
        uint64_t full = random->held - random->held % (uint64_t)random->burst;
        count = full < PRODUCER_BATCH_MAX ? (size_t)full : PRODUCER_BATCH_MAX;
        random->held -= count;
    }
    int64_t time = ina_wall_clock_us();
    for (size_t i = 0; i < count; i++) {
        time_us[i] = time;
        value1[i] = uniform(random->state);
        value2[i] = uniform(random->state);
    }
    return count;
}

static int start(void *self, InaComponent *component, InaError *error)
{
    RandomProducer *random = self;
    if (getrandom(random->state, sizeof(random->state), 0) != (ssize_t)sizeof(random->state)) {
        return ina_error_errno(error, errno, "no random bytes to begin with");
    }
    return producer_start(&random->producer, component, PRODUCER_KIND, make, error);
}

static void stop(void *self)
{
    producer_stop(&((RandomProducer *)self)->producer);
}

static const InaProvided provides[] = {PRODUCER_PROVIDES};
static const InaRequired requires[] = {PRODUCER_REQUIRES};
static const InaConfig config[] = {
    PRODUCER_CONFIG,
    {.key = "burst",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(RandomProducer, burst),
     .value = PRODUCER_BURST,
     .minimum = 1,
     .maximum = PRODUCER_BATCH_MAX,
     .description = "samples that come at once"},
};

static const InaComponentClass components[] = {{
    .name = "producer",
    .size = sizeof(RandomProducer),
    .provides = provides,
    .n_provides = INA_COUNT(provides),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
}};

INA_BUNDLE(components);
