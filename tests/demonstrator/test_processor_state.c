/* What the versions of the processor hand each other, and what they refuse. */
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "processor.h"

static const InaComponentClass *load(const char *variable)
{
    void *library = dlopen(getenv(variable), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        print_message("%s\n", dlerror());
        fail();
    }
    const InaBundleTable *table = dlsym(library, "ina_bundle");
    assert_non_null(table);
    assert_int_equal(table->n_components, 1);
    assert_string_equal(table->components[0].name, "processor");
    return &table->components[0];
}

static int restore(const InaComponentClass *class, void *self, Demonstrator__V1__ProcessorState *state, InaError *error)
{
    size_t size = demonstrator__v1__processor_state__get_packed_size(state);
    uint8_t *packed = malloc(size + 1);
    demonstrator__v1__processor_state__pack(state, packed);
    int r = class->restore(self, "0.1.0", packed, size, error);
    free(packed);
    return r;
}

static Demonstrator__V1__ProcessorState *save(const InaComponentClass *class, void *self)
{
    void *packed = NULL;
    size_t size = 0;
    assert_int_equal(class->save(self, &packed, &size, NULL), 0);
    Demonstrator__V1__ProcessorState *state = demonstrator__v1__processor_state__unpack(NULL, size, packed);
    assert_non_null(state);
    free(packed);
    return state;
}

static void check_refused(const char *producer, double mean, double variance)
{
    const InaComponentClass *class = load("ANOMALY_LIBRARY");
    Demonstrator__V1__MovingFigures figures = DEMONSTRATOR__V1__MOVING_FIGURES__INIT, *pointer = &figures;
    Demonstrator__V1__ProcessorState state = DEMONSTRATOR__V1__PROCESSOR_STATE__INIT;
    InaError error = {0};
    void *self = calloc(1, class->size);
    figures.producer = (char *)producer;
    figures.count = 5;
    figures.mean = mean;
    figures.variance = variance;
    state.n_moving = 1;
    state.moving = &pointer;
    assert_int_equal(restore(class, self, &state, &error), -EBADMSG);
    assert_non_null(strstr(error.message, "cannot be used"));
    free(self);
}

static void figures_come_out_as_they_went_in(void **unused)
{
    const InaComponentClass *class = load("ANOMALY_LIBRARY");
    Demonstrator__V1__MovingFigures figures[256], *pointers[256];
    Demonstrator__V1__ProcessorState state = DEMONSTRATOR__V1__PROCESSOR_STATE__INIT;
    char names[256][16];
    void *self = calloc(1, class->size);
    for (size_t i = 0; i < 256; i++) {
        snprintf(names[i], sizeof names[i], "producer-%zu", i);
        figures[i] = (Demonstrator__V1__MovingFigures)DEMONSTRATOR__V1__MOVING_FIGURES__INIT;
        figures[i].producer = names[i];
        figures[i].count = i * i;
        figures[i].mean = -1.5 * (double)i;
        figures[i].variance = (double)i / 3;
        pointers[i] = &figures[i];
    }
    state.n_moving = 256;
    state.moving = pointers;
    assert_int_equal(restore(class, self, &state, NULL), 0);
    Demonstrator__V1__ProcessorState *saved = save(class, self);
    assert_int_equal(saved->n_moving, 256);
    assert_int_equal(saved->n_leases, 0);
    for (size_t i = 0; i < 256; i++) {
        assert_string_equal(saved->moving[i]->producer, names[i]);
        assert_int_equal(saved->moving[i]->count, i * i);
        assert_true(saved->moving[i]->mean == figures[i].mean && saved->moving[i]->variance == figures[i].variance);
    }
    demonstrator__v1__processor_state__free_unpacked(saved, NULL);
    free(self);
}

static void what_cannot_be_figures_is_refused(void **unused)
{
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    check_refused("a", NAN, 1);
    check_refused("a", INFINITY, 1);
    check_refused("a", 1e200, 1);
    check_refused("a", 0, -1);
    check_refused("a", 0, NAN);
    check_refused("a", 0, INFINITY);
    check_refused(name, 0, 1);
}

static void too_many_producers_are_refused(void **unused)
{
    const InaComponentClass *class = load("ANOMALY_LIBRARY");
    Demonstrator__V1__MovingFigures figures = DEMONSTRATOR__V1__MOVING_FIGURES__INIT, *pointers[257];
    Demonstrator__V1__ProcessorState state = DEMONSTRATOR__V1__PROCESSOR_STATE__INIT;
    InaError error = {0};
    void *self = calloc(1, class->size);
    for (size_t i = 0; i < 257; i++)
        pointers[i] = &figures;
    state.n_moving = 257;
    state.moving = pointers;
    assert_int_equal(restore(class, self, &state, &error), -EBADMSG);
    assert_string_equal(error.message, "the figures of 257 producers were handed over, at most 256 can be");
    free(self);
}

static void bytes_that_are_no_state_are_refused(void **unused)
{
    static const char *const versions[] = {"ANOMALY_LIBRARY", "PROCESSOR_LIBRARY"};
    for (size_t i = 0; i < 2; i++) {
        const InaComponentClass *class = load(versions[i]);
        InaError error = {0};
        void *self = calloc(1, class->size);
        assert_int_equal(class->restore(self, "9", "\x0a\xff\xff\xff\xff\x0f", 6, &error), -EBADMSG);
        assert_string_equal(error.message, "the state handed over is no ProcessorState");
        free(self);
    }
}

static void leases_are_handed_over_and_those_that_cannot_be_are_left_out(void **unused)
{
    static const char *const versions[] = {"ANOMALY_LIBRARY", "PROCESSOR_LIBRARY"};
    char name[100];
    memset(name, 'l', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    char *leases[] = {"1-1", name, "1-3", "1-4", "1-5", "1-6", "1-7", "1-8", "1-9", "1-10"};
    Demonstrator__V1__ProcessorState state = DEMONSTRATOR__V1__PROCESSOR_STATE__INIT;
    state.n_leases = sizeof leases / sizeof *leases;
    state.leases = leases;
    state.n_stored = state.n_leases - 1;
    state.stored = leases + 1;
    state.flowed_until = 17;
    for (size_t i = 0; i < 2; i++) {
        const InaComponentClass *class = load(versions[i]);
        Processor *self = calloc(1, class->size); /* every version's struct begins with one */
        assert_int_equal(restore(class, self, &state, NULL), 0);
        assert_string_equal(self->inherited[0], "1-1");
        assert_string_equal(self->inherited[1], "");
        assert_string_equal(self->inherited[7], "1-8");
        assert_string_equal(self->inherited_stored[0], "");
        assert_string_equal(self->inherited_stored[1], "1-3");
        assert_string_equal(self->inherited_stored[7], "1-9");
        assert_int_equal(self->inherited_at, 17);
        strcpy(self->lane[2].lease, "2-1");
        strcpy(self->lane[3].lease, "2-2");
        self->lane[3].stored = true;
        Demonstrator__V1__ProcessorState *saved = save(class, self);
        assert_int_equal(saved->n_leases, 1);
        assert_string_equal(saved->leases[0], "2-1");
        assert_int_equal(saved->n_stored, 1);
        assert_string_equal(saved->stored[0], "2-2");
        assert_int_equal(saved->flowed_until, 17); /* until this version has acknowledged something itself */
        demonstrator__v1__processor_state__free_unpacked(saved, NULL);
        free(self);
    }
}

static void the_gaps_between_acknowledgements_are_told(void **unused)
{
    const InaComponentClass *class = load("PROCESSOR_LIBRARY");
    Processor *self = calloc(1, class->size);
    Demonstrator__V1__ProcessorState *saved = save(class, self);
    assert_int_equal(saved->median_gap + saved->longest_gap + saved->flowed_until, 0);
    demonstrator__v1__processor_state__free_unpacked(saved, NULL);
    self->flowed_at = 99;
    for (uint64_t gap = 1000; gap > 0; gap--) /* the last 256 are remembered: 256 to 1 */
        self->gaps[self->n_gaps++ % PROCESSOR_GAPS] = gap;
    saved = save(class, self);
    assert_int_equal(saved->flowed_until, 99);
    assert_int_equal(saved->median_gap, 129);
    assert_int_equal(saved->longest_gap, 256);
    Processor *next = calloc(1, class->size);
    assert_int_equal(restore(class, next, saved, NULL), 0);
    assert_int_equal(next->inherited_at, 99);
    assert_int_equal(next->inherited_median, 129);
    assert_int_equal(next->inherited_longest, 256);
    demonstrator__v1__processor_state__free_unpacked(saved, NULL);
    free(self);
    free(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_come_out_as_they_went_in),
        cmocka_unit_test(what_cannot_be_figures_is_refused),
        cmocka_unit_test(too_many_producers_are_refused),
        cmocka_unit_test(bytes_that_are_no_state_are_refused),
        cmocka_unit_test(leases_are_handed_over_and_those_that_cannot_be_are_left_out),
        cmocka_unit_test(the_gaps_between_acknowledgements_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
